"""Where a pod goes best among the nodes it may go to: more room left, preferred affinities, spread, no
PreferNoSchedule. The weights are of our own; upstream's order of importance is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.scheduler import affinity
from seatrial.kube.model import nodefit, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.cluster.scheduler.wish import Wish

_TAINT_PENALTY = 300.0
"""Upstream weighs taint toleration three times a full score of 100."""
_SPREAD_PENALTY = 20.0
_PREFERENCE_WEIGHT = 2.0


def best(wish: Wish, candidates: Sequence[NodeState]) -> NodeState:
    """The candidate with the highest score; the first by name among equals."""
    return max(candidates, key=lambda state: score(wish, state))


def score(wish: Wish, state: NodeState) -> float:
    return (
        _room(wish, state)
        + _node_preference(wish, state)
        + _pod_preference(wish, state)
        - _siblings(wish, state)
        - _crowd(wish, state)
        - _unwelcome(wish, state)
    )


def _room(wish: Wish, state: NodeState) -> float:
    """0..100: the mean share of CPU and memory that stays free."""
    shares = [
        max(0.0, (state.free(name) - wish.requests[name]) / state.allocatable[name])
        for name in ("cpu", "memory")
        if state.allocatable[name] > 0
    ]
    return 100.0 * sum(shares) / len(shares) if shares else 0.0


def _node_preference(wish: Wish, state: NodeState) -> float:
    terms = affinity.preferred(wish.pod, "nodeAffinity")
    liked = sum(float(t["weight"]) for t in terms if nodefit.term_matches(t["preference"], state.node or {}))
    return _PREFERENCE_WEIGHT * liked


def _pod_preference(wish: Wish, state: NodeState) -> float:
    here = sum(weight for (key, value), weight in wish.leanings.items() if affinity.domain(state.node, key) == value)
    return _PREFERENCE_WEIGHT * here


def _siblings(wish: Wish, state: NodeState) -> float:
    """Pods of the same controller on the node count against it."""
    owner = objects.controller_of(wish.pod)
    if owner is None:
        return 0.0
    found = (objects.controller_of(other) for other in state.pods.values())
    return _SPREAD_PENALTY * sum(1 for sibling in found if sibling and sibling["uid"] == owner["uid"])


def _crowd(wish: Wish, state: NodeState) -> float:
    """Constraints with ScheduleAnyway: matching pods in the node's domain; no domain counts as the fullest."""
    total = 0
    for constraint in wish.wider_spreads:
        domain = affinity.domain(state.node, constraint.key)
        total += constraint.fullest + 1 if domain is None else constraint.count(domain)
    return _SPREAD_PENALTY * total


def _unwelcome(wish: Wish, state: NodeState) -> float:
    tolerations = wish.pod["spec"].get("tolerations") or []
    disliked = [taint for taint in nodefit.taints(state.node or {}) if taint["effect"] == "PreferNoSchedule"]
    return _TAINT_PENALTY * sum(1 for taint in disliked if not nodefit.tolerated(tolerations, taint))
