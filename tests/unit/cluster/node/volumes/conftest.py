"""A node's volumes before a whole API in memory; nothing is mounted."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import ManualClock
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.node.volumes.facts import PodFacts
from seatrial.cluster.node.volumes.mounter import Mounter
from seatrial.cluster.node.volumes.volumes import Volumes
from seatrial.cluster.server import Cluster, Options
from seatrial.kube.client.client import PatchType
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from seatrial.kube.model.objects import Object


class NoMounts(Mounter):
    """Notes what would be mounted."""

    def __init__(self) -> None:
        self.memory_sizes: dict[str, int | None] = {}
        self.mounted: list[Path] = []

    def memory(self, target: Path, *, mode: int, size: int | None = None) -> None:
        self.memory_sizes[target.name] = size
        self.mounted.append(target)

    def bind(self, opened: int, target: Path) -> None:
        self.mounted.append(target)

    def unmount(self, target: Path) -> None:
        self.mounted.remove(target)


class Stage:
    """The cluster's time is the system's, the node's stands still unless a test moves it."""

    def __init__(self, cluster: Cluster, tasks: TaskGroup, directory: Path) -> None:
        self.cluster = cluster
        self.client = cluster.client("system:node:seatrial")
        self.clock = ManualClock(cluster.clock.time())
        self.mounter = NoMounts()
        self.directory = directory
        self.informers = InformerFactory(self.client, self.clock, tasks)
        self.volumes = Volumes(
            self.client,
            self.informers,
            self.clock,
            directory,
            allocatable={"cpu": "2", "memory": "4Gi"},
            mounter=self.mounter,
        )
        self._tasks = tasks

    async def start(self) -> None:
        self.informers.start()
        await self.informers.wait_synced()
        self._tasks.start("volumes", self.volumes.run())

    async def create(self, obj: Object) -> Object:
        return await self.client.create(resources.for_kind(obj["apiVersion"], obj["kind"]), obj)

    async def change(self, plural: str, name: str, patch: Object) -> Object:
        return await self.client.patch(resources.for_plural(plural), name, patch, "default", type=PatchType.MERGE)

    async def delete(self, plural: str, name: str) -> None:
        await self.client.delete(resources.for_plural(plural), name, "default", grace=0)

    async def config_map(self, name: str, **data: str) -> Object:
        meta = {"name": name, "namespace": "default"}
        return await self.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})

    async def secret(self, name: str, **data: str) -> Object:
        meta = {"name": name, "namespace": "default"}
        return await self.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})

    async def pod(self, *volumes: Object, mounts: list[Object] | None = None, **spec: Any) -> Object:
        """One whose node nobody runs; by default it mounts each volume at its name."""
        mounted = [{"name": found["name"], "mountPath": f"/{found['name']}"} for found in volumes]
        container = {"name": "main", "image": "x", "volumeMounts": mounted if mounts is None else mounts}
        spec = {
            "automountServiceAccountToken": False,
            "containers": [container],
            "nodeName": "elsewhere",
            "volumes": list(volumes),
            **spec,
        }
        meta = {"name": "web", "namespace": "default", "labels": {"app": "web"}}
        return await self.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})

    async def prepare(self, pod: Object) -> dict[str, Path]:
        """The directory of each mount, by its target."""
        await self.volumes.prepare(pod, PodFacts("10.0.0.2", "10.0.0.1"))
        return {
            mount.target: Path(mount.source) for mount in self.volumes.mounts(pod, pod["spec"]["containers"][0], {})
        }

    async def until(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(5):
                while not await check():
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"not so after 5 s: {what}") from None


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    crashes: list[str] = []
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(Options(tmp_path / "cluster", in_memory=True)))
        tasks = TaskGroup(on_crash=lambda name, error: crashes.append(f"{name}: {error!r}"))
        await stack.enter_async_context(tasks)
        made = Stage(cluster, tasks, tmp_path / "instance")
        await made.start()

        async def account() -> bool:
            try:
                await made.client.get(resources.for_plural("serviceaccounts"), "default", "default")
            except StatusError:
                return False
            return True

        await made.until(account, "there is a default account")
        yield made
    assert crashes == []
