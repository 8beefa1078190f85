"""Nodes and pods to schedule, and the question every rule is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.scheduler.ledger import Ledger
from seatrial.cluster.scheduler.wish import Wish
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object

ROOM = {"cpu": "4", "memory": "8Gi", "pods": "110"}


def node(name: str, *, allocatable: Mapping[str, str] = ROOM, labels: Mapping[str, str] = {}, **spec: Any) -> Object:
    labels = {"kubernetes.io/hostname": name, **labels}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": dict(allocatable)},
    }


def pod(name: str = "p", *, namespace: str = "default", labels: Mapping[str, str] = {}, **spec: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "labels": dict(labels)}
    return {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "i"}], **spec}, "status": {}}


def asking(cpu: str = "", memory: str = "", **more: Any) -> Object:
    """A container that requests this much."""
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"name": "c", "image": "i", "resources": {"requests": requests}, **more}


class Land:
    """Nodes, the pods on them, and the labels of namespaces."""

    def __init__(self, *nodes: Object) -> None:
        self.ledger = Ledger()
        self.namespaces: dict[str, dict[str, str]] = {}
        for each in nodes:
            self.ledger.node_changed(None, each)

    def put(self, on: str, *pods: Object) -> Land:
        for each in pods:
            self.ledger.assume(each, on)
        return self

    @property
    def states(self) -> Sequence[NodeState]:
        return self.ledger.nodes()

    def state(self, name: str) -> NodeState:
        return next(state for state in self.states if objects.name(state.node or {}) == name)

    def wish(self, wanted: Object) -> Wish:
        return Wish(wanted, self.states, lambda name: self.namespaces.get(name, {}))
