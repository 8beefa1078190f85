"""Pods nobody would finish: bound to a node that no longer exists, or deleted before they were bound to any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

QUARANTINE_SECONDS = 40.0
"""How long a missing node may take to show up, as upstream waits."""
_NODE = "node"


def build(context: ControlContext) -> Controller:
    return _PodGC(context).controller


def is_forgotten(pod: Object) -> bool:
    """Deleted, and no node will ever end it."""
    return objects.is_deleting(pod) and not pod["spec"].get("nodeName")


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


class _PodGC:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._resource = resources.for_plural("pods")
        self._node_resource = resources.for_plural("nodes")
        self._pods = context.informers.get(self._resource)
        self._nodes = context.informers.get(self._node_resource)
        self._missing_since: dict[str, float] = {}
        self._pods.add_index(_NODE, _node_of)
        self.controller = Controller("podgc", self._reconcile, clock=context.clock)
        self.controller.watches(self._pods)
        self.controller.watches(self._nodes, lambda _node: ())
        self._nodes.on_change(self._node_changed)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._missing_since.pop(objects.name(new), None)
        elif old is not None:
            for pod in self._pods.by_index(_NODE, objects.name(old)):
                self.controller.enqueue((objects.namespace(pod), objects.name(pod)))

    async def _reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(*key)
        if pod is None:
            return DONE
        if is_forgotten(pod):
            await self._remove(pod)
            return DONE
        node = pod["spec"].get("nodeName")
        if not node or self._nodes.get("", node) is not None:
            return DONE
        since = self._missing_since.setdefault(node, self._clock.monotonic())
        left = since + QUARANTINE_SECONDS - self._clock.monotonic()
        if left > 0:
            return Outcome(requeue_after=left)
        if not await self._exists(node):
            await self._fail(pod)
            await self._remove(pod)
        return DONE

    async def _exists(self, node: str) -> bool:
        try:
            await self._client.get(self._node_resource, node)
        except StatusError as error:
            if error.code != 404:
                raise
            return False
        return True

    async def _fail(self, pod: Object) -> None:
        """Whoever replaces the pod should see why it ended."""
        if is_finished(pod):
            return
        changed = objects.clone(pod)
        status = changed.setdefault("status", {})
        status["phase"] = "Failed"
        said = "True", "DeletionByPodGC", "PodGC: node no longer exists"
        listed = status.setdefault("conditions", [])
        conditions.set_condition(listed, "DisruptionTarget", *said, rfc3339(self._clock.time()))
        await self._client.update(self._resource, changed, subresource="status")

    async def _remove(self, pod: Object) -> None:
        try:
            await self._client.delete(
                self._resource, objects.name(pod), objects.namespace(pod), grace=0, uid=objects.uid(pod)
            )
        except StatusError as error:
            if error.code != 404:
                raise


def _node_of(pod: Object) -> Iterable[str]:
    node = pod["spec"].get("nodeName")
    return (node,) if node else ()
