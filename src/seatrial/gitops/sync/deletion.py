"""Deleting an application with all it made: PreDelete hooks, the objects by waves backwards, PostDelete hooks.

How far it got stands in the application's finalizers: each part removes its own when it is done.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.clock import parse_time
from seatrial.gitops.api import names
from seatrial.gitops.sync import hookobjects, hooks, order
from seatrial.gitops.sync.apply import Applier
from seatrial.gitops.sync.options import BACKGROUND, FOREGROUND, Options
from seatrial.gitops.sync.plan import owner_of
from seatrial.gitops.sync.prune import delete, keeps
from seatrial.gitops.sync.results import FAILED, RUNNING, SYNC_FAILED
from seatrial.gitops.sync.sight import SETTLING, Sight
from seatrial.gitops.sync.tasks import Inputs, Task, tasks_of
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.gitops.sync.context import Context
    from seatrial.kube.model.objects import Object, Ref

PRE_DELETE_FINALIZER = "pre-delete-finalizer.argocd.argoproj.io"
POST_DELETE_FINALIZER = "post-delete-finalizer.argocd.argoproj.io"
_CLEANUP = "/cleanup"
_PARTS = (PRE_DELETE_FINALIZER, names.RESOURCES_FINALIZER, POST_DELETE_FINALIZER)


class Deleting(NamedTuple):
    """What one `advance` came to."""

    drop: tuple[str, ...] = ()
    """Finalizers to take off the application before the next `advance`."""
    message: str = ""
    """What it waits for, and what holds that."""
    requeue_after: float | None = None
    blocked: bool = False
    """It goes on only when somebody does something: a DeletionError condition."""


def finalizers_for(targets: Iterable[Object]) -> set[str]:
    """What an application needs that has hooks for its own deletion."""
    phases = {phase for target in targets if hooks.is_hook(target) for phase in hooks.phases(target)}
    wanted = {hooks.PRE_DELETE: PRE_DELETE_FINALIZER, hooks.POST_DELETE: POST_DELETE_FINALIZER}
    made = {finalizer for phase, finalizer in wanted.items() if phase in phases}
    return made | {finalizer + _CLEANUP for finalizer in made}


class Deletion:
    """Of one application; keep it while the application goes. `targets`: its manifests, for the hooks among them."""

    def __init__(self, context: Context, targets: Sequence[Object] = ()) -> None:
        self._context = context
        self._targets = tuple(targets)
        self._sight = Sight(context)

    async def advance(self, app: Application) -> Deleting:
        """The next piece. Raises StatusError and others: try again later."""
        held = objects.finalizers(app.object)
        for part in _PARTS:
            mine = tuple(name for name in held if name == part or name.startswith(f"{part}/"))
            if mine:
                return await self._part(part, app, mine)
        return Deleting()

    async def _part(self, part: str, app: Application, mine: tuple[str, ...]) -> Deleting:
        if part == PRE_DELETE_FINALIZER:
            return await self._hooks(hooks.PRE_DELETE, app, mine)
        if part == POST_DELETE_FINALIZER:
            return await self._hooks(hooks.POST_DELETE, app, mine)
        return await self._resources(app, mine)

    # objects

    async def _resources(self, app: Application, mine: tuple[str, ...]) -> Deleting:
        options = Options(settings=Options.of({}, app.sync_options).settings)
        doomed = [task for task in self._managed(app) if self._is_doomed(task, options, app)]
        if not doomed:
            return Deleting(drop=mine)
        unapproved = [task for task in doomed if options.setting("Delete", task.live) == "confirm"]
        if unapproved and not _is_approved(app):
            shown = ", ".join(str(task.ref) for task in unapproved[:3])
            text = f"waiting for confirmation to delete {shown}: set the annotation {names.DELETION_APPROVED}"
            return Deleting(message=text, blocked=True)
        highest = max(task.wave for task in doomed)
        now = [task for task in doomed if task.wave == highest]
        propagation = BACKGROUND if names.BACKGROUND_FINALIZER in mine else FOREGROUND
        await self._all(now, propagation, app)
        left = [task for task in now if self._sight.get(task.ref, task.api_version) is not None]
        return Deleting(message=_waiting(left), requeue_after=SETTLING) if left else Deleting(requeue_after=0.0)

    def _managed(self, app: Application) -> list[Task]:
        found = []
        for ref, obj in self._context.live.tracked(app.instance).items():
            live = self._sight.get(ref, obj.get("apiVersion") or "")
            if live is not None and owner_of(live) == app.instance:
                found.append(Task(ref, hooks.SYNC, hooks.wave(live), None, live))
        return found

    def _is_doomed(self, task: Task, options: Options, app: Application) -> bool:
        live = task.live or {}
        own = order.is_definition(task.ref) or task.ref == objects.ref(app.object)
        keeping = options.setting("Delete", live) == "false" or keeps(live)
        return not (own or keeping or objects.owner_references(live) or hooks.is_hook(live))

    async def _all(self, tasks: Sequence[Task], propagation: str, app: Application) -> None:
        gate = asyncio.Semaphore(self._context.concurrency)

        async def one(task: Task) -> None:
            live = task.live or {}
            if objects.is_deleting(live):
                return
            async with gate:
                resource = await self._context.resource(task.api_version, task.ref.kind)
                await delete(
                    self._context, self._sight, resource, live, propagation, lambda obj: owner_of(obj) == app.instance
                )

        await asyncio.gather(*(one(task) for task in tasks))

    # hooks

    async def _hooks(self, phase: str, app: Application, mine: tuple[str, ...]) -> Deleting:
        """A hook object stays until all are done: it is the record of its end."""
        tasks = order.ordered(self._hook_tasks(phase, app))
        stamp = f"{objects.uid(app.object)}-{phase}"
        for task in tasks:
            live = self._sight.get(task.ref, task.api_version)
            if live is None or hooks.stamp_of(live) != stamp:
                return await self._make(replace(task, live=live), stamp)
            ended, message = hookobjects.outcome(self._context, live)
            if ended == RUNNING:
                return Deleting(message=f"waiting for completion of {phase} hook {task}", requeue_after=SETTLING)
            if ended == FAILED:
                text = f"{phase} hook {task} failed: {message}. Delete it to run it again"
                return Deleting(message=text, blocked=True)
        await asyncio.gather(*(self._finish(task, stamp) for task in tasks))
        return Deleting(drop=mine)

    def _hook_tasks(self, phase: str, app: Application) -> list[Task]:
        deleted = objects.metadata(app.object).get("deletionTimestamp")
        return tasks_of(
            Inputs(
                targets=self._targets,
                managed={},
                find=self._sight.get,
                options=Options(),
                started=parse_time(deleted) if deleted else 0.0,
                phases=(phase,),
            )
        )

    async def _make(self, task: Task, stamp: str) -> Deleting:
        live = task.live if task.live is not None else await self._sight.ask(task.ref, task.api_version)
        if live is not None and hooks.stamp_of(live) == stamp:
            return Deleting(requeue_after=0.0)
        if live is not None and (task.has_policy(hooks.BEFORE_CREATION) or objects.is_deleting(live)):
            await hookobjects.remove(self._context, self._sight, live, FOREGROUND)
            if self._sight.get(task.ref, task.api_version) is not None:
                return Deleting(message=f"waiting for deletion of hook {task}", requeue_after=SETTLING)
            live = None
        applied = await Applier(self._context, Options(), self._sight).apply(replace(task, live=live), stamp=stamp)
        if applied.status == SYNC_FAILED:
            return Deleting(message=f"hook {task} cannot be made: {applied.message}", blocked=True)
        return Deleting(message=f"waiting for completion of hook {task}", requeue_after=0.0)

    async def _finish(self, task: Task, stamp: str) -> None:
        live = self._sight.get(task.ref, task.api_version)
        if live is None or hooks.stamp_of(live) != stamp:
            return
        if task.has_policy(hooks.SUCCEEDED):
            await hookobjects.remove(self._context, self._sight, live, FOREGROUND)
        else:
            await hookobjects.release(self._context, self._sight, live)


def _is_approved(app: Application) -> bool:
    approved = approval(app)
    deleted = objects.metadata(app.object).get("deletionTimestamp")
    return bool(approved) and (not deleted or approved >= parse_time(deleted))


def approval(app: Application) -> float:
    """When deletions were approved, 0 if they were not (or the annotation is no time)."""
    try:
        return parse_time(objects.annotations(app.object).get(names.DELETION_APPROVED) or "")
    except ValueError:
        return 0.0


def _waiting(tasks: Sequence[Task]) -> str:
    first = tasks[0]
    held: Ref = first.ref
    finalizers = objects.finalizers(first.live or {})
    by = f", held by its finalizers {', '.join(finalizers)}" if finalizers else ""
    more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
    return f"waiting for deletion of {held}{more}{by}"
