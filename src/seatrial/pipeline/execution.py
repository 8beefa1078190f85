"""One attempt of a run, carried out and written down while it goes on."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Retryable, SeatrialError
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError
from seatrial.pipeline.api import names
from seatrial.pipeline.workflow.act import Assignment
from seatrial.pipeline.workflow.commits import Commits
from seatrial.pipeline.workflow.file import DIRECTORY, Workflow, WorkflowInvalid, parse
from seatrial.pipeline.workflow.logs import LogFile, Shelf
from seatrial.pipeline.workflow.mask import Masker
from seatrial.pipeline.workflow.progress import Progress
from seatrial.pipeline.workflow.runner import Ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object
    from seatrial.pipeline.api.run import PipelineRun
    from seatrial.pipeline.gitserver.server import GitServer
    from seatrial.pipeline.workflow.commits import Commit
    from seatrial.pipeline.workflow.runner import Runner

    Write = Callable[[PipelineRun, Object], Awaitable[None]]

log = logging.getLogger(__name__)

_SECRETS = resources.for_kind("v1", "Secret")
_CONFIG_MAPS = resources.for_kind("v1", "ConfigMap")
_FLUSH_SECONDS = 0.5
_RETRY_SECONDS = 1.0


class Executor:
    def __init__(
        self, client: Client, clock: Clock, server: GitServer, runner: Runner, shelf: Shelf, *,
        namespace: str, owner: str,
    ) -> None:  # fmt: skip
        self._client = client
        self._clock = clock
        self._server = server
        self._runner = runner
        self._shelf = shelf
        self._namespace = namespace
        self._owner = owner

    def forget(self, name: str) -> None:
        """What is kept of a run that is gone. Blocks."""
        self._shelf.remove(name)

    async def execute(self, run: PipelineRun, stop: asyncio.Event, write: Write) -> None:
        """Until the run is over and that is written."""
        kept = self._shelf.log(run.name, run.attempt)
        await asyncio.to_thread(kept.parent.mkdir, parents=True, exist_ok=True, mode=0o700)
        started = {
            "status": names.IN_PROGRESS, "attempt": run.attempt, "startedAt": self._now(),
            "logURL": f"{self._server.url}/runs/{run.name}/log?attempt={run.attempt}",
        }  # fmt: skip
        await self._insist(run, started, write)
        token = self._server.tokens.issue(run.name, run.repository)
        logfile = LogFile(kept)
        try:
            ended, status = await self._carry_out(run, token, logfile, stop, write)
        finally:
            self._server.tokens.revoke(token)
            logfile.close()
        status |= {
            "status": names.COMPLETED, "conclusion": ended.conclusion, "completedAt": self._now(),
            "reason": ended.reason or None, "message": ended.message or None,
        }  # fmt: skip
        if artifacts := await asyncio.to_thread(_artifacts, self._shelf.artifacts(run.name, run.attempt)):
            status["artifacts"] = artifacts
        await self._insist(run, status, write)
        log.info("run ended", extra={"run": run.name, "conclusion": ended.conclusion})

    async def _carry_out(
        self, run: PipelineRun, token: str, logfile: LogFile, stop: asyncio.Event, write: Write
    ) -> tuple[Ended, Object]:
        progress: Progress | None = None
        try:
            place = self._server.repositories.path(run.repository)
            commit, workflow = await asyncio.to_thread(_read, place, run)
            secrets = await self._values(_SECRETS, run.repository)
            masker = Masker([*secrets.values(), token])
            progress = Progress(workflow, masker, self._clock, logfile.write)
            variables = await self._values(_CONFIG_MAPS, run.repository)
            assignment = self._assignment(run, commit, workflow, token, secrets, variables)
            artifacts = self._shelf.artifacts(run.name, run.attempt)
            flushing = asyncio.create_task(self._flush(run, progress, write))
            try:
                ended = await self._runner.run(assignment, place, artifacts, progress, stop)
            finally:
                flushing.cancel()
                await asyncio.gather(flushing, return_exceptions=True)
        except WorkflowInvalid as error:
            annotation = {"level": "failure", **error.to_json()}
            logfile.write(f"\t\t{self._now()} ##[error]{error.message}\n")
            return Ended(names.STARTUP_FAILURE, error.reason, error.message), {"annotations": [annotation]}
        except (SeatrialError, StatusError, OSError) as error:
            said = error.message if isinstance(error, SeatrialError) else str(error)
            log.warning("a run could not be started", extra={"run": run.name, "why": said})
            ended = Ended(names.FAILURE, getattr(error, "reason", "StartFailed"), said)
        if progress is None:
            return ended, {}
        progress.end(ended.conclusion)
        return ended, progress.to_status()

    async def _flush(self, run: PipelineRun, progress: Progress, write: Write) -> None:
        seen = -1
        while True:
            if progress.changes != seen:
                seen = progress.changes
                await _whole(self._say(run, progress, write))
            await self._clock.sleep(_FLUSH_SECONDS)

    async def _say(self, run: PipelineRun, progress: Progress, write: Write) -> None:
        try:
            await write(run, progress.to_status())
        except (StatusError, Retryable) as error:
            log.debug("progress not written", extra={"run": run.name, "error": error})

    async def _insist(self, run: PipelineRun, status: Object, write: Write) -> None:
        """A server that is away for a moment loses nothing."""
        while True:
            try:
                await write(run, status)
                return
            except StatusError as error:
                if error.code < 500 and error.code not in (409, 429):
                    log.error("the status of a run is refused", extra={"run": run.name, "error": error})
                    return
            except Retryable as error:
                log.debug("status not written yet", extra={"run": run.name, "error": error})
            await self._clock.sleep(_RETRY_SECONDS)

    async def _values(self, resource: resources.Resource, repository: str) -> dict[str, str]:
        """The keys of all Secrets (or ConfigMaps) that are labelled for the repository."""
        selector = f"{names.SECRETS_OF}={repository}"
        found = await self._client.list(resource, self._namespace, label_selector=selector)
        values: dict[str, str] = {}
        for obj in found.items:
            for key, value in (obj.get("data") or {}).items():
                values[key] = base64.b64decode(value).decode(errors="replace") if resource is _SECRETS else value
        return values

    def _assignment(
        self, run: PipelineRun, commit: Commit, workflow: Workflow, token: str, secrets: dict[str, str],
        variables: dict[str, str],
    ) -> Assignment:  # fmt: skip
        return Assignment(
            run=run.name,
            id=run.id,
            number=int(run.spec.get("number") or 1),
            attempt=run.attempt,
            repository=run.repository,
            owner=self._owner,
            workflow=run.workflow,
            event=run.event,
            ref=run.ref,
            commit=run.commit,
            before=str(run.spec.get("before") or ""),
            actor=str(run.spec.get("actor") or ""),
            message=commit.message,
            default_branch=self._server.repositories.default_branch,
            server_url=self._server.url,
            clone_url=self._server.clone_url(run.repository),
            token=token,
            actions=workflow.actions,
            uses=workflow.uses,
            inputs=run.spec.get("inputs") or {},
            secrets=secrets,
            variables=variables,
        )

    def _now(self) -> str:
        return rfc3339(self._clock.time())


async def _whole(work: Coroutine[None, None, None]) -> None:
    """Once begun it ends, also when it is cancelled: else it might come after what is written next."""
    working = asyncio.ensure_future(work)
    try:
        await asyncio.shield(working)
    finally:
        await asyncio.gather(working, return_exceptions=True)


def _read(place: Path, run: PipelineRun) -> tuple[Commit, Workflow]:
    """Raises CommitUnknown, WorkflowInvalid."""
    commits = Commits(place)
    content = commits.workflows(run.commit).get(run.workflow)
    if content is None:
        said = f"the commit has no such workflow (expected a .yml file of {DIRECTORY})"
        raise WorkflowInvalid(run.workflow, said)
    return commits.read(run.commit), parse(run.workflow, content)


def _artifacts(folder: Path) -> list[Object]:
    """act keeps them as `<run id>/<name>/...`, or as a zip."""
    found = []
    for entry in sorted(folder.glob("*/*")) if folder.is_dir() else ():
        files = [entry] if entry.is_file() else [file for file in entry.rglob("*") if file.is_file()]
        found.append({"name": entry.name.removesuffix(".zip"), "size": sum(file.stat().st_size for file in files)})
    return found
