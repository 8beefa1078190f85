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
    from seatrial.kube.model.objects import Object

_DONE_PHASES = frozenset({"Succeeded", "Failed"})


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
        self.allocatable = demand.amounts(((node or {}).get("status") or {}).get("allocatable"))

    def add(self, pod: Object) -> None:
        self.remove(objects.uid(pod))
        self.pods[objects.uid(pod)] = pod
        if affinity.required(pod, "podAntiAffinity"):
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

    def _state(self, name: str) -> NodeState:
        return self._nodes.setdefault(name, NodeState())

    def node_changed(self, old: Object | None, new: Object | None) -> None:
        """Pods of a node that is gone stay on its account: it may come back before they go."""
        name = objects.name(new or old or {})
        self._state(name).set_node(new)
        self._drop_if_idle(name)

    def pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        if new is None or is_done(new):
            self.forget(pod)
        elif pod["spec"].get("nodeName"):
            self.assume(pod, pod["spec"]["nodeName"])

    def assume(self, pod: Object, node: str) -> None:
        uid = objects.uid(pod)
        if self._where.get(uid) != node:
            self.forget(pod)
        self._where[uid] = node
        self._state(node).add(pod)

    def forget(self, pod: Object) -> None:
        """The pod takes no room any more: it is gone, has ended, or could not be bound."""
        uid = objects.uid(pod)
        node = self._where.pop(uid, None)
        if node is not None:
            self._state(node).remove(uid)
            self._drop_if_idle(node)

    def is_placed(self, pod: Object) -> bool:
        return objects.uid(pod) in self._where

    def _drop_if_idle(self, name: str) -> None:
        state = self._nodes[name]
        if state.node is None and not state.pods:
            del self._nodes[name]


def is_done(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in _DONE_PHASES
