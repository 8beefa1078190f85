"""Deleting a CustomResourceDefinition deletes its instances first; the definition goes when the last one has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.controllers.definitions import DEFINITIONS, served_as
from seatrial.cluster.controllers.namespace import wait_before_next
from seatrial.kube.client.client import PatchType
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import conditions, objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class Terminating(NamedTuple):
    """The condition of that type."""

    status: str
    reason: str
    message: str


IN_PROGRESS = Terminating("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
COMPLETED = Terminating("False", "InstanceDeletionCompleted", "removed all instances")
NEVER_ESTABLISHED = Terminating("False", "NeverEstablished", "resource was never established")


def failed(error: StatusError) -> Terminating:
    return Terminating("True", "InstanceDeletionFailed", f"could not issue all deletes: {error.message}")


def build(context: ControlContext) -> Controller:
    return _Cleanup(context).controller


class _Cleanup:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._definitions = context.informers.get(DEFINITIONS)
        self.controller = Controller("customresourcecleanup", self._reconcile, clock=context.clock)
        self.controller.watches(self._definitions)

    async def _reconcile(self, key: Key) -> Outcome:
        definition = self._definitions.get(*key)
        if definition is None or not objects.is_deleting(definition):
            return DONE
        if FINALIZER not in objects.finalizers(definition):
            return DONE
        resource = served_as(definition)
        if resource is None:
            await self._release(await self._report(definition, NEVER_ESTABLISHED))
            return DONE
        definition = await self._report(definition, IN_PROGRESS)
        try:
            remaining = await self._delete_instances(resource)
        except StatusError as error:
            await self._report(definition, failed(error))
            raise
        if remaining:
            deleted_at = parse_time(definition["metadata"]["deletionTimestamp"])
            return Outcome(requeue_after=wait_before_next(deleted_at, self._clock.time()))
        await self._release(await self._report(definition, COMPLETED))
        return DONE

    async def _delete_instances(self, resource: Resource) -> int:
        """How many are left; those have finalizers of their own."""
        items = (await self._client.list(resource)).items
        for item in items:
            if not objects.is_deleting(item):
                await self._delete(resource, item)
        return len((await self._client.list(resource)).items) if items else 0

    async def _delete(self, resource: Resource, item: Object) -> None:
        try:
            await self._client.delete(resource, objects.name(item), objects.namespace(item))
        except StatusError as error:
            if error.code != 404:
                raise

    async def _report(self, definition: Object, terminating: Terminating) -> Object:
        changed = objects.clone(definition)
        found = changed.setdefault("status", {})
        listed = found["conditions"] = found.get("conditions") or []
        if not conditions.set_condition(listed, "Terminating", *terminating, rfc3339(self._clock.time())):
            return definition
        return await self._client.update(DEFINITIONS, changed, subresource="status")

    async def _release(self, definition: Object) -> None:
        kept = [name for name in objects.finalizers(definition) if name != FINALIZER]
        version = definition["metadata"]["resourceVersion"]
        change = {"metadata": {"finalizers": kept or None, "resourceVersion": version}}
        await self._client.patch(DEFINITIONS, objects.name(definition), change, type=PatchType.MERGE)
