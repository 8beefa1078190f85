"""A container's log: lines as the CRI writes them, in a file that is rotated.

`2026-01-02T03:04:05.678901234Z stdout F text`: F for a line, P for a part of one (too long, or ended by the end of the
stream). All lines of one block of output carry the time it was read.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock

MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 5
MAX_LINE = 16 * 1024
"""Longer ones are written in parts."""


class LogFile:
    def __init__(self, path: Path, clock: Clock, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self._path = path
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._partial = {"stdout": b"", "stderr": b""}
        self._descriptor = -1
        self._size = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self.reopen()

    def write(self, stream: str, data: bytes) -> None:
        """Take a block of output; what follows the last newline waits for its rest."""
        data = self._partial[stream] + data
        whole, newline, rest = data.rpartition(b"\n")
        out = bytearray()
        now = self._time()
        if newline:
            out += _lines(whole, now, stream.encode())
        while len(rest) >= MAX_LINE:
            out += _line(now, stream.encode(), b"P", rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._partial[stream] = rest
        self._append(out)

    def end(self, stream: str) -> None:
        """The stream has ended: what waits is all there will be of its line."""
        rest, self._partial[stream] = self._partial[stream], b""
        if rest:
            self._append(_line(self._time(), stream.encode(), b"P", rest))

    def reopen(self) -> None:
        """After somebody moved the file away."""
        self._close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        for stream in self._partial:
            self.end(stream)
        self._close()

    def _append(self, lines: bytes | bytearray) -> None:
        if not lines or self._descriptor < 0:
            return
        if self._size and self._size + len(lines) > self._max_bytes:
            self._rotate()
        view = memoryview(lines)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._size += len(lines)

    def _rotate(self) -> None:
        stamp = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y%m%d-%H%M%S.%f")
        self._path.rename(self._path.with_name(f"{self._path.name}.{stamp}"))
        old = sorted(self._path.parent.glob(f"{self._path.name}.*"))
        for path in old[: max(0, len(old) - (self._max_files - 1))]:
            path.unlink(missing_ok=True)
        self.reopen()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _time(self) -> bytes:
        now = self._clock.time()
        seconds = int(now)
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{min(999_999_999, int((now - seconds) * 1e9)):09}Z".encode()


def _lines(whole: bytes, now: bytes, stream: bytes) -> bytes:
    """Each line of `whole` (without its last newline), stamped."""
    lines = whole.split(b"\n")
    if len(whole) >= MAX_LINE and max(map(len, lines)) > MAX_LINE:
        return b"".join(_long(line, now, stream) for line in lines)
    stamp = b"%s %s F " % (now, stream)
    return stamp + (b"\n" + stamp).join(lines) + b"\n"


def _long(line: bytes, now: bytes, stream: bytes) -> bytes:
    parts = [line[at : at + MAX_LINE] for at in range(0, len(line), MAX_LINE)] or [b""]
    return b"".join(_line(now, stream, b"P", part) for part in parts[:-1]) + _line(now, stream, b"F", parts[-1])


def _line(now: bytes, stream: bytes, tag: bytes, text: bytes) -> bytes:
    return b"%s %s %s %s\n" % (now, stream, tag, text)
