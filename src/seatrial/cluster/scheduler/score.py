"""Where a pod goes best among the nodes it may go to: more room left, preferred affinities, no PreferNoSchedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.scheduler import affinity, demand, filter
from seatrial.kube.model import nodefit, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object

_TAINT_PENALTY = 300.0
"""Upstream weighs taint toleration three times a full score of 100."""
_SPREAD_PENALTY = 20.0


def best(pod: Object, candidates: Sequence[NodeState], states: Sequence[NodeState]) -> NodeState:
    """The candidate with the highest score; the first by name among equals."""
    return max(candidates, key=lambda state: score(pod, state, states))


def score(pod: Object, state: NodeState, states: Sequence[NodeState]) -> float:
    return (
        _room(pod, state)
        + _node_preference(pod, state)
        + _pod_preference(pod, state, states)
        - _spread(pod, state)
        - _unwelcome(pod, state)
    )


def _room(pod: Object, state: NodeState) -> float:
    """0..100: the mean share of CPU and memory that stays free."""
    wanted = demand.requests(pod)
    shares = [
        max(0.0, (state.free(name) - wanted[name]) / state.allocatable[name])
        for name in ("cpu", "memory")
        if state.allocatable[name] > 0
    ]
    return 100.0 * sum(shares) / len(shares) if shares else 0.0


def _node_preference(pod: Object, state: NodeState) -> float:
    node = state.node or {}
    terms = affinity.preferred(pod, "nodeAffinity")
    return 2.0 * sum(float(t["weight"]) for t in terms if nodefit.term_matches(t["preference"], node))


def _pod_preference(pod: Object, state: NodeState, states: Sequence[NodeState]) -> float:
    total = 0.0
    for kind, sign in (("podAffinity", 2.0), ("podAntiAffinity", -2.0)):
        for weighted in affinity.preferred(pod, kind):
            term = weighted["podAffinityTerm"]
            value = affinity.domain(state.node, term["topologyKey"])
            if value is not None:
                near = affinity.pods_in_domain(states, term["topologyKey"], value)
                total += sign * weighted["weight"] * sum(1 for other in near if affinity.selects(term, pod, other))
    return total


def _spread(pod: Object, state: NodeState) -> float:
    """Siblings (pods of the same controller) on the node count against it."""
    owner = objects.controller_of(pod)
    if owner is None:
        return 0.0
    siblings = (objects.controller_of(other) for other in state.pods.values())
    return _SPREAD_PENALTY * sum(1 for sibling in siblings if sibling and sibling["uid"] == owner["uid"])


def _unwelcome(pod: Object, state: NodeState) -> float:
    taints = nodefit.taints(state.node or {})
    return _TAINT_PENALTY * sum(
        1 for taint in taints if taint["effect"] == "PreferNoSchedule" and not filter.tolerates(pod, taint)
    )
