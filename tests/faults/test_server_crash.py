"""`kill -9` of the real cluster process under load over HTTPS: what was acknowledged is there, with its content; what
was deleted stays deleted; nobody ever saw a revision that is lost afterwards.

Each writer owns its names and does one thing at a time, so that the state of a name after a crash is the one last
acknowledged, or the one that was on its way.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

WRITERS = 8
NAMES = 12
PATH = "/api/v1/namespaces/default/configmaps"
WATCH = {"watch": "1", "labelSelector": "crash=test"}
ABSENT = ""


@dataclass
class Truth:
    """Across rounds: what must be there, what may be, and how far anybody saw the cluster get."""

    values: dict[str, str] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    revision: int = 0
    acknowledged: int = 0
    deletions: int = 0

    def saw(self, obj: dict[str, Any]) -> None:
        self.revision = max(self.revision, int(obj["metadata"].get("resourceVersion") or 0))

    def check(self, answer: dict[str, Any]) -> None:
        """Against the whole list after a restart."""
        found = {item["metadata"]["name"]: item["data"]["value"] for item in answer["items"]}
        revision = int(answer["metadata"]["resourceVersion"])
        assert revision >= self.revision, f"the revision went back from {self.revision} to {revision}"
        for name in found.keys() | self.values.keys() | self.begun.keys():
            last = self.values.get(name, ABSENT)
            possible = {last, self.begun.get(name, last)}
            assert found.get(name, ABSENT) in possible, f"{name}: found {found.get(name)!r}, expected one of {possible}"
        self.values, self.begun, self.revision = found, {}, revision


class Server:
    """The cluster process, on the same data and port each time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0

    def start(self) -> None:
        read_end, write_end = os.pipe()
        options = {
            "directory": str(self.directory),
            "host": "127.0.0.1",
            "port": self.port,
            "pod_start_seconds": 0.0,
            "log_level": "ERROR",
            "notify": write_end,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "seatrial.supervisor.cluster_process", json.dumps(options)],
            stdin=subprocess.PIPE,
            pass_fds=[write_end],
        )
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            ready = json.loads(pipe.readline() or "{}")
        assert "port" in ready, ready
        self.port = ready["port"]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def session(self) -> aiohttp.ClientSession:
        secure = ssl.create_default_context(cafile=self.directory / "pki" / "ca.crt")
        token = (self.directory / "admin-token").read_text().strip()
        return aiohttp.ClientSession(
            f"https://127.0.0.1:{self.port}",
            connector=aiohttp.TCPConnector(ssl=secure, limit=0),
            headers={"authorization": f"Bearer {token}"},
        )


def config_map(name: str, value: str, ballast: int) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"crash": "test"}}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"value": value, "ballast": "x" * ballast}}


async def write(session: aiohttp.ClientSession, truth: Truth, number: int, pick: random.Random) -> None:
    """Create, update or delete until the connection breaks."""
    while True:
        name = f"w{number}-{pick.randrange(NAMES)}"
        there = name in truth.values
        value = ABSENT if there and pick.random() < 0.3 else f"{pick.random()}"
        truth.begun[name] = value
        answer = await send(session, name, there, value, pick.randrange(3000))
        del truth.begun[name]
        truth.acknowledged += 1
        if value:
            assert answer["data"]["value"] == value
            truth.saw(answer)
            truth.values[name] = value
        else:
            truth.deletions += 1
            del truth.values[name]


async def send(session: aiohttp.ClientSession, name: str, there: bool, value: str, ballast: int) -> dict[str, Any]:
    if not value:
        asked = session.delete(f"{PATH}/{name}")
    elif there:
        asked = session.put(f"{PATH}/{name}", json=config_map(name, value, ballast))
    else:
        asked = session.post(PATH, json=config_map(name, value, ballast))
    async with asked as answer:
        body: dict[str, Any] = await answer.json()
        assert answer.status in (200, 201), body
        return body


async def read(session: aiohttp.ClientSession, truth: Truth) -> None:
    while True:
        async with session.get(PATH, params={"labelSelector": "crash=test"}) as answer:
            truth.saw(await answer.json())
        await asyncio.sleep(0.01)


async def watch(session: aiohttp.ClientSession, truth: Truth) -> None:
    async with session.get(PATH, params=WATCH) as answer:
        async for line in answer.content:
            truth.saw(json.loads(line)["object"])


async def load(session: aiohttp.ClientSession, truth: Truth, pick: random.Random) -> None:
    """Until the server is gone."""
    work: list[Coroutine[Any, Any, None]] = [read(session, truth), watch(session, truth)]
    work += [write(session, truth, number, random.Random(pick.random())) for number in range(WRITERS)]
    for ended in await asyncio.gather(*work, return_exceptions=True):
        if ended is not None and not isinstance(ended, aiohttp.ClientError | OSError | json.JSONDecodeError):
            raise ended


async def crash_round(server: Server, truth: Truth, pick: random.Random) -> None:
    async with server.session() as session:
        loading = asyncio.create_task(load(session, truth, pick))
        enough = truth.acknowledged + pick.randrange(1, 150)
        while truth.acknowledged < enough and not loading.done():
            await asyncio.sleep(0.001)
        await asyncio.sleep(pick.random() * 0.01)
        server.kill()
        await loading


async def crash(directory: Path, rounds: int, seed: int) -> Truth:
    pick, truth, server = random.Random(seed), Truth(), Server(directory)
    server.start()
    try:
        for _ in range(rounds):
            await crash_round(server, truth, pick)
            server.start()
            async with server.session() as session, session.get(PATH, params={"labelSelector": "crash=test"}) as answer:
                truth.check(await answer.json())
    finally:
        server.kill()
    return truth


async def report(directory: Path, rounds: int, seed: int) -> None:
    began = time.monotonic()
    truth = await crash(directory, rounds, seed)
    print(
        f"{rounds} rounds of kill -9 in {time.monotonic() - began:.0f} s: {truth.acknowledged} acknowledged writes, "
        f"{truth.deletions} of them deletions; none lost, none resurrected; at revision {truth.revision}"
    )
    assert truth.acknowledged >= 20 * rounds


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "instance"
    path.mkdir(mode=0o700)
    return path


async def test_what_was_acknowledged_over_http_survives_kill_9(directory: Path) -> None:
    await report(directory, rounds=5, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_it_survives_a_hundred_times(directory: Path) -> None:
    await report(directory, rounds=100, seed=1000)
