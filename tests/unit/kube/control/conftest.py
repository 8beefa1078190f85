"""A scripted API server behind the Transport seam: lists, watches, and breaks when told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import ManualClock
from seatrial.base.tasks import TaskGroup
from seatrial.kube.client.client import Client
from seatrial.kube.client.transport import Request, Response, TransportError, WatchEvent
from seatrial.kube.control.informer import Informer, Scope
from seatrial.kube.model.resources import Resource
from seatrial.kube.model.status import StatusError, expired, invalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from seatrial.kube.model.objects import Object

PODS = Resource("", "v1", "Pod", "pods", namespaced=True)


class FakeApi:
    """Pods only. Everything is delivered in revision order; `log` is what a watch resumes from."""

    def __init__(self) -> None:
        self.revision = 10
        self.pods: dict[tuple[str, str], Object] = {}
        self.requests: list[Request] = []
        self.failures: list[Exception] = []
        """Raised by the next calls, first first."""
        self.watch_list = True
        self.compacted = 0
        self._log: list[tuple[int, WatchEvent]] = []
        self._news = asyncio.Condition()
        self._cuts = 0
        self._cut_error: Exception | None = None
        self.answer: Callable[[Request], Object] | None = None

    # what tests do

    async def put(self, name: str, namespace: str = "default", uid: str = "", **fields: Any) -> Object:
        key = (namespace, name)
        old = self.pods.get(key)
        self.revision += 1
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": uid or (old["metadata"]["uid"] if old else f"uid-{self.revision}"),
            "resourceVersion": str(self.revision),
            "labels": fields.pop("labels", {}),
            "ownerReferences": fields.pop("owners", []),
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **fields}
        self.pods[key] = pod
        await self._publish(WatchEvent("MODIFIED" if old else "ADDED", pod))
        return pod

    async def delete(self, name: str, namespace: str = "default") -> None:
        self.revision += 1
        pod = self.pods.pop((namespace, name))
        gone = {**pod, "metadata": {**pod["metadata"], "resourceVersion": str(self.revision)}}
        await self._publish(WatchEvent("DELETED", gone))

    async def bookmark(self) -> None:
        self.revision += 1
        await self._publish(WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(self.revision)}}))

    async def cut(self, error: Exception | None = None) -> None:
        """End every open watch: with this error, or as a server does at its timeout."""
        async with self._news:
            self._cuts += 1
            self._cut_error = error
            self._news.notify_all()

    def compact(self) -> None:
        """Forget the history: whoever is behind gets 410."""
        self.compacted = self.revision
        self._log.clear()

    def watches(self) -> list[Request]:
        return [request for request in self.requests if request.param("watch")]

    def lists(self) -> list[Request]:
        return [request for request in self.requests if not request.param("watch")]

    # the transport

    async def send(self, request: Request) -> Response:
        self._note(request)
        if self.answer is not None:
            return Response(200, {}, object=self.answer(request))
        metadata = {"resourceVersion": str(self.revision)}
        items = list(self.pods.values())
        return Response(200, {}, object={"kind": "PodList", "metadata": metadata, "items": items})

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        self._note(request)
        cuts = self._cuts
        if request.param("sendInitialEvents"):
            if not self.watch_list:
                raise invalid("", "ListOptions", "", [])
            for pod in list(self.pods.values()):
                yield WatchEvent("ADDED", pod)
            position = self.revision
            ends = {"k8s.io/initial-events-end": "true"}
            yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(position), "annotations": ends}})
        else:
            position = int(request.param("resourceVersion"))
        while True:
            if position < self.compacted:
                raise expired("too old resource version")
            for revision, event in list(self._log):
                if revision > position:
                    position = revision
                    yield event
            async with self._news:
                while self.revision <= position and self._cuts == cuts:
                    await self._news.wait()
            if self._cuts > cuts:
                if self._cut_error is not None:
                    raise self._cut_error
                return

    async def close(self) -> None:
        await self.cut()

    def _note(self, request: Request) -> None:
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)

    async def _publish(self, event: WatchEvent) -> None:
        async with self._news:
            self._log.append((self.revision, event))
            self._news.notify_all()


class Recorder:
    """A handler that notes what it was told as `+name`, `~name`, `-name`."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, old: Object | None, new: Object | None) -> None:
        sign = "+" if old is None else "-" if new is None else "~"
        self.seen.append(sign + (new or old or {})["metadata"]["name"])


class World:
    """One fake API, a clock that stands still, and what runs against them."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.api = FakeApi()
        self.clock = ManualClock()
        self.client = Client(self.api)
        self.tasks = tasks
        self.crashes: list[str] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.tasks.start("under test", work)

    def informer(self) -> Informer:
        return Informer(self.client, self.clock, Scope(PODS))

    async def running(self) -> Informer:
        informer = self.informer()
        self.run(informer.run())
        await informer.wait_synced()
        return informer

    async def settle(self) -> None:
        """Let everything that can happen now, happen."""
        await self.clock.advance(0)

    def recorder(self) -> Recorder:
        return Recorder()

    def unreachable(self) -> TransportError:
        return TransportError("connection refused")

    def unavailable(self) -> StatusError:
        return StatusError(503, "ServiceUnavailable", "starting")


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    crashes: list[str] = []
    async with TaskGroup(on_crash=lambda name, error: crashes.append(f"{name}: {error!r}")) as tasks:
        yield World(tasks)
    assert crashes == []


@pytest.fixture(scope="session")
def worlds() -> Callable[[], AbstractAsyncContextManager[World]]:
    """For tests that need a fresh world for each of their examples."""
    return _world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with _world() as made:
        yield made
