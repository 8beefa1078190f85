"""An operation, driven: each `advance` does the next piece of a sync and says what to write before the one after.

Everything is derived anew from manifests, live objects and the written state, so it does not matter whether the same
process goes on. What must not be lost is written first: an object is let go of, or deleted, only in the call after the
one that put its end into the state.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.base.errors import SeatrialError
from seatrial.gitops.sync import hookobjects, hooks, results, retry
from seatrial.gitops.sync.calls import text_of
from seatrial.gitops.sync.context import Progress
from seatrial.gitops.sync.options import Options
from seatrial.gitops.sync.plan import owner_of, plan, shared, step_of, unconfirmed
from seatrial.gitops.sync.results import COMPLETED, ERROR, FAILED, PRUNED, RUNNING, SUCCEEDED, SYNC_FAILED, Results
from seatrial.gitops.sync.sight import SETTLING, Sight
from seatrial.gitops.sync.step import Stepper, Turn
from seatrial.gitops.sync.tasks import Inputs, Task
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seatrial.gitops.sync.context import Context
    from seatrial.gitops.sync.plan import Plan
    from seatrial.kube.model.objects import Object, Ref

UNSUCCESSFUL = "one or more synchronization tasks completed unsuccessfully"


@dataclass(frozen=True, slots=True)
class Desired:
    """What an operation works towards: the manifests of its revision, and what the application says of their home.

    Manifests carry their tracking id and namespace (none if cluster-scoped); hooks are among them.
    """

    instance: str
    targets: tuple[Object, ...]
    namespace: str = ""
    namespace_metadata: Mapping[str, Any] = field(default_factory=dict)
    app_options: tuple[str, ...] = ()
    unmodified: frozenset[Ref] = frozenset()
    """What the compare of this very revision found as wanted, by a dry run: it is not applied again."""
    approved_at: float = 0.0
    """When a person approved deletions (annotation `deletion-approved`), in seconds."""
    has_source_error: str = ""
    """A ComparisonError or InvalidSpecError: nothing is applied then."""


class Operation:
    """Keep it while the operation runs: it knows what it has just written and no watch has shown yet."""

    def __init__(self, state: Object, desired: Desired, context: Context) -> None:
        self._results = Results(state)
        self._desired = desired
        self._context = context
        self._sight = Sight(context)
        self._options = Options.of(state.get("operation") or {}, desired.app_options)
        self._not_before = 0.0

    @property
    def state(self) -> Object:
        return objects.clone(self._results.state)

    @property
    def sight(self) -> Sight:
        """Live objects, those included that it has just written and no watch has shown yet."""
        return self._sight

    def use(self, desired: Desired) -> None:
        """Newer manifests (a retry superseded its revision) or options."""
        self._desired = desired
        self._options = Options.of(self._results.state.get("operation") or {}, desired.app_options)

    def terminate(self) -> None:
        """Somebody wants it to end; the next `advance` does it."""
        if self._results.state.get("phase") == RUNNING:
            self._results.state["phase"] = results.TERMINATING
            self._results.state["message"] = "operation is terminating"

    def retry_due_in(self) -> float | None:
        """Seconds until the next try of a failed operation; None if it is not between two tries."""
        state = self._results.state
        return retry.due_in(state, self._context.clock.time()) if retry.is_waiting(state) else None

    def restart(self, **resolved: Any) -> None:
        """Begin the next try, with a newer revision if one is given."""
        self._results = Results(retry.restarted(self._results.state, **resolved))

    async def advance(self) -> Progress:
        """Write the returned state before the next call, which is wanted after `requeue_after` or on a change."""
        state = self._results.state
        if state.get("phase") in COMPLETED:
            return self._progress()
        if state.get("phase") == results.TERMINATING:
            return await self._terminate()
        if (wait := self.retry_due_in()) is not None:
            if wait > 0:
                return self._progress(wait)
            self.restart()
        if (wait := self._not_before - self._context.clock.monotonic()) > 0:
            return self._progress(wait)
        return await self._work()

    # one call

    async def _work(self) -> Progress:
        if self._desired.has_source_error:
            return self._end(ERROR, self._desired.has_source_error)
        made = self._plan()
        stepper = self._stepper(made)
        if self._results.is_empty:
            refused = await self._begin(made, stepper)
            if refused is not None:
                return refused
        if self._options.dry_run:
            return self._end(SUCCEEDED, "successfully synced (no more tasks)")
        return await self._go_on(made, stepper)

    def _plan(self, phases: tuple[str, ...] = hooks.PHASES) -> Plan:
        state, desired = self._results.state, self._desired
        return plan(
            Inputs(
                targets=desired.targets,
                managed=self._managed(),
                find=self._sight.get,
                options=self._options,
                revision=self._results.revision,
                started=parse_time(state["startedAt"]),
                namespace=desired.namespace,
                namespace_metadata=desired.namespace_metadata,
                phases=phases,
            )
        )

    def _managed(self) -> dict[Ref, Object]:
        """What the application tracks, by an id that is the object's own and not copied along with an annotation."""
        found: dict[Ref, Object] = {}
        for ref, obj in self._context.live.tracked(self._desired.instance).items():
            current = self._sight.get(ref, obj.get("apiVersion") or "")
            if current is not None and owner_of(current) == self._desired.instance:
                found[ref] = current
        return found

    def _stepper(self, made: Plan) -> Stepper:
        return Stepper(
            self._context, self._options, self._sight, self._results, made,
            run=self._run, unmodified=self._desired.unmodified,
        )  # fmt: skip

    @property
    def _run(self) -> str:
        """Which try of which operation this is: hooks that it makes carry it."""
        state = self._results.state
        id = results.info(state, results.INFO_ID) or state.get("startedAt") or ""
        return f"{id}-{int(state.get('retryCount') or 0)}"

    async def _begin(self, made: Plan, stepper: Stepper) -> Progress | None:
        """The first look: is anything wrong that should keep the cluster as it is? None: go on."""
        if self._options.is_on("FailOnSharedResource") and (others := shared(made.tasks, self._desired.instance)):
            for task, owner in others:
                text = f"{task.ref} is part of applications {owner} and {self._desired.instance}"
                self._results.set(task, SYNC_FAILED, FAILED, text)
            return self._end(FAILED, f"Shared resource found: {self._results.message(others[0][0])}")
        if not await stepper.kinds_are_served():
            return self._fail("one or more synchronization tasks are not valid", made, stepper)
        first = next((task for task in made.tasks if task.makes_namespace), None)
        if first is not None and not self._options.dry_run and await stepper.run([first]) is Turn.FAILED:
            return self._fail("the namespace failed to apply", made, stepper)
        rehearsed = [task for task in made.tasks if task is not first or self._options.dry_run]
        if (self._options.dry_run or made.is_multi_step) and not await stepper.rehearse(rehearsed):
            return self._fail("one or more objects failed to apply (dry run)", made, stepper)
        return None

    async def _go_on(self, made: Plan, stepper: Stepper) -> Progress:
        ended = await self._look(made)
        main = [task for task in made.tasks if task.phase != hooks.SYNC_FAIL]
        failed = self._has_failed() or any(self._results.phase(task) in (FAILED, ERROR) for task in main)
        waiting = [task for task in made.tasks if self._is_waited_for(task, made) and (task.hook or not failed)]
        if ended or waiting:
            return self._wait(waiting, ended)
        terminating = [task for task in made.tasks if self._is_going(task)]
        if terminating and not failed:
            return self._waiting_for(terminating, "deletion of", "resources")
        await self._release_ended(made)
        if failed:
            return await self._fall(UNSUCCESSFUL, made, stepper)
        pending = stepper.pending(main)
        if not pending:
            return await self._succeed("successfully synced (no more tasks)", made)
        return await self._step(pending, made, stepper)

    async def _step(self, pending: Sequence[Task], made: Plan, stepper: Stepper) -> Progress:
        step = step_of(pending[0])
        now = [task for task in pending if step_of(task) == step]
        held = unconfirmed([task for task in now if task.prunes], self._options)
        if held and self._options.prune and not self._is_approved():
            return self._park(held)
        turn = await stepper.run(now)
        if turn is Turn.FAILED:
            return await self._failed_step(made, stepper)
        if turn is Turn.PENDING:
            self._results.say(_waiting_message([task for task in now if task.hook] or now, "deletion of", "hooks"))
            return self._progress(SETTLING)
        later = [task for task in pending if step_of(task) != step]
        if not later and not any(task.hook for task in now):
            return await self._succeed("successfully synced (all tasks run)", made)
        if later:
            self._not_before = self._context.clock.monotonic() + self._delay(now)
        self._say_waiting(later or now)
        return self._progress(self._delay(now) if later else 0.0)

    def _delay(self, tasks: Sequence[Task]) -> float:
        """Only what a controller has to notice needs time between steps."""
        return 0.0 if all(task.makes_namespace for task in tasks) else self._context.wave_delay

    # looking

    async def _look(self, made: Plan) -> bool:
        """Take what became of running tasks into the results. Whether a hook ended: that is to be written first."""
        ended = False
        for task in made.tasks:
            if task.hook and not self._results.phase(task) and self._is_mine(task):
                self._results.set(task, results.SYNCED, RUNNING)  # made by a run that could not say so any more
            if self._results.phase(task) == RUNNING and not task.prunes:
                await self._look_at(task, made)
                ended = ended or (task.hook and self._results.phase(task) in COMPLETED)
        return ended

    def _is_mine(self, task: Task) -> bool:
        return hooks.stamp_of(task.live) == f"{self._run}-{task.phase}"

    async def _look_at(self, task: Task, made: Plan) -> None:
        if not task.hook and not made.is_multi_step:
            return
        live = task.live if task.live is not None else await self._sight.confirm(task.ref, task.api_version)
        if live is None or (task.hook and hooks.stamp_of(live) != f"{self._run}-{task.phase}"):
            self._results.set(
                task, "", ERROR, f"{task.ref} vanished before it was complete: sync again to make it anew"
            )
            return
        if task.hook:
            phase, message = hookobjects.outcome(self._context, live)
            self._results.set(task, "", phase, message)
            return
        health = self._context.assess(live)
        if health is None or health.status == "Healthy":
            self._results.set(task, "", SUCCEEDED, health.message if health is not None else "")
        elif health.status == "Degraded":
            self._results.set(task, "", FAILED, health.message)

    def _is_waited_for(self, task: Task, made: Plan) -> bool:
        running = self._results.phase(task) == RUNNING and not task.prunes
        return running and (task.hook or made.is_multi_step)

    def _is_going(self, task: Task) -> bool:
        pruned = self._results.status(task) == PRUNED and task.prunes
        return pruned and task.live is not None and objects.is_deleting(task.live)

    def _has_failed(self) -> bool:
        """A failed task whose object is not in the plan any more, such as a prune that was refused."""
        found = self._results.state["syncResult"]["resources"]
        return any(item.get("status") == SYNC_FAILED for item in found)

    def _is_approved(self) -> bool:
        return self._desired.approved_at > parse_time(self._results.state["startedAt"])

    # saying

    def _wait(self, waiting: Sequence[Task], ended: bool) -> Progress:
        if waiting:
            self._say_waiting(waiting)
        settling = any(self._sight.is_settling(task.ref) for task in waiting)
        return self._progress(0.0 if ended else SETTLING if settling else None)

    def _waiting_for(self, tasks: Sequence[Task], what: str, more: str) -> Progress:
        self._results.say(_waiting_message(tasks, what, more))
        return self._progress()

    def _say_waiting(self, tasks: Sequence[Task]) -> None:
        hook = tasks[0].hook
        what, more = ("completion of hook", "hooks") if hook else ("healthy state of", "resources")
        self._results.say(_waiting_message(tasks, what, more))

    def _park(self, held: Sequence[Task]) -> Progress:
        shown = f"{held[0].api_version}/{held[0].ref.kind}/{held[0].ref.name}"
        more = f" and {len(held) - 1} more resources" if len(held) > 1 else ""
        self._results.say(f"Waiting for pruning confirmation of {shown}{more}")
        return self._progress()

    # ending

    async def _failed_step(self, made: Plan, stepper: Stepper) -> Progress:
        """With hooks to run or to delete, the failure is written first."""
        if any(task.hook for task in made.tasks):
            self._note_failure(stepper)
            self._results.say("one or more objects failed to apply")
            return self._progress(0.0)
        return self._fail("one or more objects failed to apply", made, stepper)

    async def _fall(self, message: str, made: Plan, stepper: Stepper) -> Progress:
        """SyncFail hooks, then the end."""
        await self._delete_hooks(made, hooks.FAILED)
        answers = [task for task in made.tasks if task.phase == hooks.SYNC_FAIL]
        if all(self._results.phase(task) in COMPLETED for task in answers):
            return self._fail(message, made, stepper)
        turn = await stepper.run([task for task in answers if not self._results.phase(task)])
        if turn is Turn.FAILED:
            self._note_failure(stepper)
            return self._progress(0.0)
        self._say_waiting(answers)
        return self._progress(SETTLING if turn is Turn.PENDING else 0.0)

    def _fail(self, message: str, made: Plan, stepper: Stepper) -> Progress:
        self._note_failure(stepper)
        failed = [task for task in made.tasks if self._results.status(task) == SYNC_FAILED]
        main = [task for task in failed if task.phase != hooks.SYNC_FAIL]
        text = _with_reasons(message, self._results.messages(main))
        if len(main) < len(failed):
            rest = [task for task in failed if task.phase == hooks.SYNC_FAIL]
            text += "\n" + _with_reasons("one or more SyncFail hooks failed", self._results.messages(rest))
        return self._end(FAILED, text)

    def _note_failure(self, stepper: Stepper) -> None:
        if stepper.errors:
            self._results.note(results.INFO_FAILURE, stepper.failure)

    async def _succeed(self, message: str, made: Plan) -> Progress:
        await self._delete_hooks(made, hooks.SUCCEEDED)
        return self._end(SUCCEEDED, message)

    def _end(self, phase: str, message: str) -> Progress:
        now = self._context.clock.time()
        self._results.finish(phase, message, now)
        state = retry.after_failure(self._results.state, now)
        if state is not self._results.state:
            self._results = Results(state)
            return self._progress(retry.due_in(state, now))
        return self._progress()

    def _progress(self, requeue_after: float | None = None) -> Progress:
        state = self.state
        if not state["syncResult"]["resources"]:
            del state["syncResult"]["resources"]
        return Progress(state, requeue_after, state.get("phase") in COMPLETED)

    # hooks

    async def _release_ended(self, made: Plan) -> None:
        for task in made.tasks:
            if task.hook and task.live is not None and self._has_ended(task) and hookobjects.is_held(task.live):
                await hookobjects.release(self._context, self._sight, task.live)

    async def _delete_hooks(self, made: Plan, policy: str) -> None:
        ended = [task for task in made.tasks if task.has_policy(policy) and self._has_ended(task)]
        await asyncio.gather(*(self._delete_hook(task) for task in ended))

    def _has_ended(self, task: Task) -> bool:
        return self._results.phase(task) in COMPLETED and self._is_mine(task)

    async def _delete_hook(self, task: Task) -> None:
        live = self._sight.get(task.ref, task.api_version)
        if live is not None and hooks.stamp_of(live) == f"{self._run}-{task.phase}":
            await hookobjects.remove(self._context, self._sight, live, self._options.propagation)

    async def _terminate(self) -> Progress:
        """Only hooks are stopped: what was applied stays applied."""
        clean = True
        for task in self._plan().tasks:
            if task.hook and self._is_mine(task) and self._results.phase(task) not in (SUCCEEDED, FAILED, ERROR):
                clean = await self._stop(task) and clean
        text = "Operation terminated" if clean else "Operation termination had errors"
        self._results.finish(FAILED if clean else ERROR, text, self._context.clock.time())
        return self._progress()

    async def _stop(self, task: Task) -> bool:
        try:
            live = await self._sight.ask(task.ref, task.api_version)
            phase, message = hookobjects.outcome(self._context, live) if live is not None else (SUCCEEDED, "")
            if live is not None and (phase == RUNNING or task.has_policy(hooks.FAILED)):
                await hookobjects.remove(self._context, self._sight, live, self._options.propagation)
            elif live is not None:
                await hookobjects.release(self._context, self._sight, live)
        except (SeatrialError, TimeoutError) as error:
            self._results.set(task, "", ERROR, f"Failed to delete: {text_of(error)}")
            return False
        stopped = phase == RUNNING
        self._results.set(task, "", FAILED if stopped else phase, "Terminated" if stopped else message)
        return True


def _waiting_message(tasks: Sequence[Task], what: str, more: str) -> str:
    shown = f"waiting for {what} {tasks[0]}"
    return f"{shown} and {len(tasks) - 1} more {more}" if len(tasks) > 1 else shown


def _with_reasons(message: str, reasons: Iterable[str]) -> str:
    told = [reason for reason in reasons if reason]
    return f"{message}, reason: {','.join(told)}" if told else message
