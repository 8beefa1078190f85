"""The whole engine against a whole cluster, both in this process: Git repositories on disk, Applications by the API."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml

from seatrial.cluster.apiserver.auth.user import loopback
from seatrial.cluster.apiserver.inprocess import InProcessTransport
from seatrial.cluster.server import Cluster
from seatrial.cluster.server import Options as ClusterOptions
from seatrial.gitops.api import names
from seatrial.gitops.api.resources import APPLICATIONS
from seatrial.gitops.engine import Engine, Options
from seatrial.kube.client.client import Client, PatchType
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from seatrial.kube.client.transport import Request, Response
    from seatrial.kube.model.objects import Object

T = TypeVar("T")
PATIENCE = 20.0


class Repository:
    """A bare repository and a working copy of it."""

    def __init__(self, directory: Path) -> None:
        self.bare, self.work = directory / "origin.git", directory / "work"
        git(directory, "init", "-q", "--bare", "-b", "main", str(self.bare))
        git(directory, "clone", "-q", str(self.bare), str(self.work))
        git(self.work, "checkout", "-q", "-b", "main")

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def commit(self, files: dict[str, Any], message: str = "change") -> str:
        """Write these (None: delete) and push; the commit. Objects and lists of them are written as YAML."""
        for name, content in files.items():
            path = self.work / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, dict):
                content = [content]
            text = content if isinstance(content, str) else yaml.safe_dump_all(content)
            path.write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", message)
        git(self.work, "push", "-q", "origin", "HEAD:main")
        return git(self.work, "rev-parse", "HEAD")


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Counting(InProcessTransport):
    """Notes every call of the engine."""

    calls: list[tuple[str, str]]

    async def send(self, request: Request) -> Response:
        self.calls.append((request.method, request.path))
        return await super().send(request)


class Stage:
    def __init__(self, cluster: Cluster, directory: Path, repository: Repository) -> None:
        self.cluster = cluster
        self.repository = repository
        self.client = cluster.client("tester")
        self.mapper = RESTMapper(self.client)
        self.calls: list[tuple[str, str]] = []
        self._directory = directory
        self._running: asyncio.Task[None] | None = None
        self.engine: Engine | None = None

    async def start(self, **options: Any) -> None:
        """The engine, until `stop`."""
        transport = Counting(self.cluster.api, loopback("engine"))
        transport.calls = self.calls
        client = Client(transport, field_manager=names.FIELD_MANAGER)
        options = {"wave_delay": 0.05, **options}
        self.engine = Engine(client, self.cluster.clock, Options(self._directory / "gitops", **options))
        ready = asyncio.Event()
        self._running = asyncio.create_task(self.engine.run(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        waiting.cancel()
        if self._running.done():
            self._running.result()

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    # doing

    def application(self, name: str = "shop", path: str = "app", **spec: Any) -> Object:
        source = {"repoURL": self.repository.url, "path": path, "targetRevision": "main", **spec.pop("source", {})}
        destination = {"server": names.IN_CLUSTER, "namespace": spec.pop("namespace", "default")}
        automated = {"automated": {"prune": True, "selfHeal": True}}
        full = {"project": "default", "source": source, "destination": destination, "syncPolicy": automated, **spec}
        metadata = {"name": name, "namespace": names.CONTROL_NAMESPACE}
        return {"apiVersion": names.API_VERSION, "kind": "Application", "metadata": metadata, "spec": full}

    async def create(self, obj: Object) -> Object:
        return await self.client.create(await self.mapper.for_kind(obj["apiVersion"], obj["kind"]), obj)

    async def app(self, name: str = "shop") -> Object:
        return await self.client.get(APPLICATIONS, name, names.CONTROL_NAMESPACE)

    async def patch_app(self, patch: Object, name: str = "shop") -> Object:
        return await self.client.patch(APPLICATIONS, name, patch, names.CONTROL_NAMESPACE, type=PatchType.MERGE)

    async def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        try:
            return await self.client.get(await self.mapper.for_name(kind), name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def merge(self, kind: str, name: str, patch: Object, namespace: str = "default") -> Object:
        resource = await self.mapper.for_name(kind)
        return await self.client.patch(resource, name, patch, namespace, type=PatchType.MERGE)

    async def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        await self.client.delete(await self.mapper.for_name(kind), name, namespace)

    async def refresh(self, kind: str = "normal", name: str = "shop") -> None:
        await self.patch_app({"metadata": {"annotations": {names.REFRESH: kind}}}, name)

    # waiting

    async def until(self, check: Callable[[], Awaitable[T | None]], what: str, seconds: float = PATIENCE) -> T:
        try:
            async with asyncio.timeout(seconds):
                while not (found := await check()):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            status = (await self.app()).get("status") or {}
            shown = {key: status.get(key) for key in ("sync", "health", "conditions", "operationState")}
            raise AssertionError(f"not so after {seconds} s: {what}; the application: {shown}") from None
        return found

    async def until_app(self, name: str = "shop", **wanted: str) -> Object:
        """`sync`, `health`, `phase`, `revision` are what is given."""

        async def check() -> Object | None:
            app = await self.app(name)
            status = app.get("status") or {}
            sync, state = status.get("sync") or {}, status.get("operationState") or {}
            found = {
                "sync": sync.get("status"),
                "revision": sync.get("revision"),
                "deployed": (state.get("syncResult") or {}).get("revision"),
                "health": (status.get("health") or {}).get("status"),
                "phase": state.get("phase"),
            }
            return app if all(found[key] == value for key, value in wanted.items()) else None

        return await self.until(check, f"{name} is {wanted}")

    async def until_gone(self, kind: str, name: str, namespace: str = "default") -> None:
        async def check() -> bool:
            return await self.get(kind, name, namespace) is None

        await self.until(check, f"{kind} {name} is gone")


def config_map(name: str = "settings", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Cluster(ClusterOptions(tmp_path / "cluster", in_memory=True)) as cluster:
        found = Stage(cluster, tmp_path, Repository(tmp_path))
        yield found
        await found.stop()
