"""Pod affinity terms: who matches what. Pure; used by `filter` (required) and `score` (preferred)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object


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
