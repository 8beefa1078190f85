"""The runs of one namespace: queued, started, stopped and kept, as the PipelineRun objects say.

One pass looks at all of them, since what may start depends on what runs. Everything that has to outlive the process
is in the objects; a run that is under way there and not here has lost its runner.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.base.clock import parse_time, rfc3339
from seatrial.kube.client.client import PatchType
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS
from seatrial.pipeline.api.run import PipelineRun

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.base.tasks import TaskGroup
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object
    from seatrial.pipeline.execution import Executor
    from seatrial.pipeline.registry import Registry

log = logging.getLogger(__name__)

_ALL: Key = ("", "runs")
_OF_AN_ATTEMPT = (
    "conclusion", "reason", "message", "startedAt", "completedAt", "jobs", "annotations", "summary", "artifacts",
)  # fmt: skip


@dataclass(slots=True)
class Active:
    run: PipelineRun
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Retention:
    runs: int = 100
    """Of one repository; the newest of all stays in any case: it says which number comes next."""
    seconds: float = 30 * 86400.0


class RunController:
    def __init__(
        self, client: Client, clock: Clock, runs: Informer, executor: Executor, registry: Registry, tasks: TaskGroup, *,
        parallel: int = 2, retention: Retention | None = None,
    ) -> None:  # fmt: skip
        self._client = client
        self._clock = clock
        self._runs = runs
        self._executor = executor
        self._registry = registry
        self._tasks = tasks
        self._parallel = parallel
        self._retention = retention or Retention()
        self._active: dict[str, Active] = {}
        self._latest: dict[str, Object] = {}
        """As our own writes left them: the watch may be behind."""
        self.controller = Controller("pipeline runs", self._pass, clock=clock, workers=1)
        self.controller.watches(runs, lambda _: (_ALL,))
        runs.on_change(self._noted)

    def wake(self) -> None:
        self.controller.enqueue(_ALL)

    def is_over(self, name: str, attempt: int) -> bool:
        """Nothing more comes of this attempt."""
        run = next((run for run in self.runs() if run.name == name), None)
        return run is None or run.attempt > attempt or (run.status == names.COMPLETED and name not in self._active)

    def runs(self) -> list[PipelineRun]:
        """Oldest first."""
        found = [PipelineRun(self._newest(obj)) for obj in self._runs.list()]
        return sorted(found, key=lambda run: (run.id or 1 << 62, run.name))

    def _newest(self, seen: Object) -> Object:
        written = self._latest.get(objects.name(seen))
        if written is None or objects.uid(written) != objects.uid(seen) or _version(seen) >= _version(written):
            return seen
        return written

    def _noted(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            name = objects.name(old)
            self._latest.pop(name, None)
            if (active := self._active.get(name)) is not None:
                active.stop.set()
            else:
                self._tasks.start(f"remove the log of {name}", asyncio.to_thread(self._executor.forget, name))

    # one pass

    async def _pass(self, _key: Key) -> Outcome:
        for run in self.runs():
            await self._look_at(run)
        runs = [run for run in self.runs() if not objects.is_deleting(run.object)]
        waiting = [run for run in runs if run.status == names.QUEUED and run.id and run.name not in self._active]
        waiting = await self._one_per_group(waiting)
        for run in waiting:
            if len(self._active) >= self._parallel:
                break
            if not run.group or all(active.run.group != run.group for active in self._active.values()):
                self._start(run)
        await self._retain(runs)
        return DONE

    async def _look_at(self, run: PipelineRun) -> None:
        active = self._active.get(run.name)
        if active is not None:
            if run.cancel_asked or run.attempt > active.run.attempt or objects.is_deleting(run.object):
                active.stop.set()
        elif run.status == names.IN_PROGRESS:
            await self._lost(run)
        elif run.status == names.QUEUED:
            await self._look_at_queued(run)

    async def _look_at_queued(self, run: PipelineRun) -> None:
        if not run.id or not run.commit:
            adopted = await self._registry.adopt(run)
            if adopted is None:
                return
            self._latest[run.name] = adopted
            run = PipelineRun(adopted)
        if run.cancel_asked:
            await self.finish(run, names.CANCELLED, "Cancelled", "cancelled before it started")
        elif problem := run.spec.get("problem"):
            annotation = {"level": "failure", **problem}
            said = str(problem.get("message") or "")
            place = ":".join(str(problem[key]) for key in ("path", "line", "column") if problem.get(key))
            message = f"{place}: {said}" if place else said
            await self.finish(run, names.STARTUP_FAILURE, "WorkflowInvalid", message, {"annotations": [annotation]})
        elif run.is_stale:
            await self.write(
                run, {"status": names.QUEUED, **dict.fromkeys(_OF_AN_ATTEMPT), **_queued(run, self._now())}
            )

    async def _lost(self, run: PipelineRun) -> None:
        jobs = [_ended(job, self._now()) for job in run.jobs]
        message = "the runner was killed while the run was under way: run it again with `seatrial run rerun`"
        await self.finish(run, names.FAILURE, names.RUNNER_LOST, message, {"jobs": jobs})
        log.warning("a run lost its runner", extra={"run": run.name})

    async def _one_per_group(self, waiting: list[PipelineRun]) -> list[PipelineRun]:
        """Of those that wait in one group, only the newest stays."""
        newest = {run.group: run for run in waiting if run.group}
        left = []
        for run in waiting:
            latest = newest.get(run.group, run)
            if latest is not run:
                message = f"run {latest.id} of the same concurrency group '{run.group}' came after it"
                await self.finish(run, names.CANCELLED, "Superseded", message)
                continue
            left.append(run)
            if run.cancels_others:
                for active in self._active.values():
                    if active.run.group == run.group:
                        active.stop.set()
        return left

    def _start(self, run: PipelineRun) -> None:
        active = self._active[run.name] = Active(run)
        self._tasks.start(f"run {run.name}", self._carry_out(active))

    async def _carry_out(self, active: Active) -> None:
        try:
            await self._executor.execute(active.run, active.stop, self.write)
        finally:
            del self._active[active.run.name]
            if self._runs.get(active.run.namespace, active.run.name) is None:
                await asyncio.to_thread(self._executor.forget, active.run.name)
            self.wake()

    # keeping

    async def _retain(self, runs: list[PipelineRun]) -> None:
        last = max((run.id for run in runs), default=0)
        seen: dict[str, int] = {}
        oldest = self._clock.time() - self._retention.seconds
        for run in reversed(runs):
            seen[run.repository] = seen.get(run.repository, 0) + 1
            if run.status != names.COMPLETED or run.id == last or run.name in self._active:
                continue
            if seen[run.repository] > self._retention.runs or _created(run) < oldest:
                try:
                    await self._client.delete(RUNS, run.name, run.namespace)
                except StatusError as error:
                    if error.code != 404:
                        raise

    # writing

    async def finish(
        self, run: PipelineRun, conclusion: str, reason: str, message: str, more: Object | None = None
    ) -> None:
        ended = {"status": names.COMPLETED, "conclusion": conclusion, "reason": reason, "message": message}
        fresh = _queued(run, self._now()) if run.is_stale else {}
        await self.write(run, {**dict.fromkeys(_OF_AN_ATTEMPT if run.is_stale else ()), **fresh, **ended,
                               "completedAt": self._now(), **(more or {})})  # fmt: skip

    async def write(self, run: PipelineRun, status: Object) -> None:
        """Into the status. Raises StatusError (but not for a run that is gone), Retryable."""
        try:
            written = await self._client.patch(
                RUNS, run.name, {"status": status}, run.namespace, type=PatchType.MERGE, subresource="status"
            )
        except StatusError as error:
            if error.code != 404:
                raise
            return
        self._latest[run.name] = written

    def _now(self) -> str:
        return rfc3339(self._clock.time())


def _queued(run: PipelineRun, now: str) -> Object:
    return {"attempt": run.attempt, "queuedAt": now, "decision": run.spec.get("decision")}


def _ended(job: Object, now: str) -> Object:
    """A job or step as it is when its runner is gone."""
    if job.get("status") == names.COMPLETED:
        return job
    began = job.get("status") == names.IN_PROGRESS
    made = {**job, "status": names.COMPLETED, "conclusion": names.FAILURE if began else names.SKIPPED}
    if began:
        made["completedAt"] = now
    return {**made, "steps": [_ended(step, now) for step in job["steps"]]} if "steps" in job else made


def _version(obj: Object) -> int:
    text = str(objects.metadata(obj).get("resourceVersion") or "")
    return int(text) if text.isdigit() else 0


def _created(run: PipelineRun) -> float:
    text = objects.metadata(run.object).get("creationTimestamp")
    return parse_time(text) if text else float("inf")
