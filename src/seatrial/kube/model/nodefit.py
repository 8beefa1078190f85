"""Which nodes a pod's own words admit: node selector, required node affinity, tolerated taints. Pure.

The scheduler asks for every pod, the DaemonSet controller for every node. Source: "Assigning Pods to Nodes" and
"Taints and Tolerations" in the Kubernetes documentation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seatrial.kube.model.objects import Object

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
NODE_NAME = "metadata.name"
"""The one field a node term may match."""
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_REPELLING = ("NoSchedule", "NoExecute")
"""Effects of a taint that keep a new pod away."""


def selects(spec: Object, node: Object) -> bool:
    """The pod spec's nodeSelector and required node affinity admit the node."""
    labels = objects.labels(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if required is None:
        return True
    return any(term_matches(term, node) for term in required.get("nodeSelectorTerms") or [])


def term_matches(term: Mapping[str, Any], node: Object) -> bool:
    """All its expressions and fields hold; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    labels, named = objects.labels(node), {NODE_NAME: objects.name(node)}
    return all(_holds(each, labels) for each in expressions) and all(_holds(each, named) for each in fields)


def _holds(expression: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    value, wanted = values.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(expression["operator"], value, wanted)
    return False


def _compares(operator: str, value: str | None, wanted: Sequence[str]) -> bool:
    """Both must be whole numbers, as strictly written as Kubernetes reads them."""
    if len(wanted) != 1 or not _NUMBER.fullmatch(value or "") or not _NUMBER.fullmatch(wanted[0]):
        return False
    found, bound = int(value or ""), int(wanted[0])
    return found > bound if operator == "Gt" else found < bound


def taints(node: Object) -> list[dict[str, Any]]:
    return (node.get("spec") or {}).get("taints") or []


def untolerated(spec: Object, node: Object) -> dict[str, Any] | None:
    """The first taint that keeps a new pod with this spec off the node."""
    tolerations = spec.get("tolerations") or []
    refusing = (t for t in taints(node) if t["effect"] in _REPELLING and not tolerated(tolerations, t))
    return next(refusing, None)


def tolerated(tolerations: Iterable[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    return any(_tolerates(each, taint) for each in tolerations)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Empty effect: all effects. Empty key with Exists: all keys."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    if toleration.get("operator") not in (None, "", "Equal"):
        return False
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
