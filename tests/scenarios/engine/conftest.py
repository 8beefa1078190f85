"""The whole engine against a whole cluster: Git repositories on disk, Applications by the API.

The cluster is an embedded one in this process, fresh for each test. With `SEATRIAL_LIVE=<kubeconfig>` it is that
one (`make test-live`): each test then has a control namespace, a namespace and an engine of its own there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml

from seatrial.base.clock import SystemClock
from seatrial.cluster.apiserver.auth.user import loopback
from seatrial.cluster.apiserver.inprocess import InProcessTransport
from seatrial.cluster.server import Cluster
from seatrial.cluster.server import Options as ClusterOptions
from seatrial.gitops.api import names
from seatrial.gitops.api.resources import APPLICATIONS
from seatrial.gitops.engine import Engine, Options
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client, PatchType
from seatrial.kube.client.discovery import RESTMapper, UnknownResource
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from seatrial.kube.client.transport import Request, Response, Transport, WatchEvent
    from seatrial.kube.model.objects import Object

T = TypeVar("T")
PATIENCE = 20.0
LIVE = os.environ.get("SEATRIAL_LIVE", "")
_NAMESPACES = resources.for_kind("v1", "Namespace")


class Repository:
    """A bare repository and a working copy of it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
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

    def vanish(self) -> None:
        """As if its server were gone."""
        self.bare.rename(self.bare.with_suffix(".away"))

    def come_back(self) -> None:
        self.bare.with_suffix(".away").rename(self.bare)


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Wire:
    """The engine's transport: notes every call, and does what a test wants done before and after."""

    def __init__(self, inner: Transport, calls: list[tuple[str, str]]) -> None:
        self.inner = inner
        self.calls = calls
        self.before: Callable[[Request], Awaitable[None] | None] = lambda _: None
        self.after: Callable[[Request, Response], Awaitable[None] | None] = lambda *_: None
        self.breaks: Callable[[Request], bool] = lambda _: False
        """Whether a watch breaks at its next event."""

    async def send(self, request: Request) -> Response:
        self.calls.append((request.method, request.path))
        if (waiting := self.before(request)) is not None:
            await waiting
        response = await self.inner.send(request)
        if (waiting := self.after(request, response)) is not None:
            await waiting
        return response

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        events = self.inner.watch(request)
        try:
            async for event in events:
                yield event
                if self.breaks(request):
                    return
        finally:
            if (close := getattr(events, "aclose", None)) is not None:
                await close()

    async def close(self) -> None:
        await self.inner.close()


class Stage:
    """Objects are named as on the command line, in the namespace that Applications deploy to unless told otherwise."""

    def __init__(
        self, transport: Callable[[str], Transport], directory: Path, *, control: str, namespace: str,
        cluster: Cluster | None = None,
    ) -> None:  # fmt: skip
        """`transport`: a new one, by what the user is called."""
        self.control = control
        self.namespace = namespace
        self.directory = directory
        self.client = Client(transport("tester"), field_manager="tester")
        self.mapper = RESTMapper(self.client)
        self.clock = SystemClock()
        self.repository = Repository(directory / "git")
        self.calls: list[tuple[str, str]] = []
        self.wire = Wire(transport("engine"), self.calls)
        self.engine: Engine | None = None
        self._cluster = cluster
        self._running: asyncio.Task[None] | None = None
        self._made: list[tuple[str, str]] = []

    @property
    def cluster(self) -> Cluster:
        """Skips the test where the cluster is somebody else's."""
        if self._cluster is None:
            pytest.skip("needs the inside of an embedded cluster")
        return self._cluster

    @property
    def is_live(self) -> bool:
        """Somebody else's cluster, that outlives the test."""
        return self._cluster is None

    @property
    def engine_directory(self) -> Path:
        return self.directory / "gitops"

    async def start(self, **options: Any) -> None:
        """The engine, until `stop`."""
        client = Client(self.wire, field_manager=names.FIELD_MANAGER)
        options = {"wave_delay": 0.02, **options}
        self.engine = Engine(client, self.clock, Options(self.engine_directory, self.control, **options))
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

    async def restart(self, *, cold: bool = False, **options: Any) -> None:
        """As another process, `cold` without its caches on disk."""
        await self.stop()
        if cold:
            shutil.rmtree(self.engine_directory, ignore_errors=True)
        await self.start(**options)

    @property
    def is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    # doing

    def application(self, name: str = "shop", path: str = "app", **spec: Any) -> Object:
        """`source` adds to the source; `auto`: the policy `automated` (None: none); `options`: sync options."""
        source = {"repoURL": self.repository.url, "path": path, "targetRevision": "main", **spec.pop("source", {})}
        destination = {"server": names.IN_CLUSTER, "namespace": spec.pop("namespace", self.namespace)}
        automated = spec.pop("auto", {"prune": True, "selfHeal": True})
        policy: Object = {"automated": automated} if automated is not None else {}
        if options := spec.pop("options", None):
            policy["syncOptions"] = list(options)
        if retry := spec.pop("retry", None):
            policy["retry"] = retry
        metadata = {"name": name, "namespace": self.control, **spec.pop("metadata", {})}
        full = {"project": "default", "source": source, "destination": destination, "syncPolicy": policy, **spec}
        if "sources" in full:
            del full["source"]
        full = {key: value for key, value in full.items() if value is not None}
        return {"apiVersion": names.API_VERSION, "kind": "Application", "metadata": metadata, "spec": full}

    def unique(self, name: str) -> str:
        """For what has no namespace."""
        return f"{name}-{self.namespace}"

    def tracking_id(self, app: str, group: str, kind: str, name: str, namespace: str | None = None) -> str:
        instance = app if self.control == names.CONTROL_NAMESPACE else f"{self.control}_{app}"
        return f"{instance}:{group}/{kind}:{self.namespace if namespace is None else namespace}/{name}"

    async def deploy(self, files: dict[str, Any], **spec: Any) -> Object:
        """Commit, create the Application, start the engine, wait for its sync to end well."""
        self.repository.commit(files)
        if not self.is_running:
            await self.start()
        await self.create(self.application(**spec))
        return await self.until_app(sync="Synced", phase="Succeeded")

    async def push(self, files: dict[str, Any]) -> str:
        """A commit that the engine is told of."""
        revision = self.repository.commit(files)
        await self.refresh()
        return revision

    async def create(self, obj: Object) -> Object:
        resource = await self.mapper.for_kind(obj["apiVersion"], obj["kind"])
        namespace = objects.namespace(obj) or (self.namespace if resource.namespaced else "")
        if namespace:
            obj = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
        return await self.client.create(resource, obj)

    async def project(self, name: str, **spec: Any) -> None:
        metadata = {"name": name, "namespace": self.control}
        await self.create({"apiVersion": names.API_VERSION, "kind": "AppProject", "metadata": metadata, "spec": spec})

    async def secret(self, name: str, type: str, namespace: str | None = None, /, **data: str) -> None:
        """A Secret of the control namespace that Argo CD gives a meaning."""
        metadata = {"name": name, "namespace": namespace or self.control, "labels": {names.SECRET_TYPE: type}}
        await self.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})

    async def app(self, name: str = "shop") -> Object:
        return await self.client.get(APPLICATIONS, name, self.control)

    async def status(self, name: str = "shop") -> Object:
        found: Object = (await self.app(name)).get("status") or {}
        return found

    async def patch_app(self, patch: Object, name: str = "shop") -> Object:
        return await self.client.patch(APPLICATIONS, name, patch, self.control, type=PatchType.MERGE)

    async def annotate(self, annotations: dict[str, str | None], name: str = "shop") -> None:
        await self.patch_app({"metadata": {"annotations": annotations}}, name)

    async def sync(self, name: str = "shop", *, wait: bool = True, retry: Object | None = None, **sync: Any) -> Object:
        """An operation as `app sync` sets it; the state it ends with."""
        operation: Object = {"sync": sync, "initiatedBy": {"username": "tester"}}
        if retry:
            operation["retry"] = retry
        await self.patch_app({"operation": operation, "status": {"operationState": None}}, name)
        if not wait:
            return {}
        return await self.until_ended(name)

    async def until_ended(self, name: str = "shop") -> Object:
        """The state of the operation, once it is over."""

        async def check() -> Object | None:
            app = await self.app(name)
            state: Object = (app.get("status") or {}).get("operationState") or {}
            return state if "operation" not in app and state.get("phase") in ("Succeeded", "Failed", "Error") else None

        return await self.until(check, f"the operation of {name} is over")

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        try:
            resource = await self.mapper.for_name(kind)
            return await self.client.get(resource, name, self._home(resource.namespaced, namespace))
        except UnknownResource:
            return None
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def data(self, name: str, namespace: str | None = None) -> dict[str, str] | None:
        """Of a ConfigMap."""
        found = await self.get("configmaps", name, namespace)
        return None if found is None else found.get("data") or {}

    async def listed(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Object]:
        resource = await self.mapper.for_name(kind)
        home = self._home(resource.namespaced, namespace)
        return (await self.client.list(resource, home, label_selector=selector)).items

    async def merge(
        self, kind: str, name: str, patch: Object, namespace: str | None = None, subresource: str = ""
    ) -> Object:
        resource = await self.mapper.for_name(kind)
        home = self._home(resource.namespaced, namespace)
        return await self.client.patch(resource, name, patch, home, type=PatchType.MERGE, subresource=subresource)

    async def delete(self, kind: str, name: str, namespace: str | None = None, **options: Any) -> None:
        resource = await self.mapper.for_name(kind)
        await self.client.delete(resource, name, self._home(resource.namespaced, namespace), **options)

    async def delete_app(self, name: str = "shop") -> None:
        await self.client.delete(APPLICATIONS, name, self.control)

    def _home(self, namespaced: bool, namespace: str | None) -> str:
        return (self.namespace if namespace is None else namespace) if namespaced else ""

    async def refresh(self, kind: str = "normal", name: str = "shop") -> None:
        await self.annotate({names.REFRESH: kind}, name)

    async def refreshed(self, kind: str = "normal", name: str = "shop") -> Object:
        """The status after a refresh that was carried out."""
        await self.refresh(kind, name)

        async def check() -> Object | None:
            app = await self.app(name)
            return None if names.REFRESH in objects.annotations(app) else app

        app = await self.until(check, f"{name} is refreshed")
        found: Object = app.get("status") or {}
        return found

    async def event_messages(self, reason: str) -> list[str]:
        found = await self.listed("events", self.control)
        return [event.get("message") or "" for event in found if event.get("reason") == reason]

    # counting

    def count(self) -> Counter[str]:
        """The engine's calls since `calls` was cleared, but for events and leases: `GET /api/v1/...`."""
        return Counter(method for method, path in self.calls if "/events" not in path)

    async def quiet(self, seconds: float = 0.5) -> None:
        """Until the engine has called nobody for so long."""

        async def check() -> bool:
            before = len(self.calls)
            await asyncio.sleep(seconds)
            return len(self.calls) == before

        await self.until(check, "the engine rests")

    # waiting

    async def until(self, check: Callable[[], Awaitable[T | None]], what: str, seconds: float = PATIENCE) -> T:
        try:
            async with asyncio.timeout(seconds):
                while not (found := await check()):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not so after {seconds} s: {what}; {await self._told()}") from None
        return found

    async def _told(self) -> dict[str, Any]:
        found = {}
        for app in (await self.client.list(APPLICATIONS, self.control)).items:
            status = app.get("status") or {}
            shown = {key: status.get(key) for key in ("sync", "health", "conditions", "operationState")}
            found[objects.name(app)] = {**shown, "operation": app.get("operation")}
        return found

    async def until_app(self, name: str = "shop", **wanted: str) -> Object:
        """`sync`, `health`, `phase`, `revision` (compared), `deployed` (revision) are what is given."""

        async def check() -> Object | None:
            try:
                app = await self.app(name)
            except StatusError as error:
                if error.code != 404:
                    raise
                return None
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

    async def until_condition(self, type: str, text: str = "", name: str = "shop") -> str:
        """The message of a condition of this type that has the text."""

        async def check() -> str | None:
            for condition in (await self.status(name)).get("conditions") or ():
                if condition["type"] == type and text in condition["message"]:
                    return str(condition["message"])
            return None

        return await self.until(check, f"{name} has a condition {type} with {text!r}")

    async def until_data(self, name: str, wanted: dict[str, str], namespace: str | None = None) -> None:
        async def check() -> bool:
            return await self.data(name, namespace) == wanted

        await self.until(check, f"config map {name} has {wanted}")

    async def until_there(self, kind: str, name: str, namespace: str | None = None) -> Object:
        async def check() -> Object | None:
            return await self.get(kind, name, namespace)

        return await self.until(check, f"{kind} {name} is there")

    async def until_gone(self, kind: str, name: str, namespace: str | None = None) -> None:
        async def check() -> bool:
            return await self.get(kind, name, namespace) is None

        await self.until(check, f"{kind} {name} is gone")

    async def until_app_gone(self, name: str = "shop") -> None:
        await self.until_gone("applications", name, self.control)

    # leaving

    async def clean(self) -> None:
        """Leave nothing in a cluster that goes on."""
        for app in (await self.client.list(APPLICATIONS, self.control)).items:
            with contextlib.suppress(StatusError):
                await self.patch_app({"metadata": {"finalizers": None}}, objects.name(app))
        for namespace in (self.control, self.namespace):
            with contextlib.suppress(StatusError):
                await self.client.delete(_NAMESPACES, namespace)


# manifests


def config_map(name: str = "settings", /, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def annotated(obj: Object, **annotations: str) -> Object:
    """`hook="PreSync"`: Argo CD's annotation `argocd.argoproj.io/hook`."""
    shown = {f"argocd.argoproj.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **shown}}}


def job(name: str = "", command: str = "true", /, **metadata: Any) -> Object:
    spec = {"containers": [{"name": "main", "image": "busybox", "command": [command]}], "restartPolicy": "Never"}
    named = {"name": name} if name else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**named, **metadata},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }


def deployment(name: str = "web", replicas: int | None = 1, image: str = "example.com/web:1") -> Object:
    labels = {"app": name}
    spec: Object = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def by_name(items: Iterable[Object], name: str) -> Object:
    """The one of status.resources, or of results, with this name."""
    return next(item for item in items if item["name"] == name)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    if LIVE:
        mark = secrets.token_hex(3)

        def over_http(_user: str) -> Transport:
            return HttpTransport(kubeconfig.load(Path(LIVE)), SystemClock(), user_agent="seatrial-test")

        found = Stage(over_http, tmp_path, control=f"argocd-test-{mark}", namespace=f"test-{mark}")
        for name in (found.control, found.namespace):
            await found.client.create(
                _NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            )
        yield found
        await found.stop()
        await found.clean()
        await found.client.close()
        await found.wire.close()
        return
    async with Cluster(ClusterOptions(tmp_path / "cluster", in_memory=True)) as cluster:

        def inside(user: str) -> Transport:
            return InProcessTransport(cluster.api, loopback(user))

        found = Stage(inside, tmp_path, control=names.CONTROL_NAMESPACE, namespace="default", cluster=cluster)
        yield found
        await found.stop()
