"""Applying one object: server-side by default, or client-side, by replacing, or by deleting and making it anew.

What the server answered becomes a result in Argo CD's words. Errors end here, as the result of their task.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.errors import SeatrialError
from seatrial.gitops.api import names
from seatrial.gitops.sync import clientside, hooks, migration
from seatrial.gitops.sync.calls import call, is_gone, text_of
from seatrial.gitops.sync.order import is_definition, is_namespace
from seatrial.gitops.sync.prune import delete_and_wait
from seatrial.gitops.sync.results import SYNC_FAILED, SYNCED
from seatrial.kube.client.client import PatchType, parsed
from seatrial.kube.client.discovery import UnknownResource
from seatrial.kube.model import conditions, objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.gitops.sync.context import Context
    from seatrial.gitops.sync.options import Options
    from seatrial.gitops.sync.sight import Sight
    from seatrial.gitops.sync.tasks import Task
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

log = logging.getLogger(__name__)

_ESTABLISHING = 3.0
_POLL = 0.1


class Applied(NamedTuple):
    status: str
    message: str
    error: BaseException | None = None


class Applier:
    def __init__(self, context: Context, options: Options, sight: Sight) -> None:
        self._context = context
        self._options = options
        self._sight = sight

    async def apply(self, task: Task, *, stamp: str = "", dry_run: bool = False) -> Applied:
        """`stamp`: for a hook, which run of which operation makes it."""
        try:
            resource = await self._context.resource(task.api_version, task.ref.kind)
            target = self._wanted(task, stamp)
            message = await self._write(task, resource, target, dry_run)
        except (SeatrialError, TimeoutError) as error:
            return Applied(SYNC_FAILED, text_of(error), error)
        return Applied(SYNCED, message + (" (dry run)" if dry_run else ""))

    def _wanted(self, task: Task, stamp: str) -> Object:
        assert task.target is not None
        if task.hook:
            return hooks.stamped(task.target, stamp)
        if task.live is not None and self._options.is_on("RespectIgnoreDifferences"):
            return self._context.keep_ignored(task.target, task.live)
        return task.target

    async def _write(self, task: Task, resource: Resource, target: Object, dry_run: bool) -> str:
        replaces = self._options.is_set("Replace", task.target, task.live)
        forces = self._options.force or self._options.is_set("Force", task.target)
        work = _Work(task, resource, target, dry_run)
        if replaces:
            return await self._replace(work, forces)
        try:
            return await self._apply(work)
        except StatusError as error:
            if not (forces and task.live is not None and error.code in (409, 422)):
                raise
            if dry_run:
                return f"{work.name} is to be made anew"
            return await self._recreate(work)

    async def _apply(self, work: _Work) -> str:
        if not self._options.is_server_side(work.task.target, work.task.live):
            return await self._client_side(work)
        live = work.task.live
        if live is not None and not work.dry_run and self._options.setting("ClientSideApplyMigration") != "false":
            await self._migrate(work, live)
        patched = await self._send(work, work.target, PatchType.APPLY, force=True)
        await self._written(work, patched)
        return f"{work.name} serverside-applied"

    async def _migrate(self, work: _Work, live: Object) -> None:
        ref, clock = work.task.ref, self._context.clock
        manager = objects.annotations(work.target).get(migration.MANAGER_ANNOTATION) or migration.KUBECTL
        operations = migration.patch(live, manager)
        if operations is None:
            return
        try:
            await call(
                clock,
                lambda: self._context.client.patch(
                    work.resource, ref.name, operations, ref.namespace, type=PatchType.JSON
                ),
                conflicts=False,
            )
        except StatusError as error:
            if error.code not in (404, 409, 422):  # it changed meanwhile: the next sync moves the fields
                raise

    async def _client_side(self, work: _Work) -> str:
        live, target = work.task.live, clientside.with_last_applied(work.target)
        if live is None:
            return await self._create(work, target)
        patch, type_ = clientside.patch(live, target)
        if not patch:
            return f"{work.name} unchanged"
        await self._written(work, await self._send(work, patch, type_))
        return f"{work.name} configured"

    async def _create(self, work: _Work, target: Object) -> str:
        try:
            body = await self._request(work, "POST", work.resource.path(work.task.ref.namespace), target)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            body = await self._adopted(work, error)
        await self._written(work, body)
        return f"{work.name} created"

    async def _adopted(self, work: _Work, error: StatusError) -> Object:
        """An earlier try may have made it and its answer was lost: it is as wanted if it is already ours."""
        found = await self._sight.ask(work.task.ref, work.task.api_version)
        wanted = objects.annotations(work.target).get(names.TRACKING_ID)
        if found is None or objects.annotations(found).get(names.TRACKING_ID) != wanted or not wanted:
            raise error
        return found

    async def _replace(self, work: _Work, forces: bool) -> str:
        live = work.task.live
        if live is None:
            return await self._create(work, work.target)
        in_place = is_definition(work.task.ref) or is_namespace(work.task.ref)
        if forces and not in_place and not work.dry_run:
            return await self._recreate(work)
        sent = objects.clone(work.target)
        if in_place:
            sent["metadata"]["resourceVersion"] = objects.metadata(live).get("resourceVersion")
        ref = work.task.ref
        await self._written(work, await self._request(work, "PUT", work.resource.path(ref.namespace, ref.name), sent))
        return f"{work.name} {'configured' if in_place else 'replaced'}"

    async def _recreate(self, work: _Work) -> str:
        assert work.task.live is not None
        await delete_and_wait(self._context, self._sight, work.resource, work.task.live, self._options.propagation)
        fresh = _Work(work.task, work.resource, work.target, work.dry_run)
        if not self._options.is_server_side(work.task.target, work.task.live):
            return await self._create(fresh, clientside.with_last_applied(work.target))
        await self._written(work, await self._send(fresh, work.target, PatchType.APPLY, force=True))
        return f"{work.name} serverside-applied"

    async def _send(self, work: _Work, patch: object, type: PatchType, *, force: bool = False) -> Object:
        ref = work.task.ref
        path = work.resource.path(ref.namespace, ref.name)
        return await self._request(work, "PATCH", path, patch, content_type=str(type), force=force)

    async def _request(
        self,
        work: _Work,
        method: str,
        path: str,
        body: object,
        *,
        content_type: str = "application/json",
        force: bool = False,
    ) -> Object:
        """With the strictness and the manager name that the client's verbs have no word for."""
        validates = self._options.setting("Validate", work.task.target) != "false"
        query = [
            ("fieldManager", names.FIELD_MANAGER),
            ("fieldValidation", "Strict" if validates else "Ignore"),
            *([("force", "true")] if force else []),
            *([("dryRun", "All")] if work.dry_run else []),
        ]
        headers = {"content-type": content_type, "accept": "application/json"}
        sent: Object = body  # type: ignore[assignment]
        response = await call(
            self._context.clock,
            lambda: self._context.client.raw(method, path, query=query, headers=headers, body=sent),
        )
        return parsed(response)

    async def _written(self, work: _Work, obj: Object) -> None:
        if work.dry_run:
            return
        self._sight.wrote(obj)
        if not work.task.hook:
            self._context.on_applied(work.target, obj)
        if is_definition(work.task.ref):
            await self._established(work, obj)

    async def _established(self, work: _Work, obj: Object) -> None:
        """A definition is of use only once its kind is served; one that takes longer is not waited for."""
        clock = self._context.clock
        deadline = clock.monotonic() + _ESTABLISHING
        found: Object | None = obj
        while found is not None and not conditions.is_true(found, "Established"):
            if clock.monotonic() >= deadline:
                log.warning("definition is not established yet", extra={"definition": work.task.ref.name})
                return
            await clock.sleep(_POLL)
            found = await self._sight.ask(work.task.ref, work.task.api_version)


class _Work(NamedTuple):
    """One write: the task and what is sent for it."""

    task: Task
    resource: Resource
    target: Object
    dry_run: bool

    @property
    def name(self) -> str:
        """As kubectl prints it: `deployment.apps/web`."""
        kind = self.task.ref.kind.lower()
        return (
            f"{kind}.{self.task.ref.group}/{self.task.ref.name}"
            if self.task.ref.group
            else (f"{kind}/{self.task.ref.name}")
        )


def is_missing_kind(error: BaseException | None) -> bool:
    """The kind is not served (yet)."""
    return isinstance(error, UnknownResource)


def is_missing(error: BaseException | None) -> bool:
    return error is not None and is_gone(error)
