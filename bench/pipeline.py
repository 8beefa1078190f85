"""From a push to a run, and what a run costs beside its own commands: real git, real act, an API over HTTP.

    python bench/pipeline.py [--quick]

Writes bench/results/pipeline.json: for each figure the median and the spread over its rounds, with the machine's facts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from api import figure
from machine import facts

from seatrial.base.clock import SystemClock
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client
from seatrial.kube.client.http import HttpTransport
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS
from seatrial.pipeline.api.run import PipelineRun
from seatrial.pipeline.engine import Engine, Options
from seatrial.testing.background import BackgroundCluster

if TYPE_CHECKING:
    from seatrial.pipeline.gitserver.repositories import Push

RESULTS = Path(__file__).parent / "results" / "pipeline.json"
AIMS = {
    "push_to_told_seconds": "<= 0.1 after git says it is done",
    "push_to_run_start_seconds": "<= 1",
    "pipeline_overhead_seconds": "<= 2",
}
TOKEN = "bench"
COMMANDS = ("python3 -c 'sum(range(3_000_000))'", "python3 -m compileall -q -f . || true", "sleep 0.2")
WORKFLOW = (
    "name: CI\non: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n"
    + "".join(f'      - run: "{command}"\n' for command in COMMANDS)
)


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


def by_hand(bare: Path, directory: Path) -> float:
    """A clone and the same commands."""
    began = time.perf_counter()
    git(directory, "clone", "-q", str(bare), "by-hand")
    for command in COMMANDS:
        subprocess.run(["bash", "-e", "-c", command], cwd=directory / "by-hand", check=True)
    took = time.perf_counter() - began
    subprocess.run(["rm", "-rf", str(directory / "by-hand")], check=True)
    return took


class Watched:
    """When each run was first seen to start, and to end."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.started: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self.news = asyncio.Event()

    async def follow(self) -> None:
        async for event in self._client.watch(RUNS, names.CONTROL_NAMESPACE):
            if event.type in ("ADDED", "MODIFIED"):
                run, now = PipelineRun(event.object), time.perf_counter()
                if run.status == names.IN_PROGRESS:
                    self.started.setdefault(run.id, now)
                if run.status == names.COMPLETED:
                    assert run.conclusion == names.SUCCESS, run.recorded
                    self.ended.setdefault(run.id, now)
                    self.news.set()

    async def until_ended(self, id: int) -> float:
        while id not in self.ended:
            self.news.clear()
            await self.news.wait()
        return self.ended[id]


async def measure(directory: Path, config: Path, rounds: int) -> dict[str, object]:
    client = Client(HttpTransport(kubeconfig.load(config), SystemClock()))
    told: list[float] = []

    def on_push(_: Push) -> None:
        told.append(time.perf_counter())

    options = Options(directory / "data", {"bench": TOKEN}, environment={"PATH": os.environ["PATH"]})
    engine = Engine(client, SystemClock(), options, on_push)
    bare = engine.repositories.ensure("shop")
    ready = asyncio.Event()
    running = asyncio.create_task(engine.run(ready.set))
    await ready.wait()
    watched = Watched(client)
    following = asyncio.create_task(watched.follow())
    work = directory / "work"
    url = engine.clone_url("shop").replace("http://", f"http://bench:{TOKEN}@")
    await asyncio.to_thread(git, directory, "clone", "-q", url, str(work))
    (work / ".github/workflows").mkdir(parents=True)
    (work / ".github/workflows/ci.yml").write_text(WORKFLOW)
    figures: dict[str, list[float]] = {name: [] for name in (*AIMS, "run_seconds", "by_hand_seconds")}
    for number in range(1, rounds + 1):
        (work / "app.py").write_text(f"x = {number}\n")
        await asyncio.to_thread(git, work, "add", "-A")
        await asyncio.to_thread(git, work, "commit", "-q", "-m", str(number))
        await asyncio.to_thread(git, work, "push", "-q", "origin", "HEAD:main")
        done = time.perf_counter()
        ended = await watched.until_ended(number)
        hand = await asyncio.to_thread(by_hand, bare, directory)
        heard = told[-1]
        figures["push_to_told_seconds"].append(max(0.0, heard - done))
        figures["push_to_run_start_seconds"].append(watched.started[number] - heard)
        figures["run_seconds"].append(ended - heard)
        figures["by_hand_seconds"].append(hand)
        figures["pipeline_overhead_seconds"].append(ended - heard - hand)
    for task in (following, running):
        task.cancel()
    await asyncio.gather(following, running, return_exceptions=True)
    await client.close()
    return {name: figure(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds; nothing is written")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as scratch, BackgroundCluster(Path(scratch) / "cluster") as handle:
        results = asyncio.run(measure(Path(scratch), handle.kubeconfig, 3 if quick else 20))
    print(json.dumps(results, indent=2))
    if not quick:
        RESULTS.write_text(json.dumps({"machine": facts(), "aims": AIMS, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
