"""Node and pod affinity terms: who matches what. Pure; used by `filter` (required) and `score` (preferred)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object


def matches_node_term(term: dict[str, Any], node: Object) -> bool:
    """A nodeSelectorTerm: all its expressions and fields; an empty one matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    by_name = {"metadata.name": objects.name(node)}
    return all(_holds(e, objects.labels(node)) for e in expressions) and all(_holds(f, by_name) for f in fields)


def _holds(expression: dict[str, Any], values: dict[str, str]) -> bool:
    key, operator, wanted = expression["key"], expression["operator"], expression.get("values") or []
    value = values.get(key)
    match operator:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(operator, value, wanted)
    return False


def _compares(operator: str, value: str | None, wanted: Sequence[str]) -> bool:
    try:
        number, bound = int(value or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def required_node_terms(pod: Object) -> list[dict[str, Any]] | None:
    """The terms of which one must match; None when none are required."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return (required.get("nodeSelectorTerms") or []) if required is not None else None


def pod_terms(pod: Object, kind: str) -> list[dict[str, Any]]:
    """Required terms; `kind` is podAffinity or podAntiAffinity."""
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []


def preferred(pod: Object, kind: str) -> list[dict[str, Any]]:
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []


def selects(term: dict[str, Any], owner: Object, other: Object) -> bool:
    """Does `owner`'s affinity term select the pod `other`? (namespaceSelector {} means every namespace.)"""
    if term.get("namespaces"):
        in_namespace = objects.namespace(other) in term["namespaces"]
    elif "namespaceSelector" in term and term["namespaceSelector"] is not None:
        in_namespace = True
    else:
        in_namespace = objects.namespace(other) == objects.namespace(owner)
    if not in_namespace or "labelSelector" not in term:
        return False
    return selectors.from_object(_with_match_keys(term, owner)).matches(objects.labels(other))


def _with_match_keys(term: dict[str, Any], owner: Object) -> dict[str, Any]:
    """matchLabelKeys and mismatchLabelKeys compare with the owner's own labels (KEP-3633)."""
    selector = dict(term.get("labelSelector") or {})
    labels = objects.labels(owner)
    extra = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(field) or []
        if key in labels
    ]
    if extra:
        selector["matchExpressions"] = [*(selector.get("matchExpressions") or []), *extra]
    return selector


def domain(node: Object | None, key: str) -> str | None:
    return objects.labels(node).get(key) if node else None


def pods_in_domain(states: Iterable[NodeState], key: str, value: str) -> Iterable[Object]:
    for state in states:
        if domain(state.node, key) == value:
            yield from state.pods.values()
