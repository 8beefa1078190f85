"""The CronJob controller: starts the Job that is due, and looks again at the next set time.

As in the Job controller, a pass on a copy of the world that lacks this controller's own last writes does nothing.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.controllers import ownership
from seatrial.cluster.controllers.cronjob import plan
from seatrial.cluster.controllers.job import spec as jobspec
from seatrial.cluster.controllers.serviceaccount import is_too_late
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, own_key, owner_keys
from seatrial.kube.control.expectations import TIMEOUT, Expectations
from seatrial.kube.model import objects, resources
from seatrial.kube.model.cron import InvalidSchedule
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.controllers.cronjob.plan import Due, Seen
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.events import EventType
    from seatrial.kube.model.objects import Object

_COMPONENT = "cronjob-controller"
_WORKERS = 2
_keys = owner_keys("CronJob", "batch")


def build(context: ControlContext) -> Controller:
    return _CronJobs(context).controller


@dataclass(slots=True)
class _Memory:
    """What is known about one CronJob beside what the API holds; all of it may be lost."""

    uid: str
    schedule: tuple[str, str]
    """With its time zone, as last seen."""
    since: float = 0.0
    """When it became that; 0 if it always was."""
    written: int = 0
    """The version of our last status."""
    told: set[tuple[str, object]] = field(default_factory=set)
    """Events that are not to be repeated."""


class _Started(NamedTuple):
    """The active list after what this pass did, and what to write with it."""

    active: list[dict[str, Any]]
    scheduled: float | None
    wait: float | None = None
    error: Exception | None = None


class _CronJobs:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._resource = resources.for_plural("cronjobs", "batch")
        self._job_resource = resources.for_plural("jobs", "batch")
        self._crons = context.informers.get(self._resource)
        self._jobs = context.informers.get(self._job_resource)
        ownership.index(self._jobs)
        self._expectations = Expectations(context.clock)
        self._jobs.on_change(self._note)
        self._memories: dict[Key, _Memory] = {}
        self.controller = Controller("cronjob", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._crons)
        self.controller.watches(self._jobs, _keys)

    def _note(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None:
            for key in _keys(new):
                self._expectations.observed_creation(key)
        gone = old if new is None else new if objects.is_deleting(new) else None
        if gone is not None:
            for key in _keys(gone):
                self._expectations.observed_deletion(key, objects.uid(gone))

    async def _reconcile(self, key: Key) -> Outcome:
        cron_job = self._crons.get(*key)
        if cron_job is None:
            self._memories.pop(key, None)
            self._expectations.forget(key)
            return DONE
        memory = self._remember(key, cron_job)
        if not self._expectations.satisfied(key) or _version(cron_job) < memory.written:
            return Outcome(requeue_after=TIMEOUT)
        jobs = ownership.dependents(self._jobs, cron_job)
        seen = plan.see(cron_job, jobs)
        await self._delete(cron_job, plan.superfluous(cron_job, jobs))
        started = await self._start(cron_job, seen, memory)
        written = await self._write(cron_job, plan.status_of(started.active, started.scheduled, seen.last_success))
        memory.written = max(memory.written, _version(written))
        self._tell(cron_job, seen, memory)
        if started.error is not None:
            raise started.error
        return Outcome(requeue_after=started.wait)

    def _remember(self, key: Key, cron_job: Object) -> _Memory:
        schedule = (cron_job["spec"]["schedule"], cron_job["spec"].get("timeZone") or "")
        memory = self._memories.get(key)
        if memory is None or memory.uid != objects.uid(cron_job):
            memory = self._memories[key] = _Memory(objects.uid(cron_job), schedule)
            self._expectations.forget(key)
        elif memory.schedule != schedule:  # times before the change were never set
            memory.schedule, memory.since = schedule, self._clock.time()
        return memory

    # starting

    async def _start(self, cron_job: Object, seen: Seen, memory: _Memory) -> _Started:
        nothing = _Started(seen.active, seen.last_schedule)
        if objects.is_deleting(cron_job) or cron_job["spec"].get("suspend"):
            return nothing
        try:
            schedule = plan.schedule_of(cron_job)
        except (InvalidSchedule, zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            self._refuse(cron_job, error, memory)
            return nothing
        now = self._clock.time()
        found = plan.due(cron_job, schedule, seen.last_schedule, memory.since, now)
        waiting = nothing._replace(wait=found.next_in)
        if found.missed is not None:
            message = f"Missed scheduled time to start a job: {formatdate(found.missed, usegmt=True)}"
            self._once(cron_job, memory, "Warning", "MissSchedule", message, found.missed)
        if found.start is None or self._is_blocked(cron_job, seen, found.start, memory):
            return waiting
        return await self._run(cron_job, seen, found, found.start, memory)

    def _refuse(self, cron_job: Object, error: Exception, memory: _Memory) -> None:
        """The API lets no such schedule in; one that is there came from elsewhere."""
        spec = cron_job["spec"]
        if isinstance(error, InvalidSchedule):
            message = f'unparseable schedule: "{spec["schedule"]}" : {error}'
            self._once(cron_job, memory, "Warning", "UnparseableSchedule", message, memory.schedule)
        else:
            message = f'invalid timeZone: "{spec.get("timeZone")}": {error}'
            self._once(cron_job, memory, "Warning", "UnknownTimeZone", message, memory.schedule)

    def _is_blocked(self, cron_job: Object, seen: Seen, scheduled: float, memory: _Memory) -> bool:
        if cron_job["spec"].get("concurrencyPolicy") != "Forbid" or not seen.active:
            return False
        message = "Not starting job because prior execution is running and concurrency policy is Forbid"
        self._once(cron_job, memory, "Normal", "JobAlreadyActive", message, scheduled)
        return True

    async def _run(self, cron_job: Object, seen: Seen, found: Due, scheduled: float, memory: _Memory) -> _Started:
        if found.too_many:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._once(cron_job, memory, "Warning", "TooManyMissedTimes", message, scheduled)
        active = seen.active
        try:
            if cron_job["spec"].get("concurrencyPolicy") == "Replace":
                await self._delete(cron_job, active)
                active = []
            job = await self._create(cron_job, scheduled)
        except Exception as error:
            return _Started(active, seen.last_schedule, error=error)
        if job is None:
            return _Started(active, seen.last_schedule, found.next_in)
        listed = {reference["uid"] for reference in active}
        if objects.uid(job) not in listed and not jobspec.finished(job):
            active = [*active, plan.reference_to(job)]
        return _Started(active, scheduled, found.next_in)

    async def _create(self, cron_job: Object, scheduled: float) -> Object | None:
        """The Job of that set time, new or (after a crash) already there; None if there can be none."""
        key = own_key(cron_job)
        self._expectations.expect(key, creations=1)
        try:
            job = await self._client.create(self._job_resource, plan.job_for(cron_job, scheduled))
        except BaseException as error:
            self._expectations.observed_creation(key)
            if isinstance(error, StatusError):
                return await self._not_created(cron_job, scheduled, error)
            raise
        self._event(cron_job, "Normal", "SuccessfulCreate", f"Created job {objects.name(job)}")
        return job

    async def _not_created(self, cron_job: Object, scheduled: float, error: StatusError) -> Object | None:
        if error.reason == "AlreadyExists":
            name = plan.job_name(cron_job, scheduled)
            job = await self._client.get(self._job_resource, name, objects.namespace(cron_job))
            reference = objects.controller_of(job) or {}
            if reference.get("uid") == objects.uid(cron_job):
                return job
        elif error.code == 403 and is_too_late(error):
            return None  # the namespace is going, and the CronJob with it
        self._event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error.message}")
        if error.reason == "AlreadyExists":
            return None  # somebody else's by that name: trying again would not help
        raise error

    # other writes

    async def _delete(self, cron_job: Object, jobs: Sequence[Object]) -> None:
        """Jobs, or references to Jobs."""
        for job in jobs:
            meta = job.get("metadata") or job
            self._expectations.expect(own_key(cron_job), deletions=[meta["uid"]])
            try:
                await self._client.delete(
                    self._job_resource, meta["name"], meta["namespace"], uid=meta["uid"], propagation="Background"
                )
            except BaseException as error:
                self._expectations.observed_deletion(own_key(cron_job), meta["uid"])
                if isinstance(error, StatusError):
                    if error.code == 404 or error.reason == "Conflict":  # gone, or another Job by that name
                        continue
                    self._event(cron_job, "Warning", "FailedDelete", f"Error deleting job: {error.message}")
                raise
            self._event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {meta['name']}")

    async def _write(self, cron_job: Object, status: Object) -> Object:
        if status == (cron_job.get("status") or {}):
            return cron_job
        changed = objects.clone(cron_job)
        changed["status"] = status
        return await self._client.update(self._resource, changed, subresource="status")

    # telling

    def _tell(self, cron_job: Object, seen: Seen, memory: _Memory) -> None:
        for job in seen.completed:
            condition = jobspec.finished(job) or {}
            message = f"Saw completed job: {objects.name(job)}, condition: {condition.get('type')}"
            self._event(cron_job, "Normal", "SawCompletedJob", message)
        for reference in seen.missing:
            self._event(cron_job, "Normal", "MissingJob", f"Active job went missing: {reference['name']}")
        self._tell_unexpected(cron_job, seen.unexpected, memory)

    def _tell_unexpected(self, cron_job: Object, jobs: Iterable[Object], memory: _Memory) -> None:
        for job in jobs:
            message = f"Saw a job that the controller did not create or forgot: {objects.name(job)}"
            self._once(cron_job, memory, "Warning", "UnexpectedJob", message, objects.uid(job))

    def _once(
        self, cron_job: Object, memory: _Memory, type_: EventType, reason: str, message: str, about: object
    ) -> None:
        if (reason, about) not in memory.told:
            memory.told = {each for each in memory.told if each[0] != reason or reason == "UnexpectedJob"}
            memory.told.add((reason, about))
            self._event(cron_job, type_, reason, message)

    def _event(self, cron_job: Object, type_: EventType, reason: str, message: str) -> None:
        self._recorder.event(cron_job, type_, reason, message, component=_COMPONENT)


def _version(cron_job: Object) -> int:
    return int(objects.metadata(cron_job).get("resourceVersion") or 0)
