"""What the kubelet works with, and the part of the node each of its pods sees."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.images.manager import ImageManager
    from seatrial.cluster.node.images.store import ImageStore
    from seatrial.cluster.node.kubelet.names import Resolving
    from seatrial.cluster.node.podnetwork import PodNetwork, Routes
    from seatrial.cluster.node.probes.probes import Probes
    from seatrial.cluster.node.runtime.types import Runtime
    from seatrial.cluster.node.volumes.volumes import Volumes
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.events import EventRecorder
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

_KINDS = {"ConfigMap": "configmaps", "Secret": "secrets"}


@dataclass(frozen=True, slots=True)
class NodeFacts:
    name: str
    address: str
    allocatable: Mapping[str, str]
    memory_bytes: int
    capabilities: frozenset[str]
    """What it can give to containers."""


@dataclass(frozen=True, slots=True)
class Parts:
    client: Client
    clock: Clock
    recorder: EventRecorder
    runtime: Runtime
    network: PodNetwork
    routes: Routes
    images: ImageManager
    store: ImageStore
    volumes: Volumes
    probes: Probes
    inputs: Inputs
    node: NodeFacts
    resolving: Resolving
    directory: Path
    """`pods/<uid>` and `logs/<namespace>_<name>_<uid>` lie below it."""


class Inputs:
    """The ConfigMaps, Secrets and Services that containers are configured by, and a way to wait for their changes."""

    def __init__(self, client: Client, informers: InformerFactory) -> None:
        self._client = client
        self._informers = {kind: informers.get(resources.for_plural(plural)) for kind, plural in _KINDS.items()}
        self._services = informers.get(resources.for_plural("services"))
        self._waiting: set[asyncio.Future[None]] = set()
        for informer in self._informers.values():
            informer.on_change(self._changed)

    async def get(self, namespace: str, kind: str, name: str) -> Object | None:
        """As the watch has it; what it does not have is asked for, as it may be on its way. Raises StatusError."""
        found = self._informers[kind].get(namespace, name)
        if found is not None:
            return found
        try:
            return await self._client.get(resources.for_plural(_KINDS[kind]), name, namespace)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    def services(self, namespace: str) -> list[Object]:
        """Those of the namespace, and the API server's own."""
        found = list(self._services.list(namespace))
        own = self._services.get("default", "kubernetes")
        return found if own is None or namespace == "default" else [*found, own]

    async def change(self, patience: float) -> None:
        """Return at the next change of any of them, or when that has taken `patience` seconds."""
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(wake)
        try:
            await asyncio.wait({wake}, timeout=patience)
        finally:
            self._waiting.discard(wake)

    def _changed(self, _old: Object | None, _new: Object | None) -> None:
        for wake in self._waiting:
            if not wake.done():
                wake.set_result(None)


class Deadline:
    """When a termination stops waiting; it may come earlier than first thought."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds
        self._moved = asyncio.Event()

    def left(self) -> float:
        return max(0.0, self._at - self._clock.monotonic())

    def within(self, seconds: float) -> None:
        """No later than `seconds` from now."""
        at = self._clock.monotonic() + seconds
        if at < self._at:
            self._at = at
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    async def wait(self, future: asyncio.Future[Any], *, least: float = 0.0) -> bool:
        """Until the future is done (True) or the deadline, but no less than `least` seconds (False)."""
        begun = self._clock.monotonic()
        while not future.done():
            left = max(self.left(), least - (self._clock.monotonic() - begun))
            if left <= 0:
                return False
            moved = asyncio.ensure_future(self._moved.wait())
            both: tuple[asyncio.Future[Any], ...] = (future, moved)
            try:
                await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                moved.cancel()
        return True


class PodView(Protocol):
    """What a container sees of its pod."""

    object: Object
    address: str
    parts: Parts

    @property
    def log_directory(self) -> Path: ...

    def changed(self) -> None:
        """Something that the status says is different now."""
