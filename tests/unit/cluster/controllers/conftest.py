"""A cluster without sockets, scheduler or node: the real API in memory, chosen controllers, and pods by hand.

Time stands still unless a test moves it, so a world that has come to rest stays as it is.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pytest

from seatrial.base.clock import ManualClock, rfc3339
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.apiserver.allocation import Allocator
from seatrial.cluster.apiserver.api import Api
from seatrial.cluster.apiserver.auth.authorize import Authorizer
from seatrial.cluster.apiserver.auth.user import loopback
from seatrial.cluster.apiserver.catalog import Catalog
from seatrial.cluster.apiserver.core import Core
from seatrial.cluster.apiserver.inprocess import InProcessTransport
from seatrial.cluster.apiserver.roles import StoredRoles
from seatrial.cluster.store.store import Store
from seatrial.kube.client.client import Client, PatchType
from seatrial.kube.control.context import ControlContext
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from seatrial.kube.control.controller import Controller
    from seatrial.kube.model.objects import Object

POD = resources.for_plural("pods")
Objects: TypeAlias = "list[Object]"
Names: TypeAlias = "list[str]"
_QUIET_TURNS = 60
"""Loop turns without a write after which nothing more is going to happen."""
_MOST_TURNS = 20_000


class Notes(EventRecorder):
    """Keeps events instead of writing them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def event(self, obj: Object, type_: str, reason: str, message: str, **_more: str) -> None:
        self.seen.append((objects.name(obj), reason, message))

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.seen]


class World:
    def __init__(self, tasks: TaskGroup) -> None:
        self.clock = ManualClock()
        self.store = Store.open(None, clock=self.clock)
        roles = StoredRoles(self.store)
        nothing = cast("Any", None)
        self.core = Core(self.store, Catalog(), self.clock, Allocator(), roles, Authorizer(roles), nothing, nothing)
        self.client = Client(InProcessTransport(Api(self.core, nothing), loopback("test")))
        self.notes = Notes()
        self.informers = InformerFactory(self.client, self.clock, tasks)
        self.context = ControlContext(self.client, self.informers, self.clock, self.notes)
        self.pods_become_ready = True
        self._tasks = tasks

    async def start(self, *builders: Callable[[ControlContext], Controller]) -> None:
        await self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        self.informers.get(POD).on_change(self._pod_changed)
        controllers = [build(self.context) for build in builders]
        self.informers.start()
        for controller in controllers:
            self._tasks.start(controller.name, controller.run())
        await self.informers.wait_synced()

    async def settle(self) -> None:
        """Until nothing is written any more."""
        quiet, revision = 0, self.store.revision
        for _ in range(_MOST_TURNS):
            await asyncio.sleep(0)
            quiet = quiet + 1 if self.store.revision == revision else 0
            revision = self.store.revision
            if quiet >= _QUIET_TURNS:
                return
        raise AssertionError("the controllers never come to rest")

    async def after(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await self.settle()

    # objects

    async def create(self, obj: Object) -> Object:
        return await self.client.create(resources.for_kind(obj["apiVersion"], obj["kind"]), obj)

    async def get(self, plural: str, name: str, group: str = "apps") -> Object:
        return await self.client.get(resources.for_plural(plural, group), name, "default")

    async def list(self, plural: str, group: str = "apps") -> Objects:
        found = (await self.client.list(resources.for_plural(plural, group), "default")).items
        return sorted(found, key=objects.name)

    async def merge(self, plural: str, name: str, patch: Object, group: str = "apps", subresource: str = "") -> Object:
        resource = resources.for_plural(plural, group)
        return await self.client.patch(resource, name, patch, "default", type=PatchType.MERGE, subresource=subresource)

    async def delete(self, plural: str, name: str, group: str = "apps", **options: Any) -> None:
        await self.client.delete(resources.for_plural(plural, group), name, "default", **options)

    async def node(self, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Object:
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}
        return await self.create({"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec})

    # pods, which nobody runs here

    async def pods(self) -> Objects:
        """Those that are not on their way out."""
        return [pod for pod in await self.list("pods", "") if not objects.is_deleting(pod)]

    async def pod_names(self) -> Names:
        return [objects.name(pod) for pod in await self.pods()]

    async def ready(self, name: str, *, ready: bool = True) -> None:
        await self.set_pod(name, "Running", ready=ready)

    async def set_pod(self, name: str, phase: str, *, ready: bool = False, **status: Any) -> None:
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "lastTransitionTime": rfc3339(self.clock.time()),
        }
        change = {"phase": phase, "conditions": [condition], **status}
        await self.merge("pods", name, {"status": change}, "", "status")

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if self.pods_become_ready and old is None and new is not None:
            self._tasks.start("pod", self._make_ready(objects.name(new)))

    async def _make_ready(self, name: str) -> None:
        try:
            await self.ready(name)
        except StatusError as error:
            if error.code != 404:
                raise


@pytest.fixture
async def world() -> AsyncIterator[World]:
    crashes: list[str] = []
    async with AsyncExitStack() as stack:
        group = TaskGroup(on_crash=lambda name, error: crashes.append(f"{name}: {error!r}"))
        tasks = await stack.enter_async_context(group)
        made = World(tasks)
        stack.callback(made.store.close)
        yield made
        await tasks.close()
    assert crashes == []
