"""A sync on the embedded API, driven to its end: manifests in, `operationState` out.

`Driver` stands for the controller: it keeps the state, hands over live objects by watch and calls `advance` again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.base.clock import SystemClock, parse_time
from seatrial.gitops.api import names
from seatrial.gitops.live import Kind, LiveState
from seatrial.gitops.sync import results
from seatrial.gitops.sync.context import Context
from seatrial.gitops.sync.operation import Desired, Operation
from seatrial.gitops.sync.plan import tracking_id
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import conditions, objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seatrial.base.tasks import TaskGroup
    from seatrial.cluster.server import Cluster
    from seatrial.gitops.sync.context import Progress
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

REVISION = "1234567890abcdef1234567890abcdef12345678"
KINDS = (
    ("v1", "ConfigMap"), ("v1", "Namespace"), ("v1", "Secret"), ("v1", "Service"), ("v1", "Pod"),
    ("apps/v1", "Deployment"), ("batch/v1", "Job"), ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
)  # fmt: skip


class Health(NamedTuple):
    status: str
    message: str = ""


def assess(obj: Object) -> Health | None:
    """Enough of the health rules for these scenarios; a ConfigMap says its own in an annotation."""
    said = objects.annotations(obj).get("test/health")
    if said:
        return Health(*said.split(":", 1))
    if obj["kind"] == "Job":
        failed = conditions.get(obj, "Failed")
        if failed is not None and failed["status"] == "True":
            return Health("Degraded", failed.get("message") or "")
        return Health("Healthy" if conditions.is_true(obj, "Complete") else "Progressing")
    if obj["kind"] == "Deployment":
        status = obj.get("status") or {}
        ready = status.get("availableReplicas", 0) >= obj["spec"].get("replicas", 1)
        seen = status.get("observedGeneration", 0) >= objects.metadata(obj).get("generation", 0)
        return Health("Healthy" if ready and seen else "Progressing")
    return None


class Driver:
    def __init__(self, client: Client, live: LiveState, changed: asyncio.Event, namespace: str = "default") -> None:
        self.client = client
        self.live = live
        self.namespace = namespace
        self.instance = "app"
        self.clock = SystemClock()
        self.options: tuple[str, ...] = ()
        self.namespace_metadata: dict[str, Any] = {}
        self.approved_at = 0.0
        self.wave_delay = 0.0
        self.states: list[Object] = []
        self.applied: list[str] = []
        self.unmodified: frozenset[objects.Ref] = frozenset()
        self.keep_ignored: Callable[[Object, Object], Object] = lambda target, _live: target
        self.log: list[str] = []
        self._changed = changed
        self._count = 0

    # manifests

    def tracked(self, *targets: Object, instance: str = "") -> tuple[Object, ...]:
        """Copies with tracking id and namespace, as the compare hands them over."""
        return tuple(self._tracked(target, instance or self.instance) for target in targets)

    def _tracked(self, target: Object, instance: str) -> Object:
        made = objects.clone(target)
        metadata = made["metadata"]
        if made["kind"] not in ("Namespace", "CustomResourceDefinition"):
            metadata.setdefault("namespace", self.namespace)
        metadata["annotations"] = {
            **metadata.get("annotations", {}), names.TRACKING_ID: tracking_id(made, instance),
        }  # fmt: skip
        return made

    # syncing

    def operation(self, *targets: Object, state: Object | None = None, **sync: Any) -> Operation:
        """`sync`: fields of the operation's `sync`; beside them `retry`."""
        if state is None:
            self._count += 1
            asked: Object = {"sync": {key: value for key, value in sync.items() if key != "retry"}}
            if "retry" in sync:
                asked["retry"] = sync["retry"]
            state = results.begin(asked, self.clock.time(), f"{self._count}", revision=REVISION)
        return Operation(state, self.desired(*targets), self.context())

    def desired(self, *targets: Object) -> Desired:
        return Desired(
            instance=self.instance,
            targets=self.tracked(*targets),
            namespace=self.namespace,
            namespace_metadata=self.namespace_metadata,
            app_options=self.options,
            unmodified=self.unmodified,
            approved_at=self.approved_at,
        )

    def context(self) -> Context:
        return Context(
            client=self.client,
            clock=self.clock,
            live=self.live,
            resource=self.live.mapper.for_kind,
            assess=assess,
            keep_ignored=self.keep_ignored,
            on_applied=lambda target, _live: self.applied.append(objects.name(target)),
            wave_delay=self.wave_delay,
        )

    async def sync(self, *targets: Object, seconds: float = 10.0, **sync: Any) -> Object:
        """The final state."""
        return await self.drive(self.operation(*targets, **sync), seconds)

    async def drive(self, operation: Operation, seconds: float = 10.0) -> Object:
        async with asyncio.timeout(seconds):
            while True:
                self._changed.clear()
                progress = await operation.advance()
                self.states.append(progress.state)
                if progress.done:
                    return progress.state
                await self.rest(progress)

    async def until(self, operation: Operation, test: Callable[[Object], bool], seconds: float = 10.0) -> Object:
        """Advance until the state passes the test."""
        async with asyncio.timeout(seconds):
            while True:
                self._changed.clear()
                progress = await operation.advance()
                if test(progress.state):
                    return progress.state
                await self.rest(progress)

    async def rest(self, progress: Progress) -> None:
        await self.pause(progress.requeue_after)

    async def pause(self, seconds: float | None) -> None:
        """Until it is time, or an object changed."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    # looking

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        try:
            resource = await self.live.mapper.for_name(kind)
            return await self.client.get(resource, name, self.namespace if namespace is None else namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def create(self, obj: Object) -> Object:
        resource = await self.live.mapper.for_kind(obj["apiVersion"], obj["kind"])
        made = await self.client.create(resource, obj)
        await self.seen(made)
        return made

    async def merge(self, kind: str, name: str, patch: Object, subresource: str = "") -> Object:
        resource = await self.live.mapper.for_name(kind)
        made = await self.client.patch(
            resource, name, patch, self.namespace, type=PatchType.MERGE, subresource=subresource
        )
        if made.get("kind") in {name for _, name in KINDS}:
            await self.seen(made)
        return made

    async def merge_if_there(self, kind: str, name: str, patch: Object) -> None:
        if await self.get(kind, name) is not None:
            await self.merge(kind, name, patch)

    async def merge_only(self, kind: str, name: str, patch: Object) -> None:
        """Without waiting for the watch."""
        resource = await self.live.mapper.for_name(kind)
        await self.client.patch(resource, name, patch, self.namespace, type=PatchType.MERGE)

    async def seen(self, obj: Object) -> None:
        """Until the watch shows it."""
        version = int(objects.metadata(obj)["resourceVersion"])
        async with asyncio.timeout(5):
            while True:
                self._changed.clear()
                found = self.live.get(objects.ref(obj), obj["apiVersion"])
                if found is not None and int(objects.metadata(found)["resourceVersion"]) >= version:
                    return
                try:
                    async with asyncio.timeout(0.01):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def gone(self, ref: objects.Ref, api_version: str = "v1") -> None:
        """Until the watch shows it no more."""
        async with asyncio.timeout(5):
            while self.live.get(ref, api_version) is not None:
                await asyncio.sleep(0.01)

    def result(self, state: Object, name: str, phase: str = "Sync") -> Object:
        found: Sequence[Object] = state["syncResult"].get("resources") or ()
        return next((item for item in found if item["name"] == name and item["syncPhase"] == phase), {})

    def order(self, kind: str = "ConfigMap") -> list[str]:
        """Names by when they were made."""
        refs = [obj for obj in self.live.tracked(self.instance).values() if obj["kind"] == kind]
        return [objects.name(obj) for obj in sorted(refs, key=_uid_order)]


def _uid_order(obj: Object) -> int:
    return int(objects.annotations(obj).get("test/made") or objects.metadata(obj)["resourceVersion"])


# manifests


def config_map(name: str, wave: int | None = None, data: dict[str, str] | None = None, **annotations: str) -> Object:
    shown = {key.replace("__", "/").replace("_", "-"): value for key, value in annotations.items()}
    if wave is not None:
        shown[names.SYNC_WAVE] = str(wave)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "annotations": shown},
        "data": data if data is not None else {"key": "value"},
    }


def annotated(obj: Object, annotation: str, value: str) -> Object:
    made = objects.clone(obj)
    made["metadata"].setdefault("annotations", {})[annotation] = value
    return made


def hook(name: str, phase: str, policy: str = "", wave: int | None = None, **annotations: str) -> Object:
    """A ConfigMap as a hook: it has no health, so it succeeds at once; `test/health` says otherwise."""
    made = annotated(config_map(name, wave, None, **annotations), names.HOOK, phase)
    return annotated(made, names.HOOK_DELETE_POLICY, policy) if policy else made


def deployment(name: str, wave: int | None = None, **fields: Any) -> Object:
    labels = {"app": name}
    container = {"name": "main", "image": "example.com/app:1"}
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            **fields,
        },
    }
    return made if wave is None else annotated(made, names.SYNC_WAVE, str(wave))


async def connect(cluster: Cluster, tasks: TaskGroup) -> Driver:
    changed = asyncio.Event()
    client = cluster.client(names.FIELD_MANAGER)
    live = LiveState(client, SystemClock(), tasks, lambda _instance, _obj: changed.set())
    await live.watch(Kind(*kind) for kind in KINDS)
    return Driver(client, live, changed)


def started(state: Object) -> float:
    return parse_time(state["startedAt"])
