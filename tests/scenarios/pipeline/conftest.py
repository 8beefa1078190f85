"""The whole pipeline against a whole cluster, with the real git and the real act."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import pytest

from seatrial.base.clock import SystemClock
from seatrial.cluster.server import Cluster
from seatrial.cluster.server import Options as ClusterOptions
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client, PatchType
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.model import resources
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS
from seatrial.pipeline.api.run import PipelineRun
from seatrial.pipeline.engine import Engine, Options
from seatrial.testing.background import BackgroundCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from seatrial.kube.model.objects import Object
    from seatrial.pipeline.gitserver.repositories import Push

T = TypeVar("T")
TOKEN = "the-token-of-ann"
PATIENCE = 30.0
CI = ".github/workflows/ci.yml"


class Yard:
    """A repository `shop` with a working copy, an engine, and the runs that come of pushes."""

    def __init__(self, client: Client, directory: Path) -> None:
        self.client = client
        self.directory = directory
        self.work = directory / "work"
        self.pushes: list[Push] = []
        self.engine: Engine
        self._running: asyncio.Task[None] | None = None
        self._options: dict[str, Any] = {}

    async def start(self, **options: Any) -> None:
        self._options = {**self._options, **options}
        given = {"environment": {"PATH": os.environ["PATH"]}, **self._options}
        made = Options(self.directory / "data", {"ann": TOKEN}, **given)
        self.engine = Engine(self.client, SystemClock(), made, self.pushes.append)
        self.engine.repositories.ensure("shop")
        ready = asyncio.Event()
        self._running = asyncio.create_task(self.engine.run(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({waiting, self._running}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._running.done():
            self._running.result()
        assert ready.is_set()

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    # git

    @property
    def url(self) -> str:
        return self.engine.clone_url("shop").replace("http://", f"http://ann:{TOKEN}@")

    async def git(self, *arguments: str) -> str:
        return await asyncio.to_thread(self._git, arguments)

    def _git(self, arguments: tuple[str, ...]) -> str:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory), "GIT_TERMINAL_PROMPT": "0"}
        given = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.com", *arguments]
        done = subprocess.run(given, cwd=self.work, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    async def commit(self, files: dict[str, str | None], message: str = "change", branch: str = "main") -> str:
        """Write these (None: delete), commit and push; the commit."""
        if not (self.work / ".git").exists():
            self.work.mkdir()
            await self.git("init", "-q", "-b", branch)
        for name, text in files.items():
            path = self.work / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        await self.git("add", "-A")
        await self.git("commit", "-q", "--allow-empty", "-m", message)
        await self.git("push", "-q", self.url, f"HEAD:refs/heads/{branch}")
        return await self.git("rev-parse", "HEAD")

    async def workflow(self, steps: str, *, head: str = "on: push", job: str = "", **files: str) -> str:
        """Push a workflow with one job `build` of these steps (YAML), and code."""
        lines = [textwrap.dedent(head).strip(), "jobs:", "  build:", "    runs-on: ubuntu-latest"]
        lines += ["    " + line for line in textwrap.dedent(job).strip().splitlines()]
        lines += ["    steps:", textwrap.indent(textwrap.dedent(steps).strip("\n"), "      ")]
        return await self.commit({CI: "name: CI\n" + "\n".join(lines) + "\n", "app.py": os.urandom(4).hex(), **files})

    # runs

    async def runs(self) -> list[PipelineRun]:
        found = await self.client.list(RUNS, names.CONTROL_NAMESPACE)
        return sorted((PipelineRun(obj) for obj in found.items), key=lambda run: run.id)

    async def patch(self, id: int, spec: Object) -> None:
        await self.client.patch(
            RUNS, f"shop-{id}", {"spec": spec}, names.CONTROL_NAMESPACE, type=PatchType.MERGE
        )  # fmt: skip

    async def until(self, check: Callable[[], Awaitable[T | None]], what: str) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := await check()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            shown = [(run.name, run.recorded) for run in await self.runs()]
            raise AssertionError(f"not so after {PATIENCE} s: {what}; {shown}") from None
        return found

    async def until_run(self, id: int, check: Callable[[PipelineRun], object], what: str) -> PipelineRun:
        async def asked() -> PipelineRun | None:
            return next((run for run in await self.runs() if run.id == id and check(run)), None)

        return await self.until(asked, f"run {id} {what}")

    async def ended(self, id: int = 1, attempt: int = 1) -> PipelineRun:
        return await self.until_run(
            id, lambda run: run.attempt == attempt and run.status == names.COMPLETED, "is completed"
        )

    async def printed(self, id: int, text: str) -> None:
        """Until a run has printed this."""

        async def check() -> bool:
            return text in await self.log(id)

        await self.until(check, f"run {id} prints {text!r}")

    async def create(self, name: str, spec: Object) -> None:
        metadata = {"name": name, "namespace": names.CONTROL_NAMESPACE}
        await self.client.create(
            RUNS, {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": spec}
        )

    async def log(self, id: int = 1, query: str = "", name: str = "") -> str:
        url = f"{self.engine.url}/runs/{name or f'shop-{id}'}/log{query}"
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
            session.get(url) as answer,
        ):
            assert answer.status in (200, 404)
            return await answer.text()

    async def secret(self, **data: str) -> None:
        metadata = {"name": "of-shop", "namespace": names.CONTROL_NAMESPACE, "labels": {names.SECRETS_OF: "shop"}}
        await self.client.create(
            resources.for_kind("v1", "Secret"),
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data},
        )

    async def event(self, reason: str) -> str:
        async def check() -> str | None:
            found = await self.client.list(resources.for_kind("v1", "Event"), names.CONTROL_NAMESPACE)
            return next((str(event["message"]) for event in found.items if event["reason"] == reason), None)

        return await self.until(check, f"an event {reason}")

    # what is left behind

    def leftovers(self) -> list[str]:
        """Processes that belong to a run, and entries of the directory of runs that are under way."""
        mark = f"SEATRIAL_RUN={self.directory}".encode()
        found = [str(path) for path in (self.directory / "data" / "work").glob("*")]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes():
                        found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found


class CommandLine:
    """`seatrial ...` as a process of its own."""

    def __init__(self, yard: Yard, config: Path) -> None:
        self.yard = yard
        self.config = config
        self._environment = {**os.environ, "KUBECONFIG": str(config)}
        self.said = ""

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        return await self._run((sys.executable, "-m", "seatrial.cli.main", *arguments), code)

    async def kubectl(self, *arguments: str) -> str:
        return await self._run((str(Path(sys.executable).parent / "kubectl"), *arguments), 0)

    async def _run(self, arguments: tuple[str, ...], code: int) -> str:
        process = await asyncio.create_subprocess_exec(
            *arguments, env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            output, complaint = await process.communicate()
        self.said = complaint.decode()
        assert process.returncode == code, (arguments, process.returncode, output.decode(), self.said)
        return output.decode()


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with Cluster(ClusterOptions(tmp_path / "cluster", in_memory=True)) as cluster:
        made = Yard(cluster.client("pipeline"), tmp_path)
        await made.start()
        yield made
        await made.stop()
        assert made.leftovers() == []


@pytest.fixture
async def command_line(tmp_path: Path) -> AsyncIterator[CommandLine]:
    """A yard whose cluster is reached over HTTP, and the command line that speaks to it."""
    with BackgroundCluster(tmp_path / "cluster") as handle:
        transport = HttpTransport(kubeconfig.load(handle.kubeconfig), SystemClock())
        yard = Yard(Client(transport), tmp_path)
        await yard.start()
        yield CommandLine(yard, handle.kubeconfig)
        await yard.stop()
        await yard.client.close()
