"""A container's log as a client asks for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.cluster.node.runtime.logs import MAX_LINE, LogFile
from seatrial.cluster.node.server.logs import Wish, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0.log"


def log_file(path: Path, clock: ManualClock | None = None) -> LogFile:
    return LogFile(path, clock or SystemClock(), max_bytes=200, max_files=4)


def follow(path: Path, wish: Wish, is_running: Callable[[], bool] = lambda: False) -> AsyncIterator[bytes]:
    return read(path, wish, SystemClock(), is_running)


async def text(path: Path, **wish: object) -> bytes:
    return b"".join([piece async for piece in follow(path, Wish(**wish))])  # type: ignore[arg-type]


async def test_rotated_files_are_read_in_their_order(path: Path) -> None:
    log = log_file(path)
    lines = [b"line %d\n" % number for number in range(10)]
    for line in lines:
        log.write("stdout", line)
    assert len(list(path.parent.iterdir())) > 1
    shown = await text(path)
    assert shown == b"".join(lines[-shown.count(b"\n") :]) and shown.count(b"\n") >= 8


async def test_the_parts_of_a_long_line_are_one_line(path: Path) -> None:
    line = b"x" * (2 * MAX_LINE + 5) + b"\n"
    log_file(path).write("stdout", line)
    assert await text(path) == line
    assert await text(path, tail=1) == line


@pytest.mark.parametrize("count", range(12))
async def test_a_tail_counts_lines_over_rotated_files(path: Path, count: int) -> None:
    log = log_file(path)
    lines = [b"line %d\n" % number for number in range(8)]
    for line in lines:
        log.write("stdout", line)
    everything = (await text(path)).splitlines(keepends=True)
    assert await text(path, tail=count) == b"".join(everything[-count:] if count else [])


async def test_a_tail_counts_the_last_line_without_its_end(path: Path) -> None:
    log = log_file(path)
    log.write("stdout", b"one\ntwo")
    log.close()
    assert await text(path, tail=1) == b"two"
    assert await text(path, tail=2) == b"one\ntwo"


async def test_streams_limits_and_times(path: Path) -> None:
    clock = ManualClock(1_700_000_000.5)
    log = LogFile(path, clock)
    log.write("stdout", b"out\n")
    await clock.advance(10)
    log.write("stderr", b"err\n")
    assert await text(path, stream=b"stderr") == b"err\n"
    assert await text(path, limit=6) == b"out\ner"
    assert await text(path, since=1_700_000_001.0) == b"err\n"
    assert await text(path, timestamps=True, tail=1) == b"2023-11-14T22:13:30.500000000Z err\n"


@pytest.mark.parametrize(
    ("query", "wish"),
    [
        ({"follow": "true", "tailLines": "3"}, Wish(follow=True, tail=3)),
        ({"sinceSeconds": "10"}, Wish(since=90.0)),
        ({"sinceTime": "1970-01-01T00:01:00Z", "timestamps": "true"}, Wish(since=60.0, timestamps=True)),
        ({"limitBytes": "7", "stream": "Stderr"}, Wish(limit=7, stream=b"stderr")),
    ],
)
def test_a_wish_is_read_from_the_request(query: dict[str, str], wish: Wish) -> None:
    assert Wish.of(query, 100.0) == wish


async def test_a_reader_several_rotations_behind_misses_nothing_that_is_kept(path: Path) -> None:
    log = log_file(path)
    log.write("stdout", b"line 0\n")
    seen: list[bytes] = []
    found = follow(path, Wish(follow=True), lambda: len(seen) < 9)
    seen.append(await anext(found))
    for number in range(1, 9):  # three files
        log.write("stdout", b"line %d\n" % number)
    async with asyncio.timeout(5):
        async for piece in found:
            seen += piece.splitlines(keepends=True)
    assert seen == [b"line %d\n" % number for number in range(9)]


async def test_following_ends_with_the_container_and_what_it_said_last(path: Path) -> None:
    log, running = log_file(path), [True]
    log.write("stdout", b"one\n")
    found = follow(path, Wish(follow=True), lambda: running[0])
    async with asyncio.timeout(5):
        assert await anext(found) == b"one\n"
        log.write("stdout", b"last")
        log.close()
        running[0] = False
        assert [piece async for piece in found] == [b"last"]


async def test_a_log_that_has_gone_is_empty(path: Path) -> None:
    assert await text(path) == b""
