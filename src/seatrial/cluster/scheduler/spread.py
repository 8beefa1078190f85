"""Topology spread constraints: how evenly pods lie over zones, hosts or any other label of nodes. Pure.

Source: "Pod Topology Spread Constraints" in the Kubernetes documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.scheduler import affinity
from seatrial.kube.model import nodefit, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object

    Rule = dict[str, Any]


def constraints(pod: Object, action: str) -> list[Rule]:
    """Those of one whenUnsatisfiable: DoNotSchedule or ScheduleAnyway."""
    found = pod["spec"].get("topologySpreadConstraints") or []
    return [rule for rule in found if rule.get("whenUnsatisfiable", "DoNotSchedule") == action]


class Spread:
    """One constraint of a pod, with the matching pods counted by domain."""

    def __init__(self, pod: Object, rule: Rule, keys: Sequence[str], states: Sequence[NodeState]) -> None:
        self.key: str = rule["topologyKey"]
        self._rule = rule
        self._pod = pod
        self._selector = affinity.selector_of(rule, pod)
        self._counts: dict[str, int] = {}
        for state in states:
            if all(affinity.domain(state.node, key) is not None for key in keys) and self._includes(state.node or {}):
                value = affinity.domain(state.node, self.key) or ""
                self._counts[value] = self._counts.get(value, 0) + self._count(state)
        enough = len(self._counts) >= (rule.get("minDomains") or 1)
        self._least = min(self._counts.values(), default=0) if enough else 0
        self._own = 1 if self._selector.matches(objects.labels(pod)) else 0

    def skew(self, domain: str) -> int:
        """How far the domain would be ahead of the emptiest one with the pod in it."""
        return self.count(domain) + self._own - self._least

    def count(self, domain: str) -> int:
        return self._counts.get(domain, 0)

    @property
    def fullest(self) -> int:
        return max(self._counts.values(), default=0)

    def admits(self, domain: str) -> bool:
        return self.skew(domain) <= int(self._rule["maxSkew"])

    def _includes(self, node: Object) -> bool:
        """Whether the node's pods count: nodeAffinityPolicy (Honor unless said) and nodeTaintsPolicy (Ignore)."""
        spec = self._pod["spec"]
        if (self._rule.get("nodeAffinityPolicy") or "Honor") == "Honor" and not nodefit.selects(spec, node):
            return False
        return self._rule.get("nodeTaintsPolicy") != "Honor" or nodefit.untolerated(spec, node) is None

    def _count(self, state: NodeState) -> int:
        namespace = objects.namespace(self._pod)
        return sum(
            1
            for other in state.pods.values()
            if objects.namespace(other) == namespace
            and not objects.is_deleting(other)
            and self._selector.matches(objects.labels(other))
        )


def of(pod: Object, action: str, states: Sequence[NodeState]) -> list[Spread]:
    """A node counts for the constraints only if it has the labels of all of them."""
    rules = constraints(pod, action)
    keys = [rule["topologyKey"] for rule in rules]
    return [Spread(pod, rule, keys, states) for rule in rules]
