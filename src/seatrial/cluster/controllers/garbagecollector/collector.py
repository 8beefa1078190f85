"""Carries out what `plan` decides: one pass looks at one object, as an owner being deleted or as a dependent.

Nothing is deleted on hearsay: an owner counts as gone only if its deletion was seen, or if a fresh GET does not
find its uid. Every write names the uid and resourceVersion it was decided on; a conflict means a new decision.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from seatrial.cluster.controllers.garbagecollector import plan
from seatrial.cluster.controllers.garbagecollector.monitors import Monitors
from seatrial.cluster.controllers.garbagecollector.plan import Delete, Detach, Verdict
from seatrial.kube.client.client import PatchType
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from typing import Any

    from seatrial.cluster.controllers.garbagecollector.plan import Reference
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

MOST_GONE = 10_000
"""Owners remembered as gone; one that was forgotten costs a GET."""
_UNTIL_SYNCED = 0.1
_WORKERS = 8


class _UnresolvableOwner(Exception):
    """A cluster-scoped object cannot say in which namespace its owner is, so its fate cannot be decided."""


def build(context: ControlContext) -> Controller:
    return GarbageCollector(context)


class GarbageCollector(Controller):
    """Keys are (plural.group, namespace/name)."""

    def __init__(self, context: ControlContext) -> None:
        super().__init__("garbagecollector", self._reconcile_key, clock=context.clock, workers=_WORKERS)
        self._client = context.client
        self._recorder = context.recorder
        self._mapper = RESTMapper(context.client)
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._graph = Monitors(context)
        for informer in self._graph.informers():
            self.watches(informer, lambda _obj: ())  # the keys come from `_changed`; this waits for the sync
        self._graph.follow(self._changed)

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self._graph.close()

    # which keys

    def _changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._left(old or {})
            return
        if old is not None and objects.owner_references(old) != objects.owner_references(new):
            self._enqueue_waiting_owners(old)
        if plan.waits_for_dependents(new) or plan.orphans_dependents(new) or self._is_suspicious(new):
            self._enqueue_object(resource, new)

    def _left(self, obj: Object) -> None:
        uid = objects.uid(obj)
        for resource, dependent in self._graph.dependents(uid):
            self._gone[uid] = None
            self._enqueue_object(resource, dependent)
        while len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)
        self._enqueue_waiting_owners(obj)

    def _enqueue_waiting_owners(self, dependent: Object) -> None:
        for reference in objects.owner_references(dependent):
            owner = self._graph.owner(reference, objects.namespace(dependent))
            if owner is not None and plan.waits_for_dependents(owner):
                resource = self._graph.resource_of(reference["apiVersion"], reference["kind"])
                if resource is not None:
                    self._enqueue_object(resource, owner)

    def _is_suspicious(self, obj: Object) -> bool:
        """An owner of it has not been seen, or waits for it to go."""
        namespace = objects.namespace(obj)
        owners = [self._graph.owner(reference, namespace) for reference in objects.owner_references(obj)]
        return any(owner is None or plan.waits_for_dependents(owner) for owner in owners)

    def _enqueue_object(self, resource: Resource, obj: Object) -> None:
        self.enqueue((resource.group_resource, f"{objects.namespace(obj)}/{objects.name(obj)}"))

    # one pass

    async def _reconcile_key(self, key: Key) -> Outcome:
        namespace, _, name = key[1].partition("/")
        found = self._graph.find(key[0], namespace, name)
        if found is None:
            return DONE
        try:
            return await self._look_at(*found)
        except StatusError as error:
            if error.code != 404:
                raise
            return DONE  # it is gone; its dependents come when the informer says so

    async def _look_at(self, resource: Resource, obj: Object) -> Outcome:
        if plan.waits_for_dependents(obj):
            return await self._finish_foreground(resource, obj)
        if plan.orphans_dependents(obj):
            return await self._finish_orphaning(resource, obj)
        if not objects.is_deleting(obj):
            await self._judge(resource, obj)
        return DONE

    async def _finish_foreground(self, resource: Resource, owner: Object) -> Outcome:
        if not self._graph.synced:
            return Outcome(requeue_after=_UNTIL_SYNCED)
        uid = objects.uid(owner)
        blocking = [item for item in self._graph.dependents(uid) if plan.blocks(item[1], uid)]
        if not blocking:
            await self._remove_finalizer(resource, owner, plan.FOREGROUND)
        for kind, dependent in blocking:
            if not plan.waits_for_dependents(dependent):
                self._enqueue_object(kind, dependent)
        return DONE

    async def _finish_orphaning(self, resource: Resource, owner: Object) -> Outcome:
        if not self._graph.synced:
            return Outcome(requeue_after=_UNTIL_SYNCED)
        uid = objects.uid(owner)
        for kind, dependent in list(self._graph.dependents(uid)):
            try:
                await self._set_owners(kind, dependent, plan.without_owner(dependent, uid))
            except StatusError as error:
                if error.code != 404:
                    raise
        await self._remove_finalizer(resource, owner, plan.ORPHAN)
        return DONE

    async def _judge(self, resource: Resource, obj: Object) -> None:
        try:
            verdicts = {
                reference["uid"]: await self._verdict(obj, reference) for reference in objects.owner_references(obj)
            }
        except _UnresolvableOwner:
            return
        dependents = [dependent for _, dependent in self._graph.dependents(objects.uid(obj))]
        match plan.decide(obj, verdicts, dependents):
            case Detach(references):
                await self._set_owners(resource, obj, references)
            case Delete(propagation, unblock):
                if unblock:
                    obj = await self._set_owners(resource, obj, plan.unblocked(obj))
                await self._delete(resource, obj, propagation)

    async def _verdict(self, obj: Object, reference: Reference) -> Verdict:
        namespace = objects.namespace(obj)
        seen = self._graph.owner(reference, namespace)
        if seen is not None:
            return plan.verdict_of(seen)
        if reference["uid"] in self._gone:
            return Verdict.ABSENT
        resource = self._graph.resource_of(reference["apiVersion"], reference["kind"])
        if resource is None:
            resource = await self._mapper.for_kind(reference["apiVersion"], reference["kind"])
        if resource.namespaced and not namespace:
            self._warn(obj, reference)
            raise _UnresolvableOwner
        owner = await self._fetch(resource, reference["name"], namespace)
        if owner is not None and objects.uid(owner) == reference["uid"]:
            return plan.verdict_of(owner)
        if self._graph.is_elsewhere(reference, namespace):
            self._warn(obj, reference)
        return Verdict.ABSENT

    async def _fetch(self, resource: Resource, name: str, namespace: str) -> Object | None:
        try:
            return await self._client.get(resource, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    def _warn(self, obj: Object, reference: Reference) -> None:
        namespace = objects.namespace(obj)
        owner = ", ".join(
            (
                f"{reference['apiVersion']}/{reference['kind']}",
                f"namespace: {namespace}",
                f"name: {reference['name']}",
                f"uid: {reference['uid']}",
            )
        )
        message = f'ownerRef [{owner}] does not exist in namespace "{namespace}"'
        self._recorder.event(
            obj, "Warning", "OwnerRefInvalidNamespace", message, component="garbage-collector-controller"
        )

    # writes

    async def _delete(self, resource: Resource, obj: Object, propagation: str) -> None:
        metadata = obj["metadata"]
        await self._client.delete(
            resource,
            metadata["name"],
            metadata.get("namespace") or "",
            propagation=propagation,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        )

    async def _remove_finalizer(self, resource: Resource, obj: Object, finalizer: str) -> None:
        kept = [name for name in objects.finalizers(obj) if name != finalizer]
        await self._patch_metadata(resource, obj, {"finalizers": kept or None})

    async def _set_owners(self, resource: Resource, obj: Object, references: list[Reference]) -> Object:
        return await self._patch_metadata(resource, obj, {"ownerReferences": references or None})

    async def _patch_metadata(self, resource: Resource, obj: Object, change: dict[str, Any]) -> Object:
        metadata = obj["metadata"]
        change |= {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        return await self._client.patch(
            resource,
            metadata["name"],
            {"metadata": change},
            metadata.get("namespace") or "",
            type=PatchType.MERGE,
        )
