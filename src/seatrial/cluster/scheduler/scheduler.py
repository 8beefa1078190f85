"""The scheduler: a controller whose keys are pods without a node.

A pod that fits nowhere says why in its PodScheduled condition and an event, and is tried again when what kept it
out may have changed: a node, another pod, a namespace's labels; and by the clock.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.scheduler import filter, score, storage, wish
from seatrial.cluster.scheduler.ledger import Ledger, is_done
from seatrial.cluster.scheduler.storage import Storage
from seatrial.cluster.scheduler.wish import Wish
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

NAME = "default-scheduler"
_RETRY_SECONDS = 300.0
"""As upstream: only for what no event tells of."""


def build(context: ControlContext) -> Controller:
    return Scheduler(context).controller


class Scheduler:
    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self._ledger = Ledger()
        self._waiting: dict[Key, Object] = {}
        """Pods that fit nowhere when last tried."""
        self._resource = resources.for_plural("pods")
        self._pods = context.informers.get(self._resource)
        self._namespaces = context.informers.get(resources.for_plural("namespaces"))
        nodes = context.informers.get(resources.for_plural("nodes"))
        self._storage = Storage(context.informers)
        self._pods.on_change(self._pod_changed)
        self._namespaces.on_change(self._namespace_changed)
        nodes.on_change(self._node_changed)
        self._storage.on_change(self._storage_changed)
        # One worker: two pods must not be measured against the same room at once.
        self.controller = Controller("scheduler", self._reconcile, clock=context.clock, workers=1)
        self.controller.watches(self._pods, _pending)
        for informer in (nodes, self._namespaces, *self._storage.informers):
            self.controller.watches(informer, lambda _: ())

    # what may help those that wait

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        had_room = self._ledger.is_placed(new or old or {})
        self._ledger.pod_changed(old, new)
        if new is None or is_done(new):
            if had_room:
                self._retry_waiting()
        elif _neighbourhood(old) != _neighbourhood(new):
            self._retry_waiting(only_social=True)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        self._ledger.node_changed(old, new)
        if old is None or new is None or _matters(old) != _matters(new):
            self._retry_waiting()

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and objects.labels(old) != objects.labels(new):
            self._retry_waiting(only_social=True)

    def _storage_changed(self) -> None:
        for key, pod in self._waiting.items():
            if any(storage.claims_of(pod)):
                self.controller.enqueue(key)

    def _retry_waiting(self, *, only_social: bool = False) -> None:
        for key, pod in self._waiting.items():
            if not only_social or wish.cares_about_neighbours(pod):
                self.controller.enqueue(key)

    # one pod

    async def _reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(*key)
        self._waiting.pop(key, None)
        if pod is None or not _pending(pod) or self._ledger.is_placed(pod):
            return DONE
        if pod["spec"].get("schedulingGates"):
            await self._explain(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
            return DONE
        states = self._ledger.nodes()
        wanted = Wish(pod, states, self._labels_of_namespace)
        if states and (obstacle := self._storage.obstacle(pod)):
            return await self._postpone(key, pod, f"0/{len(states)} nodes are available: {obstacle}.")
        reasons = [self._reasons_against(wanted, state) for state in states]
        candidates = [state for state, against in zip(states, reasons, strict=True) if not against]
        if not candidates:
            return await self._postpone(key, pod, explanation(reasons))
        chosen = candidates[0] if len(candidates) == 1 else score.best(wanted, candidates)
        await self._bind(pod, objects.name(chosen.node or {}))
        return DONE

    def _reasons_against(self, wanted: Wish, state: NodeState) -> Sequence[str]:
        against = filter.reasons_against(wanted, state)
        if against or self._storage.admits(wanted.pod, state.node or {}):
            return against
        return (storage.CONFLICT,)

    def _labels_of_namespace(self, name: str) -> Mapping[str, str]:
        return objects.labels(self._namespaces.get("", name) or {})

    async def _postpone(self, key: Key, pod: Object, message: str) -> Outcome:
        self._waiting[key] = pod
        self._context.recorder.event(pod, "Warning", "FailedScheduling", message, component=NAME)
        await self._explain(pod, "Unschedulable", message)
        return Outcome(requeue_after=_RETRY_SECONDS)

    async def _bind(self, pod: Object, node: str) -> None:
        namespace, name = objects.namespace(pod), objects.name(pod)
        self._ledger.assume(pod, node)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": objects.uid(pod)},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._context.client.create(self._resource, binding, namespace, subresource="binding", name=name)
        except BaseException as error:
            # If it did arrive after all, the informer will say so.
            self._ledger.forget(pod)
            self._retry_waiting()
            if isinstance(error, StatusError) and error.code == 404:
                return
            raise
        message = f"Successfully assigned {namespace}/{name} to {node}"
        self._context.recorder.event(pod, "Normal", "Scheduled", message, component=NAME)

    async def _explain(self, pod: Object, reason: str, message: str) -> None:
        changed = objects.clone(pod)
        found = changed.setdefault("status", {}).setdefault("conditions", [])
        now = rfc3339(self._context.clock.time())
        if conditions.set_condition(found, "PodScheduled", "False", reason, message, now):
            await self._context.client.update(self._resource, changed, subresource="status")


def _pending(pod: Object) -> list[Key]:
    spec = pod["spec"]
    if spec.get("nodeName") or spec.get("schedulerName", NAME) != NAME or objects.is_deleting(pod) or is_done(pod):
        return []
    return [(objects.namespace(pod), objects.name(pod))]


def _matters(node: Object) -> object:
    """What of a node decides about pods: a heartbeat does not."""
    return node["spec"], objects.labels(node), (node.get("status") or {}).get("allocatable")


def _neighbourhood(pod: Object | None) -> object:
    """What of a pod decides about pods that want to be near it, or far from it."""
    if pod is None or not pod["spec"].get("nodeName"):
        return None
    return pod["spec"]["nodeName"], objects.labels(pod), objects.is_deleting(pod)


def explanation(reasons: Sequence[Sequence[str]]) -> str:
    """From the reasons of every node: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`"""
    if not reasons:
        return "no nodes available to schedule pods"
    counted = Counter(reason for of_node in reasons for reason in of_node)
    told = ", ".join(sorted(f"{count} {reason}" for reason, count in counted.items()))
    return f"0/{len(reasons)} nodes are available: {told}."
