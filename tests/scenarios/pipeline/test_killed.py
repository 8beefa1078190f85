"""The process that carries runs out is killed as hard as can be."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from tests.scenarios.pipeline.conftest import CommandLine

ENGINE = """
import asyncio, os, sys
from pathlib import Path
from seatrial.base.clock import SystemClock
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client
from seatrial.kube.client.http import HttpTransport
from seatrial.pipeline.engine import Engine, Options

async def main():
    client = Client(HttpTransport(kubeconfig.load(Path(sys.argv[1])), SystemClock()))
    options = Options(Path(sys.argv[2]), {"ann": "the-token-of-ann"}, port=int(sys.argv[3]),
                      environment={"PATH": os.environ["PATH"]})
    await Engine(client, SystemClock(), options).run(lambda: print("ready", flush=True))

asyncio.run(main())
"""


async def test_a_killed_process_leaves_no_step_behind_and_its_run_is_marked(command_line: CommandLine) -> None:
    yard = command_line.yard
    port = int(yard.engine.url.rpartition(":")[2])
    await yard.stop()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, str(command_line.config), str(yard.directory / "data"), str(port),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await yard.workflow("- run: (setsid nohup sleep 600 >/dev/null 2>&1 &); echo started; sleep 601")
        await yard.printed(1, "started")
        await yard.until_run(1, lambda run: run.jobs and run.jobs[0]["status"] == names.IN_PROGRESS, "has begun")
        assert any("sleep 60" in line for line in yard.leftovers())
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    async def only_files() -> bool:
        return all(line.startswith(str(yard.directory)) for line in yard.leftovers())

    await yard.until(only_files, "no process is left, with nobody to end them")
    await yard.start()
    run = await yard.ended()
    assert (run.conclusion, run.recorded["reason"]) == ("failure", names.RUNNER_LOST)
    assert run.jobs[0]["conclusion"] == "failure"
    assert yard.leftovers() == []
