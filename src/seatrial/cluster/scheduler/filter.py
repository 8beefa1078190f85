"""Where a pod may go: one function per rule, each giving the reasons a node is out, in the words kubectl users know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.scheduler import affinity, demand
from seatrial.kube.model import nodefit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seatrial.cluster.scheduler.affinity import Place
    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.cluster.scheduler.wish import Wish
    from seatrial.kube.model.objects import Object

    Rule = Callable[[Wish, NodeState], Sequence[str]]

UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def reasons_against(wish: Wish, state: NodeState) -> Sequence[str]:
    """Why the pod cannot go to the node, by the first rule that has something against it; nothing if it can."""
    for rule in RULES:
        if reasons := rule(wish, state):
            return reasons
    return ()


def _node(state: NodeState) -> Object:
    return state.node or {}


def unschedulable(wish: Wish, state: NodeState) -> Sequence[str]:
    cordoned = (_node(state).get("spec") or {}).get("unschedulable")
    if not cordoned or nodefit.tolerated(wish.pod["spec"].get("tolerations") or [], UNSCHEDULABLE):
        return ()
    return ("node(s) were unschedulable",)


def taints(wish: Wish, state: NodeState) -> Sequence[str]:
    refused = nodefit.untolerated(wish.pod["spec"], _node(state))
    return () if refused is None else ("node(s) had untolerated taint(s)",)


def node_affinity(wish: Wish, state: NodeState) -> Sequence[str]:
    fits = nodefit.selects(wish.pod["spec"], _node(state))
    return () if fits else ("node(s) didn't match Pod's node affinity/selector",)


def ports(wish: Wish, state: NodeState) -> Sequence[str]:
    if wish.ports and demand.ports_clash(wish.ports, state.taken_ports):
        return ("node(s) didn't have free ports for the requested pod ports",)
    return ()


def resources(wish: Wish, state: NodeState) -> Sequence[str]:
    """Everything that is short, not only the first."""
    full = ["Too many pods"] if state.free("pods") < 1 else []
    short = [name for name, amount in wish.requests.items() if amount > 0 and amount > state.free(name)]
    return [*full, *(f"Insufficient {name}" for name in short)]


def spread(wish: Wish, state: NodeState) -> Sequence[str]:
    reason = "node(s) didn't match pod topology spread constraints"
    for constraint in wish.spreads:
        domain = affinity.domain(state.node, constraint.key)
        if domain is None:
            return (f"{reason} (missing required label)",)
        if not constraint.admits(domain):
            return (reason,)
    return ()


def pod_affinity(wish: Wish, state: NodeState) -> Sequence[str]:
    return () if wish.attraction.admits(state.node) else ("node(s) didn't match pod affinity rules",)


def pod_anti_affinity(wish: Wish, state: NodeState) -> Sequence[str]:
    if _is_in(wish.shunned, state):
        return ("node(s) didn't match pod anti-affinity rules",)
    if _is_in(wish.shunning, state):
        return ("node(s) didn't satisfy existing pods anti-affinity rules",)
    return ()


def _is_in(places: set[Place], state: NodeState) -> bool:
    return any(affinity.domain(state.node, key) == value for key, value in places)


RULES: tuple[Rule, ...] = (
    unschedulable,
    taints,
    node_affinity,
    ports,
    resources,
    spread,
    pod_affinity,
    pod_anti_affinity,
)
"""In upstream's order, which decides the reason a user is told; it is also the cheap and selective ones first."""
