"""Which nodes run a DaemonSet's pod, and how a pod says which node it is for. Pure.

A daemon pod tolerates what happens to nodes in trouble, and carries its node's name as required affinity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.controllers.pods import node_name
from seatrial.cluster.controllers.revisions import HASH_LABEL
from seatrial.cluster.controllers.template import pod_from
from seatrial.kube.model import nodefit, objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object

_NOT_EXECUTED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_NOT_SCHEDULED = (
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
)
_HOST_NETWORK = "node.kubernetes.io/network-unavailable"


class Verdict(NamedTuple):
    """Of one node: is a pod to be made there, and may one that is there stay?"""

    should_run: bool
    may_stay: bool


def verdict(daemon_set: Object, node: Object) -> Verdict:
    spec = daemon_set["spec"]["template"].get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != objects.name(node):
        return Verdict(False, False)
    if not nodefit.selects(spec, node):
        return Verdict(False, False)
    allowed = tolerations(spec)
    against = {taint["effect"] for taint in nodefit.taints(node) if not nodefit.tolerated(allowed, taint)}
    return Verdict(not against & {"NoSchedule", "NoExecute"}, "NoExecute" not in against)


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
    term = {"matchFields": [{"key": nodefit.NODE_NAME, "operator": "In", "values": [node]}]}
    affinity = spec.setdefault("affinity", {})
    affinity.setdefault("nodeAffinity", {})[nodefit.REQUIRED] = {"nodeSelectorTerms": [term]}


def target(pod: Object) -> str:
    """The node a pod runs on or, not being bound yet, is meant for."""
    bound = node_name(pod)
    if bound:
        return bound
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    for term in (affinity.get(nodefit.REQUIRED) or {}).get("nodeSelectorTerms") or []:
        for found in term.get("matchFields") or []:
            if (
                found.get("key") == nodefit.NODE_NAME
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
