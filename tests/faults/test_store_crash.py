"""`kill -9` at any moment: what was acknowledged is there, what was deleted stays deleted, revisions only grow.

A child process writes through the real store and prints a line for each acknowledgement; the pipe outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seatrial.base.clock import SystemClock
from seatrial.cluster.store.store import Store

WRITERS = 8
NAMES = 40


class Line(NamedTuple):
    """`begin` before a write, `done` after it was settled; an empty value means a deletion."""

    word: str
    name: str
    value: str
    revision: int


async def child(path: Path, seed: int) -> None:
    """Write until killed. Each writer owns its names, so the last acknowledgement of a name is its state."""
    store = Store.open(path, clock=SystemClock())
    say("open", "", "", store.revision)
    await asyncio.gather(*(write(store, number, random.Random(f"{seed}/{number}")) for number in range(WRITERS)))


async def write(store: Store, number: int, pick: random.Random) -> None:
    while True:
        name = f"w{number}-{pick.randrange(NAMES)}"
        value = "" if store.get("pods", "a", name) and pick.random() < 0.3 else str(pick.random())
        say("begin", name, value, 0)
        revision = apply(store, name, value, pick.randrange(4000))
        await store.settled(revision)
        say("done", name, value, revision)


def apply(store: Store, name: str, value: str, size: int) -> int:
    obj: dict[str, Any] = {"metadata": {"name": name}, "value": value, "ballast": "x" * size}
    if not value:
        return store.delete("pods", "a", name, None).revision
    if store.get("pods", "a", name):
        return store.update("pods", "a", name, obj, None).revision
    return store.create("pods", "a", name, obj).revision


def say(*fields: object) -> None:
    os.write(1, (json.dumps(fields) + "\n").encode())


def run_and_kill(path: Path, seed: int, acknowledgements: int, patience: float) -> list[Line]:
    """Let a child write that many times and a moment more, then kill it; everything it managed to say."""
    process = subprocess.Popen([sys.executable, __file__, str(path), str(seed)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines: list[Line] = []
    with process, process.stdout as said:
        while sum(line.word == "done" for line in lines) < acknowledgements:
            lines.append(parsed(said.readline()))
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        lines += [parsed(text) for text in said if text.endswith(b"\n")]
    assert process.returncode == -signal.SIGKILL
    return lines


def parsed(text: bytes) -> Line:
    assert text, "the child ended by itself"
    return Line(*json.loads(text))


class Truth:
    """What must be there, across rounds: the acknowledged value of each name, and values that may be there."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.begun: dict[str, str] = {}
        self.revision = 0

    def hear(self, lines: list[Line]) -> None:
        for line in lines:
            if line.word == "open":
                assert line.revision >= self.revision, "the revision went back"
            elif line.word == "begin":
                self.begun[line.name] = line.value
            else:
                self.values[line.name] = self.begun.pop(line.name)
                self.revision = max(self.revision, line.revision)

    def check(self, path: Path) -> None:
        store = Store.open(path, clock=SystemClock())
        found = {entry.name: str(entry.object["value"]) for entry in store.list("pods")}
        assert store.revision >= self.revision, "the revision went back"
        for name in found.keys() | self.values.keys() | self.begun.keys():
            possible = {self.values.get(name, ""), self.begun.get(name, self.values.get(name, ""))}
            assert found.get(name, "") in possible, f"{name}: found {found.get(name)!r}, expected one of {possible}"
        self.values, self.begun, self.revision = found, {}, store.revision
        store.close()


def crash(folder: Path, rounds: int, seed: int) -> int:
    """Rounds on the same file; how much was acknowledged in all."""
    pick, truth, acknowledged = random.Random(seed), Truth(), 0
    for number in range(rounds):
        lines = run_and_kill(folder / "store.db", seed + number, pick.randrange(1, 200), pick.random() * 0.05)
        truth.hear(lines)
        acknowledged += sum(line.word == "done" for line in lines)
        truth.check(folder / "store.db")
    return acknowledged


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    assert crash(tmp_path, rounds=10, seed=1) >= 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_survives_a_hundred_times(tmp_path: Path) -> None:
    assert crash(tmp_path, rounds=100, seed=1000) >= 1000


if __name__ == "__main__":
    asyncio.run(child(Path(sys.argv[1]), int(sys.argv[2])))
