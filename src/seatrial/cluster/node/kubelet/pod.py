"""One pod on this node: sandbox, volumes, containers in their order, termination, and what the API hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from seatrial.base.clock import parse_time, rfc3339
from seatrial.base.errors import Retryable, SeatrialError
from seatrial.cluster.node.kubelet import names, records, status
from seatrial.cluster.node.kubelet.container import Keeper
from seatrial.cluster.node.kubelet.parts import Deadline
from seatrial.cluster.node.kubelet.records import Role
from seatrial.cluster.node.kubelet.status import Facts
from seatrial.cluster.node.runtime.types import SandboxConfig
from seatrial.cluster.node.volumes.facts import PodFacts
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from seatrial.cluster.node.kubelet.parts import Parts
    from seatrial.cluster.node.kubelet.records import Record
    from seatrial.cluster.node.runtime.types import Exit, Sandbox
    from seatrial.kube.control.events import EventType
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_PODS = resources.for_plural("pods")
_FINAL = ("Succeeded", "Failed")
_FIRST_RETRY, _LAST_RETRY = 0.5, 10.0
_OVERDUE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
_FORCED_GRACE = 1.0
"""Seconds for a pod whose object is gone already."""


class Pod:
    """`run` is its whole life; `update` and `vanish` tell it what the API says."""

    def __init__(self, parts: Parts, pod: Object) -> None:
        self.parts = parts
        self.object = pod
        self.address = ""
        self.sandbox: Sandbox | None = None
        self.records = records.from_pod(pod)
        self._keepers = {record.name: Keeper(self, record) for record in self.records}
        self._tasks: set[asyncio.Task[None]] = set()
        now = rfc3339(parts.clock.time())
        start = (pod.get("status") or {}).get("startTime") or now
        self._facts = Facts(host_address=parts.node.address, start_time=start)
        self._ended = asyncio.Event()
        """It is to end: deleted, gone or overdue."""
        self._deletion = asyncio.Event()
        self._deadline: Deadline | None = None
        self._gone = False
        """There is no object any more."""
        self._dirty = asyncio.Event()
        self._clean = asyncio.Event()
        self._progress = asyncio.Event()
        """Something of a container is different: whoever waits for that looks again."""
        self._routing: asyncio.Task[None] | None = None

    @property
    def uid(self) -> str:
        return objects.uid(self.object)

    @property
    def log_directory(self) -> Path:
        return log_directory(self.parts.directory, self.object)

    # What others tell

    def update(self, pod: Object) -> None:
        if _version(pod) < _version(self.object):
            return  # what our own write answered is newer
        self.object = pod
        self._adopt_images(pod)
        if objects.is_deleting(pod):
            self._deletion.set()
            self._ended.set()
            if self._deadline is not None:
                self._deadline.within(_left(pod, self.parts.clock.time()))
        self._consider_routes()
        self.changed()

    def vanish(self) -> None:
        """The object was removed: end as soon as is decent."""
        self._gone = True
        self._deletion.set()
        self._ended.set()
        if self._deadline is not None:
            self._deadline.within(_FORCED_GRACE)
        self._clean.set()

    def exited(self, container: str, exit: Exit) -> None:
        for record in self.records:
            if record.id == container and record.exit is not None and not record.exit.done():
                record.exit.set_result(exit)

    def probes_changed(self, name: str) -> None:
        self._keepers[name].look()

    def restart(self, name: str, why: str, grace: int | None = None) -> None:
        self._start(f"restart {name}", self._keepers[name].restart(why, grace))

    def changed(self) -> None:
        """The status is to be written; see whether connections may come."""
        self._clean.clear()
        self._dirty.set()
        self._progress.set()
        self._consider_routes()

    def _adopt_images(self, pod: Object) -> None:
        given = {c["name"]: c for c in (*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"])}
        for record in self.records:
            new = given.get(record.name, record.spec)
            changed = new.get("image") != record.spec.get("image")
            record.spec = new
            if changed:
                self._keepers[record.name].image_changed()
                if record.is_running:
                    self.restart(record.name, "definition changed")

    # Life

    async def run(self) -> None:
        writing = asyncio.create_task(self._write_statuses())
        try:
            if (self.object.get("status") or {}).get("phase") not in _FINAL:
                await self._live_until_ended()
                await self._end()
                self.changed()
                await asyncio.gather(self._release(), self._written())
            await self._deletion.wait()
            writing.cancel()
            await self._delete()
        finally:
            writing.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(writing, *self._tasks, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self.log_directory, ignore_errors=True)

    async def _live_until_ended(self) -> None:
        if objects.is_deleting(self.object):  # found so when the node started: nothing of it runs
            self._deletion.set()
            return
        living = asyncio.create_task(self._live())
        ended = asyncio.create_task(self._ended.wait())
        overdue = asyncio.create_task(self._overdue())
        try:
            await asyncio.wait({living, ended, overdue}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (living, ended, overdue):
                task.cancel()
            await asyncio.gather(living, ended, overdue, return_exceptions=True)
        if not living.cancelled() and (error := living.exception()) is not None:
            log.error("a pod's life broke off", extra={"pod": self._shown}, exc_info=error)
            self._fact(ended=("InternalError", f"the node could not go on with the pod: {error}"))

    async def _overdue(self) -> None:
        seconds = self.object["spec"].get("activeDeadlineSeconds")
        left = parse_time(self._facts.start_time) + seconds - self.parts.clock.time() if seconds else math.inf
        if left == math.inf:
            await asyncio.Event().wait()
        await self.parts.clock.sleep(left)
        self._fact(ended=_OVERDUE)

    async def _live(self) -> None:
        if all(record.done for record in self._of(Role.MAIN)):  # ended with an earlier start of the node
            return
        self.changed()
        await asyncio.gather(self._retry(self._make_sandbox, "FailedCreatePodSandBox"), self._make_volumes())
        self._fact(has_sandbox=True)
        if await self._initialize():
            await self._run_main()

    async def _initialize(self) -> bool:
        """Init containers one after another; sidecars stay. False if one failed for good."""
        for record in self.records:
            if record.role is Role.SIDECAR:
                self._start(f"sidecar {record.name}", self._keepers[record.name].keep())
                await self._until_started(record)
            elif record.role is Role.INIT:
                record.done = False
                await self._keepers[record.name].keep()
                if record.exit_code != 0:
                    return False
        for record in self._of(Role.MAIN):
            if record.state.get("waiting", {}).get("reason") == "PodInitializing":
                record.wait_for("ContainerCreating")
        return True

    async def _run_main(self) -> None:
        """Each may start once the one before it has tried, as upstream starts them."""
        turn: asyncio.Event | None = None
        async with asyncio.TaskGroup() as group:
            for record in self._of(Role.MAIN):
                keeper = self._keepers[record.name]
                group.create_task(keeper.keep(turn))
                turn = keeper.attempted

    async def _until_started(self, record: Record) -> None:
        while not record.started:
            self._progress.clear()
            await self._progress.wait()

    # Place

    async def _retry(self, step: Callable[[], Coroutine[Any, Any, None]], reason: str) -> None:
        delay = _FIRST_RETRY
        while True:
            try:
                await step()
                return
            except SeatrialError as error:
                self._event("Warning", reason, error.message)
            await self.parts.clock.sleep(delay)
            delay = min(_LAST_RETRY, delay * 2)

    async def _make_sandbox(self) -> None:
        parts, pod = self.parts, self.object
        spec = pod["spec"]
        on_host = bool(spec.get("hostNetwork"))
        config = SandboxConfig(
            uid=self.uid,
            namespace=objects.namespace(pod),
            name=objects.name(pod),
            hostname=names.hostname(pod),
            host_network=on_host,
            host_pid=bool(spec.get("hostPID")),
            host_ipc=bool(spec.get("hostIPC")),
            share_process_namespace=bool(spec.get("shareProcessNamespace")),
            sysctls={item["name"]: item["value"] for item in _sysctls(spec)},
            resolv_conf=names.resolv_conf(pod, parts.resolving),
        )
        sandbox = await parts.runtime.create_sandbox(config)
        if on_host:
            self.address = parts.node.address
        else:
            self.address = await parts.network.attach(self.uid, sandbox.network_namespace)
        parts.runtime.write_hosts(self.uid, names.hosts(pod, self.address, parts.resolving.cluster_domain))
        self.sandbox = sandbox
        self._fact(address=self.address)

    async def _make_volumes(self) -> None:
        """What is missing may come at any moment: tried again whenever something changes."""
        delay = _FIRST_RETRY
        while True:
            try:
                await self.parts.volumes.prepare(self.object, PodFacts(self.address, self.parts.node.address))
                return
            except SeatrialError as error:
                self._event("Warning", "FailedMount", error.message)
            await self.parts.inputs.change(delay)
            delay = min(_LAST_RETRY, delay * 2)

    # Routes

    def _consider_routes(self) -> None:
        """Connections are let in before the pod is called ready, so that whoever counts on it can."""
        is_ready = self._facts.has_sandbox and status.containers_ready(self.records) and status.gates_open(self.object)
        if not is_ready or self._ended.is_set():
            if self._routing is not None:
                self._routing.cancel()
                self._routing = None
            return
        if self._routing is None:
            selected = self.parts.routes.selects(self.object)
            self._facts = replace(self._facts, is_routed=not selected)
            self._routing = self._start("routes", self._route(selected))

    async def _route(self, selected: bool) -> None:
        if selected:
            await self._written()
            await self.parts.routes.include(self.uid)
            self._fact(is_routed=True)

    # End

    async def _end(self) -> None:
        """Stop what still runs: nobody is sent here any more, then hooks and signals, sidecars last."""
        parts = self.parts
        for task in list(self._tasks):
            task.cancel()
        for record in self.records:
            if record.id:
                parts.probes.stop(record.id, readiness=False)
        if any(record.is_running for record in self.records):
            if self._deletion.is_set() and not self._gone:
                await parts.routes.exclude(self.uid)
            self._deadline = Deadline(parts.clock, self._grace())
            await asyncio.gather(*(self._keepers[record.name].stop(self._deadline) for record in self._of(Role.MAIN)))
            for record in reversed(self._of(Role.SIDECAR, Role.INIT)):
                await self._keepers[record.name].stop(self._deadline)
        for keeper in self._keepers.values():
            keeper.abandon()
        self._fact(is_over=True, has_sandbox=False)

    def _grace(self) -> float:
        if self._gone:
            return _FORCED_GRACE
        pod = self.object
        given = pod["metadata"].get("deletionGracePeriodSeconds") if objects.is_deleting(pod) else None
        return float(pod["spec"].get("terminationGracePeriodSeconds", 30) if given is None else given)

    async def _release(self) -> None:
        parts = self.parts
        for record in self.records:
            if record.id:
                parts.probes.stop(record.id)
        for step in (parts.runtime.remove_sandbox, parts.network.detach, parts.volumes.remove):
            await self._retry(partial(step, self.uid), "FailedKillPod")
        self.sandbox = None
        directory = parts.directory / "pods" / self.uid
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _delete(self) -> None:
        while not self._gone:
            pod = self.object
            try:
                await self.parts.client.delete(_PODS, objects.name(pod), objects.namespace(pod), grace=0, uid=self.uid)
                return
            except StatusError as error:
                if error.code in (404, 409):
                    return
                log.warning("a pod cannot be deleted yet", extra={"pod": self._shown, "error": error.message})
            except Retryable as error:
                log.warning("a pod cannot be deleted yet", extra={"pod": self._shown, "error": error.message})
            await self.parts.clock.sleep(_FIRST_RETRY)

    # Status

    def _fact(self, **facts: Any) -> None:
        self._facts = replace(self._facts, **facts)
        self.changed()

    async def _written(self) -> None:
        """The API knows what we know now, or has no such pod."""
        if not self._gone:
            await self._clean.wait()

    async def _write_statuses(self) -> None:
        delay = _FIRST_RETRY
        while not self._gone:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._write()
                delay = _FIRST_RETRY
            except StatusError as error:
                if error.code in (404, 409):  # gone, or another pod of the same name: the watch will say so
                    self._clean.set()
                    continue
                await self._later(error.message, delay)
            except Retryable as error:
                await self._later(error.message, delay)
                delay = min(_LAST_RETRY, delay * 2)
            else:
                if not self._dirty.is_set():
                    self._clean.set()

    async def _later(self, why: str, delay: float) -> None:
        log.warning("a pod's status is not written yet", extra={"pod": self._shown, "why": why})
        await self.parts.clock.sleep(delay)
        self._dirty.set()

    async def _write(self) -> None:
        pod = self.object
        new = status.status(pod, self.records, self._facts, rfc3339(self.parts.clock.time()))
        if not status.differs(pod, new):
            return
        patch = {"metadata": {"uid": self.uid}, "status": status.patch(new)}
        written = await self.parts.client.patch(
            _PODS,
            objects.name(pod),
            patch,
            objects.namespace(pod),
            type=PatchType.STRATEGIC,
            subresource="status",
        )
        if _version(written) > _version(self.object):
            self.object = written
            if objects.is_deleting(written):
                self._deletion.set()
                self._ended.set()

    # Facts

    def find(self, name: str) -> Record | None:
        return next((record for record in self.records if record.name == name), None)

    def _of(self, *roles: Role) -> list[Record]:
        return [record for record in self.records if record.role in roles]

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{name} of {self._shown}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a pod's task broke off", extra={"task": task.get_name()}, exc_info=error)

    @property
    def _shown(self) -> str:
        return f"{objects.namespace(self.object)}/{objects.name(self.object)}"

    def _event(self, type_: EventType, reason: str, message: str) -> None:
        self.parts.recorder.event(self.object, type_, reason, message)


def log_directory(directory: Path, pod: Object) -> Path:
    return directory / "logs" / f"{objects.namespace(pod)}_{objects.name(pod)}_{objects.uid(pod)}"


def _sysctls(spec: Object) -> list[dict[str, str]]:
    return (spec.get("securityContext") or {}).get("sysctls") or []


def _version(pod: Object) -> int:
    with contextlib.suppress(ValueError, TypeError):
        return int(pod["metadata"]["resourceVersion"])
    return 0


def _left(pod: Object, now: float) -> float:
    """Seconds until a deletion's grace is over."""
    due = pod["metadata"].get("deletionTimestamp")
    return max(0.0, parse_time(due) - now) if due else 0.0
