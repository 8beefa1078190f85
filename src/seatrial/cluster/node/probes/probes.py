"""The probes of every container that runs, and what they have found (research: probes of the kubelet).

A startup probe holds the others back until it has passed. Before its first verdict a container counts as live and as
not ready. `failureThreshold` tries in a row turn a verdict to failure, `successThreshold` turn it back. When a liveness
or startup probe has failed its container is to be restarted: it is not tried again until then.

Most programs answer a moment after they start, and a period is 10 s by default: in its first period a startup or
readiness probe is tried again soon, and what fails there does not count (upstream waits for the next period).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from seatrial.cluster.node.probes.attempt import Result, attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.base.clock import Clock
    from seatrial.base.tasks import TaskGroup
    from seatrial.cluster.node.runtime.types import Runtime
    from seatrial.kube.model.objects import Object


class Kind(Enum):
    STARTUP = "startup"
    LIVENESS = "liveness"
    READINESS = "readiness"


_EAGER = (Kind.STARTUP, Kind.READINESS)
_FIRST_EAGER = 0.02
"""Seconds to the second try; doubled after each."""
_FIELDS = {Kind.STARTUP: "startupProbe", Kind.LIVENESS: "livenessProbe", Kind.READINESS: "readinessProbe"}


@dataclass(frozen=True, slots=True)
class Subject:
    """One running container."""

    pod: Object
    container: Object
    container_id: str
    address: str


class Listener(Protocol):
    def probes_changed(self, subject: Subject) -> None:
        """Whether the container has started, or is ready, is different now."""

    def probe_failed(self, subject: Subject, kind: Kind, message: str, grace: int | None) -> None:
        """Its container is to be restarted; `grace` in seconds is the probe's own, if it has one."""

    def probe_noted(self, subject: Subject, kind: Kind, reason: str, message: str) -> None:
        """A try that failed, or that passed with a warning: an event's reason and message."""


@dataclass(slots=True)
class _Watched:
    subject: Subject
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    tasks: dict[Kind, asyncio.Task[None]] = field(default_factory=dict)


class Probes:
    def __init__(self, runtime: Runtime, clock: Clock, tasks: TaskGroup, listener: Listener) -> None:
        self._runtime = runtime
        self._clock = clock
        self._tasks = tasks
        self._listener = listener
        self._watched: dict[str, _Watched] = {}

    def start(self, subject: Subject) -> None:
        """The container runs: try it from now on."""
        if subject.container_id in self._watched:
            return
        watched = self._watched[subject.container_id] = _Watched(subject)
        container = subject.container
        if not container.get("startupProbe"):
            watched.started.set()
        watched.ready = watched.started.is_set() and not container.get("readinessProbe")
        for kind, name in _FIELDS.items():
            if container.get(name):
                title = f"{kind.value} probe of {container['name']}"
                watched.tasks[kind] = self._tasks.start(title, self._try(watched, kind, container[name]))

    def stop(self, container_id: str, *, readiness: bool = True) -> None:
        """`readiness` False: its pod terminates, and only whether it is ready still matters."""
        watched = self._watched.get(container_id)
        if watched is None:
            return
        for kind, task in list(watched.tasks.items()):
            if readiness or kind is not Kind.READINESS:
                task.cancel()
                del watched.tasks[kind]
        if readiness:
            del self._watched[container_id]

    def has_started(self, container_id: str) -> bool:
        watched = self._watched.get(container_id)
        return watched is not None and watched.started.is_set()

    def is_ready(self, container_id: str) -> bool:
        watched = self._watched.get(container_id)
        return watched is not None and watched.started.is_set() and watched.ready

    async def _try(self, watched: _Watched, kind: Kind, probe: Mapping[str, Any]) -> None:
        due = self._clock.monotonic() + float(probe.get("initialDelaySeconds") or 0)
        if kind is not Kind.STARTUP:
            await watched.started.wait()
        await self._clock.sleep(due - self._clock.monotonic())
        period = float(probe.get("periodSeconds") or 10)
        needed = {True: int(probe.get("successThreshold") or 1), False: int(probe.get("failureThreshold") or 3)}
        if kind in _EAGER:
            await self._try_soon(watched, probe, period)
        last, row = None, 0
        while True:
            begun = self._clock.monotonic()
            result = await self._attempt(watched, probe)
            self._note(watched, kind, result)
            row = row + 1 if result.passed == last else 1
            last = result.passed
            if row == needed[result.passed] and self._verdict(watched, kind, result, probe):
                return
            await self._clock.sleep(period - (self._clock.monotonic() - begun))

    async def _try_soon(self, watched: _Watched, probe: Mapping[str, Any], period: float) -> None:
        """Return when a try passes, or the first period is over."""
        delay, over = _FIRST_EAGER, self._clock.monotonic() + period
        while not (await self._attempt(watched, probe)).passed:
            left = over - self._clock.monotonic()
            if left <= 0:
                return
            await self._clock.sleep(min(delay, left))
            delay *= 2

    async def _attempt(self, watched: _Watched, probe: Mapping[str, Any]) -> Result:
        subject = watched.subject
        return await attempt(probe, subject.container, subject.container_id, subject.address, self._runtime)

    def _note(self, watched: _Watched, kind: Kind, result: Result) -> None:
        title = kind.value.capitalize()
        if not result.passed:
            self._listener.probe_noted(watched.subject, kind, "Unhealthy", f"{title} probe failed: {result.message}")
        elif result.warning:
            self._listener.probe_noted(
                watched.subject, kind, "ProbeWarning", f"{title} probe warning: {result.warning}"
            )

    def _verdict(self, watched: _Watched, kind: Kind, result: Result, probe: Mapping[str, Any]) -> bool:
        """Whether the probe has done its work."""
        if kind is Kind.READINESS:
            if watched.ready != result.passed:
                watched.ready = result.passed
                self._listener.probes_changed(watched.subject)
            return False
        if not result.passed:
            grace = probe.get("terminationGracePeriodSeconds")
            self._listener.probe_failed(watched.subject, kind, result.message, grace)
            return True
        if kind is Kind.STARTUP:
            watched.started.set()
            watched.ready = watched.ready or not watched.subject.container.get("readinessProbe")
            self._listener.probes_changed(watched.subject)
            return True
        return False
