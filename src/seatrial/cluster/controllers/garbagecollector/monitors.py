"""Who owns whom: one informer for every resource that can be deleted, custom ones as they come and go.

The informers are the graph; nothing is kept beside them but an index by owner. Those of built-in resources are
shared with the other controllers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from seatrial.base.tasks import TaskGroup
from seatrial.cluster.controllers.definitions import DEFINITIONS, served_as
from seatrial.kube.control.informer import Informer, Scope
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

    Changed = Callable[[Resource, Object | None, Object | None], None]

_NEEDED = {"delete", "list", "watch"}
_OWNER = "owner uid"


@dataclass(slots=True)
class _Monitor:
    resource: Resource
    informer: Informer
    task: asyncio.Task[None] | None = None


class Monitors:
    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self._by_plural: dict[str, _Monitor] = {}
        self._by_kind: dict[tuple[str, str], _Monitor] = {}
        self._tasks = TaskGroup()
        for resource in collectable(resources.builtin()):
            self._add(resource, context.informers.get(resource))

    # reading

    def informers(self) -> list[Informer]:
        return [monitor.informer for monitor in self._by_plural.values()]

    @property
    def synced(self) -> bool:
        return all(monitor.informer.synced for monitor in self._by_plural.values())

    def find(self, group_resource: str, namespace: str, name: str) -> tuple[Resource, Object] | None:
        monitor = self._by_plural.get(group_resource)
        obj = monitor.informer.get(namespace, name) if monitor else None
        return None if monitor is None or obj is None else (monitor.resource, obj)

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        monitor = self._by_kind.get((objects.split_api_version(api_version)[0], kind))
        return monitor.resource if monitor else None

    def owner(self, reference: dict[str, str], namespace: str) -> Object | None:
        """The owner a dependent of this namespace means, if it has been seen; an owner elsewhere does not count."""
        group, _ = objects.split_api_version(reference["apiVersion"])
        monitor = self._by_kind.get((group, reference["kind"]))
        if monitor is None:
            return None
        obj = monitor.informer.get(namespace if monitor.resource.namespaced else "", reference["name"])
        return obj if obj is not None and objects.uid(obj) == reference["uid"] else None

    def is_elsewhere(self, reference: dict[str, str], namespace: str) -> bool:
        """Whether an object of this uid lives in another namespace than the dependent's."""
        group, _ = objects.split_api_version(reference["apiVersion"])
        monitor = self._by_kind.get((group, reference["kind"]))
        if monitor is None or not monitor.resource.namespaced:
            return False
        found = (obj for obj in monitor.informer.list() if objects.uid(obj) == reference["uid"])
        return any(objects.namespace(obj) != namespace for obj in found)

    def dependents(self, uid: str) -> Iterator[tuple[Resource, Object]]:
        for monitor in self._by_plural.values():
            for obj in monitor.informer.by_index(_OWNER, uid):
                yield monitor.resource, obj

    # following

    def follow(self, changed: Changed) -> None:
        """Call `changed(resource, old, new)` on every change, of custom resources as well, now and later."""
        self._changed = changed
        for monitor in list(self._by_plural.values()):
            monitor.informer.on_change(partial(changed, monitor.resource))
        definitions = self._context.informers.get(DEFINITIONS)
        definitions.on_change(self._definition_changed)

    async def close(self) -> None:
        await self._tasks.close()

    def _add(self, resource: Resource, informer: Informer) -> _Monitor:
        monitor = _Monitor(resource, informer)
        self._by_plural[resource.group_resource] = self._by_kind[resource.group, resource.kind] = monitor
        informer.add_index(_OWNER, _owner_uids)
        return monitor

    def _definition_changed(self, old: Object | None, new: Object | None) -> None:
        before = served_as(old) if old is not None else None
        after = served_as(new) if new is not None else None
        if before == after:
            return
        if before is not None:
            self._stop(before, gone=new is None)
        if after is not None:
            self._follow(after)

    def _follow(self, resource: Resource) -> None:
        informer = Informer(self._context.client, self._context.clock, Scope(resource))
        monitor = self._add(resource, informer)
        informer.on_change(partial(self._changed, resource))
        monitor.task = self._tasks.start(f"gc informer {resource}", informer.run())

    def _stop(self, resource: Resource, *, gone: bool) -> None:
        monitor = self._by_plural.pop(resource.group_resource)
        del self._by_kind[resource.group, resource.kind]
        if monitor.task is not None:
            monitor.task.cancel()
        if gone:  # what was deleted along with the definition may not have been delivered
            for obj in monitor.informer.list():
                self._changed(resource, obj, None)


def collectable(found: Iterable[Resource]) -> Iterator[Resource]:
    """Each once, in its preferred version. Events own nothing, belong to nobody and are many."""
    seen = set()
    for resource in found:
        if _NEEDED.issubset(resource.verbs) and resource.kind != "Event" and resource.group_resource not in seen:
            seen.add(resource.group_resource)
            yield resource


def _owner_uids(obj: Object) -> list[str]:
    return [reference["uid"] for reference in objects.owner_references(obj)]
