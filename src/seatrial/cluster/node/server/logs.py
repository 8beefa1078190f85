"""A container's log as a client wants it, read from the files the runtime writes (`runtime.logs`)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.base.clock import parse_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from seatrial.base.clock import Clock

_BLOCK = 64 * 1024
_PIECE = 256 * 1024
_STEP = 0.1
"""Seconds between two looks at a file that is followed."""
_STREAMS = {"": b"", "All": b"", "Stdout": b"stdout", "Stderr": b"stderr"}


@dataclass(frozen=True, slots=True)
class Wish:
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: float = 0.0
    limit: int | None = None
    """Bytes."""
    stream: bytes = b""

    @classmethod
    def of(cls, query: Mapping[str, str], now: float) -> Wish:
        """From the request's parameters, which the API server has checked. Raises ValueError."""
        since = parse_time(query["sinceTime"]) if query.get("sinceTime") else 0.0
        if query.get("sinceSeconds"):
            since = now - int(query["sinceSeconds"])
        return cls(
            follow=query.get("follow") in ("true", "1"),
            timestamps=query.get("timestamps") in ("true", "1"),
            tail=int(query["tailLines"]) if query.get("tailLines") else None,
            since=since,
            limit=int(query["limitBytes"]) if query.get("limitBytes") else None,
            stream=_STREAMS[query.get("stream", "")],
        )


async def read(path: Path, wish: Wish, clock: Clock, is_running: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Until the limit, the end of what is there, or with `follow` the end of the container."""
    left = wish.limit
    async for block in _blocks(path, wish, clock, is_running):
        out = b"".join(_shown(line, wish) for line in block)
        if left is not None:
            out = out[:left]
            left -= len(out)
        if out:
            yield out
        if left == 0:
            return


async def _blocks(path: Path, wish: Wish, clock: Clock, is_running: Callable[[], bool]) -> AsyncIterator[list[bytes]]:
    files = [*sorted(path.parent.glob(f"{path.name}.*")), path]
    start = await asyncio.to_thread(_tail_start, files, wish.tail) if wish.tail is not None else (0, 0)
    for number, file in enumerate(files[:-1]):
        if number >= start[0]:
            for block in _lines(file, start[1] if number == start[0] else 0):
                yield block
                await asyncio.sleep(0)
    follower = _Follower(path, start[1] if start[0] == len(files) - 1 else 0)
    try:
        while True:
            ended = not is_running()
            for block in follower.more():
                yield block
                await asyncio.sleep(0)
            if not wish.follow or ended:
                return
            await clock.sleep(_STEP)
    finally:
        follower.close()


def _tail_start(files: list[Path], count: int) -> tuple[int, int]:
    """File and offset from which `count` lines are left; parts of a line count with its last one."""
    missing = count
    for number in range(len(files) - 1, -1, -1):
        data = files[number].read_bytes()
        at = len(data)
        while at > 0:
            begin = data.rfind(b"\n", 0, at - 1) + 1
            if data[begin:at].split(b" ", 3)[2:3] == [b"F"]:
                if missing == 0:
                    return number, at
                missing -= 1
            at = begin
    return 0, 0


def _lines(file: Path, offset: int) -> Iterator[list[bytes]]:
    follower = _Follower(file, offset)
    try:
        yield from follower.more()
    finally:
        follower.close()


class _Follower:
    """Whole lines of a file that grows, and is replaced by another when it is rotated."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        self._file = path.open("rb")
        self._file.seek(offset)
        self._rest = b""

    def more(self) -> Iterator[list[bytes]]:
        while True:
            data = self._file.read(_PIECE)
            if data:
                lines = (self._rest + data).split(b"\n")
                self._rest = lines.pop()
                yield lines
            elif not self._rotated():
                return

    def _rotated(self) -> bool:
        """The rest of this file is read: go on with the one that took its place, if there is one."""
        try:
            there, here = os.stat(self._path), os.fstat(self._file.fileno())
        except FileNotFoundError:
            return False
        if there.st_ino == here.st_ino:
            return False
        self._file.close()
        self._file = self._path.open("rb")
        return True

    def close(self) -> None:
        self._file.close()


def _shown(line: bytes, wish: Wish) -> bytes:
    """`2026-01-02T03:04:05.678901234Z stdout F text`."""
    fields = line.split(b" ", 3)
    if len(fields) < 4 or (wish.stream and fields[1] != wish.stream):
        return b""
    stamp, _, tag, text = fields
    if wish.since and _time(stamp) < wish.since:
        return b""
    end = b"" if tag == b"P" else b"\n"
    return stamp + b" " + text + end if wish.timestamps else text + end


def _time(stamp: bytes) -> float:
    seconds, _, fraction = stamp.decode("latin-1").rstrip("Z").partition(".")
    return parse_time(seconds + "Z") + float(f"0.{fraction or 0}")
