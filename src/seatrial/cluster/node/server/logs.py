"""A container's log as a client wants it, read from the files the runtime writes (`runtime.logs`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from seatrial.base.clock import parse_time
from seatrial.cluster.node.server.changes import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from seatrial.base.clock import Clock

_PIECE = 256 * 1024
_TRIES = 5
"""A file may be rotated away between its listing and its opening."""
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
    file = await asyncio.to_thread(_start, path, wish.tail)
    if file is None:
        return
    follower = _Follower(path, file)
    changes = Changes(path.parent, clock) if wish.follow else None
    try:
        while True:
            ended = not is_running()
            for block in follower.more():
                yield block
                await clock.sleep(0)
            if changes is None or ended:
                return
            await changes.wait()
    finally:
        follower.close()
        if changes is not None:
            changes.close()


def _files(path: Path) -> list[Path]:
    """Oldest first."""
    return [*sorted(path.parent.glob(f"{path.name}.*")), path]


def _start(path: Path, tail: int | None) -> BinaryIO | None:
    """The file to begin with, at the place to begin at; None if the log has gone."""
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):  # rotated away at this moment
            files = _files(path)
            number, offset = (0, 0) if tail is None else _tail_start(files, tail)
            file = files[number].open("rb")
            file.seek(offset)
            return file
    return None


def _tail_start(files: list[Path], count: int) -> tuple[int, int]:
    """File and offset from which `count` lines are left; parts of a line count with its last one."""
    missing, is_last = count, True
    for number in range(len(files) - 1, -1, -1):
        data = files[number].read_bytes()
        at = len(data)
        while at > 0:
            begin = data.rfind(b"\n", 0, at - 1) + 1
            if is_last or data[begin:at].split(b" ", 3)[2:3] == [b"F"]:
                if missing == 0:
                    return number, at
                missing -= 1
            at, is_last = begin, False
    return 0, 0


class _Follower:
    """Whole lines of a file that grows, and of those that took its place each time it was rotated."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._rest = b""

    def more(self) -> Iterator[list[bytes]]:
        while True:
            yield from self._read()
            following = self._following()
            if following is None:
                return
            yield from self._read()  # what was written between that look and the rotation
            self._file.close()
            self._file, self._rest = following, b""

    def _read(self) -> Iterator[list[bytes]]:
        while data := self._file.read(_PIECE):
            lines = (self._rest + data).split(b"\n")
            self._rest = lines.pop()
            yield lines

    def _following(self) -> BinaryIO | None:
        """The next newer file; a slow reader may be several behind, and its own may be deleted already."""
        here = os.fstat(self._file.fileno()).st_ino
        for _ in range(_TRIES):
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == here:
                    return None
                files = _files(self._path)
                inodes = [file.stat().st_ino for file in files]
                return files[inodes.index(here) + 1 if here in inodes else 0].open("rb")
        return None

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
