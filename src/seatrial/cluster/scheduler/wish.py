"""One pod looking for a node, with everything about it and its neighbours that is the same for every node worked
out once: `filter` and `score` then only look at one node at a time.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from seatrial.cluster.scheduler import affinity, demand, spread

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from seatrial.cluster.scheduler.affinity import Namespaces, Place
    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object


class Wish:
    def __init__(self, pod: Object, states: Sequence[NodeState], namespaces: Namespaces) -> None:
        self.pod = pod
        self._states = states
        self._namespaces = namespaces
        self.requests = demand.requests(pod)
        self.ports = demand.host_ports(pod)

    @cached_property
    def spreads(self) -> list[spread.Spread]:
        return spread.of(self.pod, "DoNotSchedule", self._states)

    @cached_property
    def wider_spreads(self) -> list[spread.Spread]:
        """Wanted, not required."""
        return spread.of(self.pod, "ScheduleAnyway", self._states)

    @cached_property
    def attraction(self) -> affinity.Attraction:
        return affinity.Attraction(self.pod, self._states, self._namespaces)

    @cached_property
    def shunned(self) -> set[Place]:
        return affinity.shunned(self.pod, self._states, self._namespaces)

    @cached_property
    def shunning(self) -> set[Place]:
        return affinity.shunning(self.pod, self._states, self._namespaces)

    @cached_property
    def leanings(self) -> Counter[Place]:
        return affinity.leanings(self.pod, self._states, self._namespaces)


def cares_about_neighbours(pod: Object) -> bool:
    """Whether other pods, and the labels they wear, decide where it may go (room and ports apart)."""
    wanted = pod["spec"].get("affinity") or {}
    return bool(
        wanted.get("podAffinity") or wanted.get("podAntiAffinity") or pod["spec"].get("topologySpreadConstraints")
    )
