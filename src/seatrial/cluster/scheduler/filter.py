"""Where a pod may go: one function per rule, each giving the reason a node is out, in the words kubectl users know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.scheduler import affinity, demand
from seatrial.kube.model import nodefit, objects, selectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object

    Rule = Callable[[Object, NodeState, Sequence[NodeState]], str]

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def reason_against(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    """Why the pod cannot go to the node; "" if it can."""
    for rule in RULES:
        reason = rule(pod, state, states)
        if reason:
            return reason
    return ""


def _node(state: NodeState) -> Object:
    return state.node or {}


def unschedulable(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    if not _node(state)["spec"].get("unschedulable"):
        return ""
    taint = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
    return "" if tolerates(pod, taint) else "node(s) were unschedulable"


def taints(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    for taint in nodefit.taints(_node(state)):
        if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(pod, taint):
            shown = f"{taint['key']}: {taint.get('value', '')}"
            return f"node(s) had untolerated taint {{{shown}}}"
    return ""


def tolerates(pod: Object, taint: dict[str, Any]) -> bool:
    return nodefit.tolerated(pod["spec"].get("tolerations") or [], taint)


def node_affinity(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    fits = nodefit.selects(pod["spec"], _node(state))
    return "" if fits else "node(s) didn't match Pod's node affinity/selector"


def ports(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    wanted = demand.host_ports(pod)
    if wanted and demand.ports_clash(wanted, state.taken_ports):
        return "node(s) didn't have free ports for the requested pod ports"
    return ""


def resources(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    if state.free("pods") < 1:
        return "Too many pods"
    for name, amount in demand.requests(pod).items():
        if amount > 0 and amount > state.free(name):
            return f"Insufficient {name}"
    return ""


def pod_anti_affinity(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    for term in affinity.pod_terms(pod, "podAntiAffinity"):
        value = affinity.domain(state.node, term["topologyKey"])
        if value is None:
            continue
        neighbours = affinity.pods_in_domain(states, term["topologyKey"], value)
        if any(affinity.selects(term, pod, other) for other in neighbours):
            return "node(s) didn't match pod anti-affinity rules"
    if _repels(pod, state, states):
        return "node(s) didn't satisfy existing pods anti-affinity rules"
    return ""


def _repels(pod: Object, state: NodeState, states: Sequence[NodeState]) -> bool:
    """Anti-affinity is mutual: a pod already there may not want this one near."""
    for other_state in states:
        for other in other_state.repelling.values():
            for term in affinity.pod_terms(other, "podAntiAffinity"):
                theirs = affinity.domain(other_state.node, term["topologyKey"])
                ours = affinity.domain(state.node, term["topologyKey"])
                if theirs is not None and theirs == ours and affinity.selects(term, other, pod):
                    return True
    return False


def pod_affinity(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    for term in affinity.pod_terms(pod, "podAffinity"):
        value = affinity.domain(state.node, term["topologyKey"])
        if value is None:
            return "node(s) didn't match pod affinity rules"
        neighbours = affinity.pods_in_domain(states, term["topologyKey"], value)
        if any(affinity.selects(term, pod, other) for other in neighbours):
            continue
        # The first pod of a group that wants its own kind near may go anywhere.
        anywhere = any(affinity.selects(term, pod, o) for s in states for o in s.pods.values())
        if anywhere or not affinity.selects(term, pod, pod):
            return "node(s) didn't match pod affinity rules"
    return ""


def spread(pod: Object, state: NodeState, states: Sequence[NodeState]) -> str:
    for rule in pod["spec"].get("topologySpreadConstraints") or []:
        if rule.get("whenUnsatisfiable") != "DoNotSchedule":
            continue
        key = rule["topologyKey"]
        value = affinity.domain(state.node, key)
        if value is None:
            return "node(s) didn't match pod topology spread constraints (missing required label)"
        counts = _counts(pod, rule, key, states)
        least = min(counts.values(), default=0) if len(counts) >= (rule.get("minDomains") or 1) else 0
        own = 1 if _counted(pod, rule, pod) else 0
        if counts.get(value, 0) + own - least > rule["maxSkew"]:
            return "node(s) didn't match pod topology spread constraints"
    return ""


def _counts(pod: Object, rule: dict[str, Any], key: str, states: Sequence[NodeState]) -> dict[str, int]:
    """Matching pods per domain, over the nodes the pod's node affinity admits (nodeAffinityPolicy: Honor)."""
    counts: dict[str, int] = {}
    for state in states:
        value = affinity.domain(state.node, key)
        if value is None or (rule.get("nodeAffinityPolicy", "Honor") == "Honor" and node_affinity(pod, state, ())):
            continue
        found = sum(1 for other in state.pods.values() if _counted(pod, rule, other))
        counts[value] = counts.get(value, 0) + found
    return counts


def _counted(pod: Object, rule: dict[str, Any], other: Object) -> bool:
    if objects.namespace(pod) != objects.namespace(other) or objects.is_deleting(other):
        return False
    labels = objects.labels(pod)
    same = all(objects.labels(other).get(key) == labels.get(key) for key in rule.get("matchLabelKeys") or [])
    return same and selectors.from_object(rule.get("labelSelector")).matches(objects.labels(other))


RULES: tuple[Rule, ...] = (
    unschedulable,
    node_affinity,
    taints,
    ports,
    resources,
    spread,
    pod_anti_affinity,
    pod_affinity,
)
"""Cheap and selective first."""
