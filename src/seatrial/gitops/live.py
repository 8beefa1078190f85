"""What a cluster has of the kinds that Applications use, by watch, and who is to hear of a change.

A kind is watched from when an Application first has it, for the whole cluster: one watch a kind, however many
Applications and namespaces.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from seatrial.gitops.api import names
from seatrial.kube.client.discovery import RESTMapper, UnknownResource
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seatrial.base.clock import Clock
    from seatrial.base.tasks import TaskGroup
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object, Ref

_INSTANCE, _OWNER = "instance", "owner"
ASK_AGAIN_SECONDS = 2.0
"""A kind that is not served may come with its definition; asking is a discovery of everything."""
_SYNC_SECONDS = 20.0
"""How long the first copy of a kind may take; the pass that asked for it comes back later."""


class Kind(NamedTuple):
    api_version: str
    name: str


class LiveState:
    def __init__(
        self, client: Client, clock: Clock, tasks: TaskGroup, on_change: Callable[[str, Object], None]
    ) -> None:
        """`on_change(instance, object)`: an object changed that this Application tracks or names (`follow`)."""
        self.client = client
        self.mapper = RESTMapper(client)
        self._informers = InformerFactory(client, clock, tasks)
        self._informers.start()
        self._on_change = on_change
        self._clock = clock
        self._kinds: dict[Kind, Informer] = {}
        self._unserved: dict[Kind, float] = {}
        """When the server was last asked for a kind that it did not have."""
        self._followers: dict[Ref, set[str]] = {}
        self._followed: dict[str, frozenset[Ref]] = {}

    async def watch(self, kinds: Iterable[Kind]) -> set[Kind]:
        """Have a current copy of these kinds. Returns those the cluster does not serve (now).

        Raises TimeoutError if a copy is not there in time.
        """
        kinds = list(dict.fromkeys(kinds))
        new = [kind for kind in kinds if kind not in self._kinds]
        unknown = {kind for kind in new if not await self._begin(kind)}
        async with asyncio.timeout(_SYNC_SECONDS):
            for kind in kinds:
                if kind in self._kinds:
                    await self._kinds[kind].wait_synced()
        return unknown

    async def _begin(self, kind: Kind) -> bool:
        now = self._clock.monotonic()
        if now - self._unserved.get(kind, -ASK_AGAIN_SECONDS) < ASK_AGAIN_SECONDS:
            return False
        try:
            resource = await self.mapper.for_kind(kind.api_version, kind.name)
        except UnknownResource:
            self._unserved[kind] = now
            return False
        self._unserved.pop(kind, None)
        if "watch" not in resource.verbs or kind in self._kinds:
            return kind in self._kinds
        informer = self._kinds[kind] = self._informers.get(resource)
        informer.add_index(_INSTANCE, _instances)
        informer.add_index(_OWNER, lambda obj: [owner.get("uid") or "" for owner in objects.owner_references(obj)])
        informer.on_change(self._changed)
        return True

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old or {}
        concerned = set(self._followers.get(objects.ref(obj), ()))
        for state in (old, new):
            if state is not None:
                concerned.update(_instances(state))
        for instance in concerned:
            self._on_change(instance, obj)

    def follow(self, instance: str, refs: frozenset[Ref]) -> None:
        """An Application hears of changes of these objects too, whoever tracks them: those its manifests name."""
        before = self._followed.get(instance, frozenset())
        for ref in before - refs:
            followers = self._followers[ref]
            followers.discard(instance)
            if not followers:
                del self._followers[ref]
        for ref in refs - before:
            self._followers.setdefault(ref, set()).add(instance)
        if refs:
            self._followed[instance] = refs
        else:
            self._followed.pop(instance, None)

    def get(self, ref: Ref, api_version: str) -> Object | None:
        informer = self._kinds.get(Kind(api_version, ref.kind))
        return informer.get(ref.namespace, ref.name) if informer is not None else None

    def all(self, kind: Kind) -> list[Object]:
        """Every object of a kind that is watched; none of one that is not."""
        informer = self._kinds.get(kind)
        return list(informer.list()) if informer is not None else []

    def tracked(self, instance: str) -> dict[Ref, Object]:
        """What carries this Application's tracking id; an object served in several versions once."""
        found: dict[Ref, Object] = {}
        for informer in self._kinds.values():
            for obj in informer.by_index(_INSTANCE, instance):
                found.setdefault(objects.ref(obj), obj)
        return found

    def owned_by(self, uid: str) -> list[Object]:
        """The dependents among the kinds that are watched."""
        return [obj for informer in self._kinds.values() for obj in informer.by_index(_OWNER, uid)]


def _instances(obj: Object) -> tuple[str, ...]:
    """Whose the object's tracking id says it is: `instance:group/Kind:namespace/name`."""
    tracking = objects.annotations(obj).get(names.TRACKING_ID)
    return (tracking.partition(":")[0],) if tracking else ()
