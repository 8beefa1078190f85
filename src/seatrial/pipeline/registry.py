"""Makes PipelineRuns: of pushes, and of what people ask for. Numbers are given here."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable, SeatrialError
from seatrial.kube.client.client import PatchType
from seatrial.kube.model.status import StatusError
from seatrial.pipeline import planning
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS
from seatrial.pipeline.api.run import PipelineRun, branch_of
from seatrial.pipeline.gitserver.repositories import NO_COMMIT, RepositoryFailed, UnknownRepository
from seatrial.pipeline.workflow.commits import Commits, CommitUnknown
from seatrial.pipeline.workflow.expressions import ExpressionUnknown
from seatrial.pipeline.workflow.file import WorkflowInvalid, parse

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.events import EventRecorder
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object
    from seatrial.pipeline.gitserver.repositories import Push, Repositories
    from seatrial.pipeline.workflow.commits import Commit

log = logging.getLogger(__name__)

_TRIES = 20
_RETRY_SECONDS = 1.0


class Registry:
    def __init__(
        self, client: Client, clock: Clock, runs: Informer, repositories: Repositories, recorder: EventRecorder, *,
        namespace: str,
    ) -> None:  # fmt: skip
        self._client = client
        self._clock = clock
        self._runs = runs
        self._repositories = repositories
        self._recorder = recorder
        self._namespace = namespace
        self._pushes: asyncio.Queue[tuple[Push, bool]] = asyncio.Queue()
        """With whether it may have been told before."""
        self._last_id = 0
        self._numbers: dict[tuple[str, str], int] = {}

    # pushes

    def pushed(self, push: Push) -> None:
        self._pushes.put_nowait((push, False))

    async def recover(self) -> None:
        """Find what was pushed and not told: before anybody can push."""
        for name in await asyncio.to_thread(self._repositories.names):
            try:
                for push in await asyncio.to_thread(self._repositories.untold, name):
                    self._pushes.put_nowait((push, True))
            except (RepositoryFailed, UnknownRepository, OSError) as error:
                log.warning("a repository cannot be read", extra={"repository": name, "error": error})

    async def run(self) -> None:
        """Each push in turn."""
        while True:
            await self._settle(*await self._pushes.get())

    async def _settle(self, push: Push, again: bool) -> None:
        """Until what the push asks for is written."""
        while True:
            try:
                await self._take(push, again)
                await asyncio.to_thread(self._repositories.told, push)
                return
            except (StatusError, Retryable) as error:
                again = True
                log.warning("a push waits for the API server", extra={"repository": push.repository, "error": error})
                await self._clock.sleep(_RETRY_SECONDS)
            except (SeatrialError, OSError) as error:
                log.error("a push cannot be read", extra={"repository": push.repository, "error": error})
                return
            except Exception:
                log.exception("a push was not understood", extra={"repository": push.repository, "ref": push.ref})
                return

    async def _take(self, push: Push, again: bool) -> None:
        if push.after == NO_COMMIT or not push.ref.startswith(("refs/heads/", "refs/tags/")):
            return
        place = self._repositories.path(push.repository)
        commit, plan = await asyncio.to_thread(_plan, place, push)
        log.info("push", extra={"repository": push.repository, "ref": push.ref, "decision": plan.decision.reason})
        for chosen in plan.chosen:
            if not again or not await self._is_known(push, chosen.path):
                await self._create(push, commit, chosen, plan)
        if not plan.chosen:
            self._say(push, plan)

    async def _is_known(self, push: Push, workflow: str) -> bool:
        """Whether its run was made before the process, or the connection, died."""
        wanted = (push.repository, workflow, push.ref, push.before, push.after)
        keys = ("repository", "workflow", "ref", "before", "commit")
        found = await self._client.list(RUNS, self._namespace)
        specs = (obj["spec"] for obj in found.items)
        return any(wanted == tuple(spec.get(key) for key in keys) for spec in specs)

    async def _create(self, push: Push, commit: Commit, chosen: planning.Chosen, plan: planning.Plan) -> None:
        for _ in range(_TRIES):
            id, number = self._numbered(push.repository, chosen.path)
            spec = planning.spec_of(chosen, push, commit, plan.decision, id, number)
            try:
                await self._client.create(RUNS, planning.run_object(self._namespace, spec))
                return
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
        log.error("no number is free for a run", extra={"repository": push.repository})

    def _numbered(self, repository: str, workflow: str) -> tuple[int, int]:
        """The next id of all runs, and the next number of this workflow's."""
        key = (repository, workflow)
        for obj in self._runs.list():
            run = PipelineRun(obj)
            self._last_id = max(self._last_id, run.id)
            if (run.repository, run.workflow) == key:
                self._numbers[key] = max(self._numbers.get(key, 0), int(run.spec.get("number") or 0))
        self._last_id += 1
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return self._last_id, self._numbers[key]

    def _say(self, push: Push, plan: planning.Plan) -> None:
        """No run is there to tell it: an Event is."""
        about: Object = {
            "apiVersion": names.API_VERSION,
            "kind": "Repository",
            "metadata": {"name": push.repository, "namespace": self._namespace},
        }
        message = f"{branch_of(push.ref)} {push.after[:7]}: {plan.decision.reason}"
        self._recorder.event(about, "Normal", plan.reason, message)

    # what people ask for

    async def adopt(self, run: PipelineRun) -> Object | None:
        """A run that somebody else made gets what it has not; None if it is gone. Raises StatusError."""
        ref = run.ref or f"refs/heads/{self._repositories.default_branch}"
        if not ref.startswith("refs/"):
            ref = f"refs/heads/{ref}"
        id, number = self._numbered(run.repository, run.workflow)
        spec: Object = {**run.spec, "ref": ref, "branch": branch_of(ref), "id": id, "number": number}
        try:
            place = self._repositories.path(run.repository)
            spec |= await asyncio.to_thread(_completed, place, spec)
        except WorkflowInvalid as error:
            spec["problem"] = error.to_json()
        except (UnknownRepository, CommitUnknown, ExpressionUnknown) as error:
            spec["problem"] = {"message": error.message}
        spec.setdefault("commit", NO_COMMIT)
        try:
            return await self._client.patch(RUNS, run.name, {"spec": spec}, run.namespace, type=PatchType.MERGE)
        except StatusError as error:
            if error.code == 404:
                return None
            raise


def _plan(place: Path, push: Push) -> tuple[Commit, planning.Plan]:
    commits = Commits(place)
    commit = commits.read(push.after)
    return commit, planning.plan(push, commit, commits.workflows(commit.id), commits.changed(push.before, commit.id))


def _completed(place: Path, spec: Object) -> Object:
    """What the commit says. Raises CommitUnknown, WorkflowInvalid, ExpressionUnknown."""
    commits = Commits(place)
    commit = commits.read(str(spec.get("commit") or spec["ref"]))
    path = str(spec["workflow"])
    files = commits.workflows(commit.id)
    found = {name: content for name, content in files.items() if path in (name, name.rpartition("/")[2])}
    made: Object = {"commit": commit.id, "title": spec.get("title") or commit.title}
    if not found:
        raise WorkflowInvalid(path, f"commit {commit.id[:7]} has no such workflow")
    path, content = next(iter(found.items()))
    workflow = parse(path, content)
    made |= {"workflow": path, "workflowName": workflow.name}
    if workflow.concurrency is not None:
        made["concurrency"] = planning.concurrency(workflow, {**spec, **made})
    return made
