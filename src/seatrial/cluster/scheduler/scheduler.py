"""The scheduler: a controller whose keys are pods without a node.

A pod that fits nowhere says why in its PodScheduled condition and an event, and is tried again when a node or
another pod changes, and by the clock.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.scheduler import filter, score
from seatrial.cluster.scheduler.ledger import DONE_PHASES, Ledger
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

NAME = "default-scheduler"
_RETRY_SECONDS = 30.0


def build(context: ControlContext) -> Controller:
    return Scheduler(context).controller


class Scheduler:
    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self._ledger = Ledger()
        self._waiting: set[Key] = set()
        self._resource = resources.for_plural("pods")
        self._pods = context.informers.get(self._resource)
        nodes = context.informers.get(resources.for_plural("nodes"))
        self._pods.on_change(self._pod_changed)
        nodes.on_change(self._node_changed)
        # One worker: two pods must not be measured against the same room at once.
        self.controller = Controller("scheduler", self._reconcile, clock=context.clock, workers=1)
        self.controller.watches(self._pods, _pending)
        self.controller.watches(nodes, lambda _node: ())

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        self._ledger.pod_changed(old, new)
        if new is None or new.get("status", {}).get("phase") in DONE_PHASES:
            self._retry_waiting()

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        self._ledger.node_changed(old, new)
        if old is None or new is None or _matters(old) != _matters(new):
            self._retry_waiting()

    def _retry_waiting(self) -> None:
        for key in self._waiting:
            self.controller.enqueue(key)

    async def _reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(*key)
        self._waiting.discard(key)
        if pod is None or not list(_pending(pod)) or self._ledger.is_placed(pod):
            return DONE
        if pod["spec"].get("schedulingGates"):
            await self._explain(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
            return DONE
        states = self._ledger.nodes()
        reasons = [(state, filter.reason_against(pod, state, states)) for state in states]
        candidates = [state for state, reason in reasons if not reason]
        if not candidates:
            self._waiting.add(key)
            message = explanation([reason for _, reason in reasons])
            self._context.recorder.event(pod, "Warning", "FailedScheduling", message, component=NAME)
            await self._explain(pod, "Unschedulable", message)
            return Outcome(requeue_after=_RETRY_SECONDS)
        chosen = candidates[0] if len(candidates) == 1 else score.best(pod, candidates, states)
        await self._bind(pod, objects.name(chosen.node or {}))
        return DONE

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
        except StatusError as error:
            self._ledger.forget(pod)
            if error.code != 404:
                raise
            return
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
    mine = spec.get("schedulerName", NAME) == NAME and not spec.get("nodeName") and not objects.is_deleting(pod)
    return [(objects.namespace(pod), objects.name(pod))] if mine else []


def _matters(node: Object) -> object:
    """What of a node decides about pods: a heartbeat does not."""
    return node["spec"], objects.labels(node), node.get("status", {}).get("allocatable")


def explanation(reasons: list[str]) -> str:
    """`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`"""
    if not reasons:
        return "no nodes available to schedule pods"
    counted = ", ".join(f"{count} {reason}" for reason, count in sorted(Counter(reasons).items()))
    return f"0/{len(reasons)} nodes are available: {counted}."
