"""Which nodes run a DaemonSet's pod, and how a pod says which node it is for. Pure.

A daemon pod tolerates what happens to nodes in trouble, and carries its node's name as required affinity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.controllers.pods import node_name
from seatrial.cluster.controllers.revisions import HASH_LABEL
from seatrial.cluster.controllers.template import pod_from
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.model.objects import Object

_NOT_EXECUTED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_NOT_SCHEDULED = (
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
)
_HOST_NETWORK = "node.kubernetes.io/network-unavailable"
_NODE_FIELD = "metadata.name"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class Verdict(NamedTuple):
    """Of one node: is a pod to be made there, and may one that is there stay?"""

    should_run: bool
    may_stay: bool


def verdict(daemon_set: Object, node: Object) -> Verdict:
    spec = daemon_set["spec"]["template"].get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != objects.name(node):
        return Verdict(False, False)
    if not _is_selected(spec, node):
        return Verdict(False, False)
    allowed = tolerations(spec)
    against = {taint["effect"] for taint in _taints(node) if not any(_tolerates(each, taint) for each in allowed)}
    return Verdict(not against & {"NoSchedule", "NoExecute"}, "NoExecute" not in against)


def _taints(node: Object) -> list[dict[str, Any]]:
    return (node.get("spec") or {}).get("taints") or []


def _is_selected(spec: Object, node: Object) -> bool:
    labels = objects.labels(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
    if required is None:
        return True
    return any(_matches(term, node) for term in required.get("nodeSelectorTerms") or [])


def _matches(term: dict[str, Any], node: Object) -> bool:
    """All its expressions and fields; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    named = {_NODE_FIELD: objects.name(node)}
    return all(_holds(each, objects.labels(node)) for each in expressions) and all(
        _holds(each, named) for each in fields
    )


def _holds(expression: dict[str, Any], values: dict[str, str]) -> bool:
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
    try:
        found, bound = int(value or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return found > bound if operator == "Gt" else found < bound


# tolerations


def tolerations(spec: Object) -> list[dict[str, Any]]:
    """The template's, and those every daemon pod has."""
    automatic = [_exists(key, "NoExecute") for key in _NOT_EXECUTED]
    automatic += [_exists(key, "NoSchedule") for key in _NOT_SCHEDULED]
    if spec.get("hostNetwork"):
        automatic.append(_exists(_HOST_NETWORK, "NoSchedule"))
    own = spec.get("tolerations") or []
    return [*own, *(each for each in automatic if each not in own)]


def _exists(key: str, effect: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists", "effect": effect}


def _tolerates(toleration: dict[str, Any], taint: dict[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == (taint.get("value") or "")


# pods


def pod_for(daemon_set: Object, node: str, mark: str) -> Object:
    pod = pod_from(daemon_set["spec"]["template"], daemon_set)
    pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), HASH_LABEL: mark}
    spec = pod["spec"]
    spec["tolerations"] = tolerations(spec)
    _pin(spec, node)
    return pod


def _pin(spec: Object, node: str) -> None:
    """Replace whatever terms there are: the node was chosen by them, and only this one will do."""
    term = {"matchFields": [{"key": _NODE_FIELD, "operator": "In", "values": [node]}]}
    affinity = spec.setdefault("affinity", {})
    affinity.setdefault("nodeAffinity", {})[_REQUIRED] = {"nodeSelectorTerms": [term]}


def target(pod: Object) -> str:
    """The node a pod runs on or, not being bound yet, is meant for."""
    bound = node_name(pod)
    if bound:
        return bound
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    for term in (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []:
        for found in term.get("matchFields") or []:
            if (
                found.get("key") == _NODE_FIELD
                and found.get("operator") == "In"
                and len(found.get("values") or ()) == 1
            ):
                name: str = found["values"][0]
                return name
    return ""


def by_node(pods: Iterable[Object]) -> dict[str, list[Object]]:
    """Pods by the node they are for. An adopted one that is for none yet is nobody's business."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        name = target(pod)
        if name:
            found.setdefault(name, []).append(pod)
    return found
