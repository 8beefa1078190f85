"""One step of a plan, done: prune, clear the way for hooks, apply kind by kind, many objects at a time."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from seatrial.base.errors import SeatrialError
from seatrial.gitops.sync import hookobjects, hooks, results
from seatrial.gitops.sync.apply import Applier
from seatrial.gitops.sync.calls import is_retryable, text_of
from seatrial.gitops.sync.plan import groups
from seatrial.gitops.sync.prune import prune
from seatrial.gitops.sync.results import ERROR, FAILED, RUNNING, SUCCEEDED, SYNC_FAILED, SYNCED
from seatrial.kube.client.discovery import UnknownResource
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from seatrial.gitops.sync.context import Context
    from seatrial.gitops.sync.options import Options
    from seatrial.gitops.sync.plan import Plan
    from seatrial.gitops.sync.results import Results
    from seatrial.gitops.sync.sight import Sight
    from seatrial.gitops.sync.tasks import Task
    from seatrial.kube.model.objects import Object, Ref

T = TypeVar("T")


class Turn(Enum):
    DONE = "done"
    PENDING = "pending"
    """Something has to go first; the same step again later."""
    FAILED = "failed"


class Stepper:
    def __init__(
        self,
        context: Context,
        options: Options,
        sight: Sight,
        results: Results,
        plan: Plan,
        *,
        run: str,
        unmodified: frozenset[Ref],
    ) -> None:
        self._context = context
        self._options = options
        self._sight = sight
        self._results = results
        self._plan = plan
        self._run = run
        self._unmodified = unmodified
        self._applier = Applier(context, options, sight)
        self._unserved: set[Ref] = set()
        self._gate = asyncio.Semaphore(context.concurrency)
        self.errors: list[BaseException] = []

    @property
    def failure(self) -> str:
        """Whether trying again can help with nothing changed."""
        again = all(is_retryable(error) for error in self.errors)
        return results.RETRYABLE if again else results.TERMINAL

    def pending(self, tasks: Iterable[Task]) -> list[Task]:
        """Those whose turn has not come, without what ApplyOutOfSyncOnly leaves out."""
        waiting = [task for task in tasks if not self._results.phase(task)]
        if not self._options.is_on("ApplyOutOfSyncOnly"):
            return waiting
        return [task for task in waiting if not self._is_unmodified(task)]

    def _is_unmodified(self, task: Task) -> bool:
        return not task.hook and task.target is not None and task.live is not None and task.ref in self._unmodified

    # before anything is changed

    async def kinds_are_served(self) -> bool:
        """A kind nobody serves is an error, unless its definition comes with this sync or an option lets it pass."""
        fine = True
        for task in self._plan.tasks:
            try:
                await self._context.resource(task.api_version, task.ref.kind)
            except UnknownResource as error:
                if self._may_be_missing(task):
                    self._unserved.add(task.ref)
                    continue
                fine = False
                self.errors.append(error)
                self._results.set(task, SYNC_FAILED, "", error.message)
        return fine

    def _may_be_missing(self, task: Task) -> bool:
        skips = self._options.is_set("SkipDryRunOnMissingResource", task.target)
        return skips or self._plan.defined_here(task)

    async def rehearse(self, tasks: Sequence[Task]) -> bool:
        """Dry run. What the compare already tried, and what lives in a Namespace that is not there, is left out."""
        whole = self._options.dry_run
        if whole:
            tasks = self.pending(tasks)
        await self._each([task for task in tasks if task.prunes and whole], self._prune)
        tried = [task for task in tasks if task.target is not None and self._can_rehearse(task)]
        await self._each(tried, lambda task: self._rehearse(task, whole))
        return not any(self._results.status(task) == SYNC_FAILED for task in tasks)

    def _can_rehearse(self, task: Task) -> bool:
        if task.ref in self._unserved or self._is_unmodified(task) or self._is_replaced(task):
            return False
        home = task.ref.namespace
        return not home or not self._plan.made_here(home) or self._exists(home)

    def _is_replaced(self, task: Task) -> bool:
        """A hook of an earlier run goes before this one comes: what of it cannot be changed is no objection."""
        return bool(task.hook) and task.live is not None and task.has_policy(hooks.BEFORE_CREATION)

    def _exists(self, namespace: str) -> bool:
        found = next(task for task in self._plan.tasks if self._is_home(task, namespace))
        return found.live is not None

    def _is_home(self, task: Task, namespace: str) -> bool:
        return (task.ref.group, task.ref.kind, task.ref.name) == ("", "Namespace", namespace)

    async def _rehearse(self, task: Task, whole: bool) -> None:
        status, message, error = await self._applier.apply(task, stamp=self._stamp(task), dry_run=True)
        if error is not None:
            self.errors.append(error)
        if status == SYNC_FAILED:
            self._results.set(task, status, FAILED, message)
        elif whole:
            self._results.set(task, status, SUCCEEDED, message)

    # the step

    async def run(self, tasks: Sequence[Task]) -> Turn:
        """Never raises for what goes wrong with an object: that is in the results."""
        prunes = [task for task in tasks if task.prunes]
        applies = [task for task in tasks if not task.prunes]
        await self._each(prunes, self._prune)
        if self._any_failed(prunes):
            return Turn.FAILED
        turn = await self._clear(applies)
        if turn is not Turn.DONE:
            return turn
        for group in groups(applies):
            await self._each(group, self._apply)
        return Turn.FAILED if self._any_failed(applies) else Turn.DONE

    async def _clear(self, tasks: Sequence[Task]) -> Turn:
        """Hooks of earlier runs: their finalizers go, and they go too if their policy says so."""
        stale = [task for task in tasks if task.hook and task.live is not None and self._is_stale(task)]
        gone = [task for task in stale if task.has_policy(hooks.BEFORE_CREATION) or self._is_going(task)]
        await self._each(gone, self._remove)
        if self._any_failed(gone):
            return Turn.FAILED
        left = [task for task in gone if self._sight.get(task.ref, task.api_version) is not None]
        return Turn.PENDING if left else Turn.DONE

    def _is_stale(self, task: Task) -> bool:
        return hooks.stamp_of(task.live) != self._stamp(task)

    def _is_going(self, task: Task) -> bool:
        return task.live is not None and objects.is_deleting(task.live)

    def _stamp(self, task: Task) -> str:
        return f"{self._run}-{task.phase}" if task.hook else ""

    async def _remove(self, task: Task) -> None:
        live: Object = task.live or {}
        try:
            await hookobjects.remove(self._context, self._sight, live, self._options.propagation)
        except (SeatrialError, TimeoutError) as error:
            self.errors.append(error)
            self._results.set(task, "", ERROR, f"failed to delete resource: {text_of(error)}")

    async def _prune(self, task: Task) -> None:
        status, message, error = await prune(self._context, self._sight, self._options, task)
        if error is not None:
            self.errors.append(error)
        self._results.set(task, status, results.PHASE_OF_CODE[status], message)

    async def _apply(self, task: Task) -> None:
        if self._is_unmodified(task) and not self._has_to_be_sent(task):
            self._results.set(task, SYNCED, RUNNING, _unchanged(task))
            return
        status, message, error = await self._applier.apply(task, stamp=self._stamp(task))
        if error is not None:
            self.errors.append(error)
        self._results.set(task, status, results.PHASE_OF_CODE[status], message)

    def _has_to_be_sent(self, task: Task) -> bool:
        forced = self._options.force or self._options.is_set("Force", task.target)
        return forced or self._options.is_set("Replace", task.target, task.live)

    def _any_failed(self, tasks: Iterable[Task]) -> bool:
        return any(self._results.phase(task) in (FAILED, ERROR) for task in tasks)

    async def _each(self, tasks: Sequence[Task], work: Callable[[Task], Awaitable[None]]) -> None:
        async def one(task: Task) -> None:
            async with self._gate:
                await work(task)

        await asyncio.gather(*(one(task) for task in tasks))
        self._results.arrange(tasks)


def _unchanged(task: Task) -> str:
    kind = task.ref.kind.lower()
    return (
        f"{kind}.{task.ref.group}/{task.ref.name} unchanged" if task.ref.group else f"{kind}/{task.ref.name} unchanged"
    )
