"""What each node has and what its pods take of it, kept up to date by every pod and node change.

A pod counts from the moment the scheduler chose a node for it (`assume`), not only when the API says so: otherwise
two pods scheduled in one breath would be given the same room.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from seatrial.cluster.scheduler import affinity, demand
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object

DONE_PHASES = frozenset({"Succeeded", "Failed"})


class NodeState:
    """A node with the pods on it."""

    __slots__ = ("allocatable", "node", "pods", "ports", "repelling", "used")

    def __init__(self) -> None:
        self.node: Object | None = None
        self.allocatable: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        self.ports: Counter[demand.PORTS] = Counter()
        self.pods: dict[str, Object] = {}
        """By uid."""
        self.repelling: dict[str, Object] = {}
        """Those of `pods` with required anti-affinity: few, and every newcomer must be checked against them."""

    def free(self, resource: str) -> int:
        return self.allocatable[resource] - self.used[resource]

    def set_node(self, node: Object | None) -> None:
        self.node = node
        self.allocatable = demand.amounts((node or {}).get("status", {}).get("allocatable"))

    def add(self, pod: Object) -> None:
        self.remove(objects.uid(pod))
        self.pods[objects.uid(pod)] = pod
        if affinity.pod_terms(pod, "podAntiAffinity"):
            self.repelling[objects.uid(pod)] = pod
        self.used.update(demand.requests(pod))
        self.used["pods"] += 1
        self.ports.update(demand.host_ports(pod))

    def remove(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        self.repelling.pop(uid, None)
        if pod is not None:
            self.used.subtract(demand.requests(pod))
            self.used["pods"] -= 1
            self.ports.subtract(demand.host_ports(pod))

    @property
    def taken_ports(self) -> set[demand.PORTS]:
        return {port for port, count in self.ports.items() if count > 0}


class Ledger:
    def __init__(self) -> None:
        self._nodes: dict[str, NodeState] = {}
        self._where: dict[str, str] = {}

    def nodes(self) -> list[NodeState]:
        """Every node that exists, by name."""
        return [self._nodes[name] for name in sorted(self._nodes) if self._nodes[name].node is not None]

    def pods(self) -> Iterable[Object]:
        for state in self._nodes.values():
            yield from state.pods.values()

    def _state(self, name: str) -> NodeState:
        return self._nodes.setdefault(name, NodeState())

    def node_changed(self, old: Object | None, new: Object | None) -> None:
        name = objects.name(new or old or {})
        self._state(name).set_node(new)

    def pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        uid = objects.uid(pod)
        gone = new is None or new.get("status", {}).get("phase") in DONE_PHASES
        if gone:
            self._forget(uid)
        elif pod["spec"].get("nodeName"):
            self.assume(pod, pod["spec"]["nodeName"])

    def assume(self, pod: Object, node: str) -> None:
        uid = objects.uid(pod)
        if self._where.get(uid) != node:
            self._forget(uid)
        self._where[uid] = node
        self._state(node).add(pod)

    def forget(self, pod: Object) -> None:
        """The binding failed: the room is free again."""
        self._forget(objects.uid(pod))

    def is_placed(self, pod: Object) -> bool:
        return objects.uid(pod) in self._where

    def _forget(self, uid: str) -> None:
        node = self._where.pop(uid, None)
        if node is not None:
            self._state(node).remove(uid)
