"""The Job controller: looks at a Job and its pods, does what `plan` and `ending` say, counts, reports.

A pass on a copy of the world that lacks this controller's own last writes would count or create twice, so such a
pass does nothing; the event that brings the missing write starts another.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.controllers import ownership
from seatrial.cluster.controllers import pods as podfacts
from seatrial.cluster.controllers.job import accounting, backoff, ending, podmaking, spec, status
from seatrial.cluster.controllers.job.plan import plan
from seatrial.cluster.controllers.job.survey import survey
from seatrial.cluster.controllers.podwriter import PODS, PodWriter
from seatrial.kube.client.client import PatchType
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, own_key, owner_keys
from seatrial.kube.control.expectations import TIMEOUT, Expectations
from seatrial.kube.model import objects, resources, selectors
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from seatrial.cluster.controllers.job.backoff import Record
    from seatrial.cluster.controllers.job.ending import Ending
    from seatrial.cluster.controllers.job.survey import Survey
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.events import EventType
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.selectors import LabelSelector

_COMPONENT = "job-controller"
_TRACKED = "job-tracked"
_WORKERS = 5
_job_keys = owner_keys("Job", "batch")


def build(context: ControlContext) -> Controller:
    return _Jobs(context).controller


@dataclass(slots=True)
class _Memory:
    """What is known about one Job beside what the API holds; all of it may be lost."""

    uid: str
    record: Record | None = None
    written: int = 0
    """The version of our last status."""


class _Acted(NamedTuple):
    pods: status.Pods
    wait: float | None = None
    error: Exception | None = None


class _Jobs:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._resource = resources.for_plural("jobs", "batch")
        self._jobs = context.informers.get(self._resource)
        self._pods = context.informers.get(PODS)
        ownership.index(self._pods)
        self._pods.add_index(_TRACKED, lambda pod: map("/".join, _tracked_keys(pod)))
        self._claimer = ownership.Claimer(context.client, self._resource, PODS, finalizer=spec.FINALIZER)
        self._writer = PodWriter(context, _COMPONENT)
        self._writer.observe(self._pods, _job_keys)
        self._untracking = Expectations(context.clock)
        self._pods.on_change(self._note_untracked)
        self._memories: dict[Key, _Memory] = {}
        self.controller = Controller("job", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._jobs)
        self.controller.watches(self._pods, _job_keys)
        self.controller.watches(self._pods, _tracked_keys)
        self.controller.watches(self._pods, ownership.possible_owners(self._jobs, _selector))

    def _note_untracked(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec.is_tracked(new):
            return
        for pod in (old, new):
            for key in _job_keys(pod) if pod else ():
                self._untracking.observed_deletion(key, objects.uid(pod or {}))

    async def _reconcile(self, key: Key) -> Outcome:
        job = self._jobs.get(*key)
        if job is None:
            self._forget(key)
            await self._release_strays(key)
            return DONE
        if spec.is_foreign(job):
            return await self._expire(job)
        memory = self._remember(key, job)
        if not self._has_caught_up(key, job, memory):
            return Outcome(requeue_after=TIMEOUT)
        if spec.finished(job):
            await self._release_strays(key)
            return await self._expire(job)
        held = await self._claimer.claim(job, self._pods, _selector(job))
        await self._release_strays(key, {objects.uid(pod) for pod in held})
        return await self._sync(job, held, memory)

    def _remember(self, key: Key, job: Object) -> _Memory:
        memory = self._memories.get(key)
        if memory is None or memory.uid != objects.uid(job):
            self._forget(key)
            memory = self._memories[key] = _Memory(objects.uid(job))
        return memory

    def _forget(self, key: Key) -> None:
        self._memories.pop(key, None)
        self._writer.expectations.forget(key)
        self._untracking.forget(key)

    def _has_caught_up(self, key: Key, job: Object, memory: _Memory) -> bool:
        seen = self._writer.expectations.satisfied(key) and self._untracking.satisfied(key)
        return seen and _version(job) >= memory.written

    async def _expire(self, job: Object) -> Outcome:
        """Delete a finished Job whose time has come."""
        left = ending.expires_in(job, self._clock.time())
        if left is None or objects.is_deleting(job):
            return DONE
        if left > 0:
            return Outcome(requeue_after=left)
        meta = job["metadata"]  # the version guards a lifetime that was prolonged a moment ago
        await self._client.delete(
            self._resource,
            meta["name"],
            meta["namespace"],
            propagation="Background",
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
        )
        return DONE

    # one pass

    async def _sync(self, job: Object, held: Sequence[Object], memory: _Memory) -> Outcome:
        now = self._clock.time()
        view = survey(job, held)
        record = _record(memory, view)
        verdict = ending.decide(view, now)
        acted = await (self._stop(view) if verdict else self._manage(view, record, now))
        state, event = status.started(job, now), ""
        if verdict is None:
            verdict = ending.completion(view, acted.pods.active)
        if verdict is None and not objects.is_deleting(job):
            state, event = status.with_suspension(state, suspended=spec.is_suspended(job), now=now)
        written = await self._account(view, status.with_pods(state, acted.pods), verdict, memory, record)
        if event:
            self._event(written, "Normal", event, f"Job {event.lower()}")
        if acted.error is not None:
            raise acted.error
        waits = [wait for wait in (acted.wait, ending.deadline_in(written, now)) if wait is not None]
        return Outcome(requeue_after=min(waits)) if waits and verdict is None else DONE

    async def _stop(self, view: Survey) -> _Acted:
        """The Job is over: nothing runs on. The pods keep their finalizer until they are counted."""
        await self._writer.delete(view.job, view.active)
        return _Acted(status.Pods(0, 0, len(view.terminating) + len(view.active)))

    async def _manage(self, view: Survey, record: Record, now: float) -> _Acted:
        ready = sum(map(podfacts.is_ready, view.active))
        before = status.Pods(len(view.active), ready, len(view.terminating))
        if objects.is_deleting(view.job):
            return _Acted(before)
        todo = plan(view, record, now)
        try:
            if todo.delete:
                await self._remove(view.job, todo.delete)
            if todo.create:
                await self._writer.create(view.job, [_pod(view, index) for index in todo.create])
        except Exception as error:
            return _Acted(before, todo.wait, error)
        gone, gone_ready = len(todo.delete), sum(map(podfacts.is_ready, todo.delete))
        active = before.active + len(todo.create) - gone
        return _Acted(status.Pods(active, ready - gone_ready, before.terminating + gone), todo.wait)

    async def _remove(self, job: Object, surplus: Sequence[Object]) -> None:
        """A pod that is not wanted any more did not fail: it is to be counted nowhere."""
        await self._release(job, surplus)
        await self._writer.delete(job, surplus)

    async def _account(
        self, view: Survey, state: Object, verdict: Ending | None, memory: _Memory, record: Record
    ) -> Object:
        """List, release, count; then say so if the Job is finished. Returns the Job as written."""
        now = self._clock.time()
        step = accounting.listed(view, state, verdict)
        state = step.status if verdict is None else status.with_verdict(step.status, verdict, now)
        job = await self._write(view.job, state, memory)
        memory.record = record
        await self._release(job, step.release)
        released = {objects.uid(pod) for pod in step.release}
        tracked = {objects.uid(pod) for pod in view.pods if spec.is_tracked(pod)} - released
        state = accounting.counted(state, tracked)
        if verdict is None or step.is_full or not status.is_settled(state):
            return await self._write(job, state, memory)
        job = await self._write(job, status.finished(state, verdict, now), memory)
        self._tell_finished(job, verdict)
        return job

    def _tell_finished(self, job: Object, verdict: Ending) -> None:
        if not verdict.is_success:
            self._event(job, "Warning", verdict.reason, verdict.message)
            return
        wanted = spec.completions(job)
        if wanted is not None and job["status"].get("succeeded", 0) > wanted:
            message = "Too many succeeded pods running after completion count reached"
            self._event(job, "Warning", "TooManySucceededPods", message)
        self._event(job, "Normal", "Completed", "Job completed")

    # writes

    async def _write(self, job: Object, state: Object, memory: _Memory) -> Object:
        state = status.compact(state)
        if state == job.get("status"):
            return job
        changed = objects.clone(job)
        changed["status"] = state
        written = await self._client.update(self._resource, changed, subresource="status")
        memory.written = _version(written)
        return written

    async def _release_strays(self, key: Key, but: Iterable[str] = ()) -> None:
        """Pods whose Job is gone, finished, or theirs no longer: nobody will count them."""
        found = self._pods.by_index(_TRACKED, "/".join(key))
        kept = set(but)
        await _all(self._untrack(pod) for pod in found if objects.uid(pod) not in kept)

    async def _release(self, job: Object, pods: Sequence[Object]) -> None:
        key = own_key(job)
        tracked = [pod for pod in pods if spec.is_tracked(pod)]
        self._untracking.expect(key, deletions=map(objects.uid, tracked))
        await _all(self._untrack(pod, key) for pod in tracked)

    async def _untrack(self, pod: Object, key: Key | None = None) -> None:
        """Take the finalizer from the pod. `key`: whose expectation there is of it."""
        uid, name, namespace = objects.uid(pod), objects.name(pod), objects.namespace(pod)
        change = {"metadata": {"uid": uid, "$deleteFromPrimitiveList/finalizers": [spec.FINALIZER]}}
        try:
            await self._client.patch(PODS, name, change, namespace, type=PatchType.STRATEGIC)
        except BaseException as error:
            if key is not None:
                self._untracking.observed_deletion(key, uid)
            if not (isinstance(error, StatusError) and error.code == 404):
                raise

    def _event(self, job: Object, type_: EventType, reason: str, message: str) -> None:
        self._recorder.event(job, type_, reason, message, component=_COMPONENT)


def _pod(view: Survey, index: int | None) -> Object:
    predecessor = None if index is None else view.predecessors.get(index)
    return podmaking.pod(view.job, index, predecessor)


async def _all(writes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them together; raise the first error when each was tried."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _record(memory: _Memory, view: Survey) -> Record:
    """Of a Job seen for the first time (after a restart) its pods tell what happened, as far as they are there."""
    if memory.record is not None:
        return backoff.advance(memory.record, view.new_succeeded, view.new_failed)
    succeeded = [pod for pod in view.pods if podfacts.phase(pod) == podfacts.SUCCEEDED]
    failed = [pod for pod in view.pods if podfacts.phase(pod) == podfacts.FAILED]
    return backoff.advance(backoff.NO_FAILURES, succeeded, failed)


def _tracked_keys(pod: Object) -> list[Key]:
    """The Job that a tracked pod belongs to, or once belonged to."""
    if not spec.is_tracked(pod):
        return []
    if objects.controller_of(pod) is not None:
        return list(_job_keys(pod))
    return [(objects.namespace(pod), objects.labels(pod).get(spec.JOB_NAME, ""))]


def _selector(job: Object) -> LabelSelector:
    return selectors.from_object(job["spec"].get("selector"))


def _version(job: Object) -> int:
    return int(objects.metadata(job).get("resourceVersion") or 0)
