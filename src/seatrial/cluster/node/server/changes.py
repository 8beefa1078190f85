"""News of the files of a directory: from the kernel (inotify) where it has any left to give, else by looking again."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock

_libc = ctypes.CDLL(None, use_errno=True)
_MODIFIED, _CLOSED, _MOVED, _CREATED = 0x2, 0x8, 0x80, 0x100
_LOOK_AGAIN = 0.25
"""Seconds: not all that is waited for is a change of a file."""
_LOOK_OFTEN = 0.1
_TOGETHER = 0.01
"""Seconds in which changes are one piece of news: who writes line by line does not wake the reader for each."""


class Changes:
    def __init__(self, directory: Path, clock: Clock) -> None:
        self._clock = clock
        self._news = asyncio.Event()
        self._descriptor = _watch(directory)
        if self._descriptor >= 0:
            asyncio.get_running_loop().add_reader(self._descriptor, self._heard)

    async def wait(self) -> None:
        """Until something may have changed since the last wait."""
        step = _LOOK_AGAIN if self._descriptor >= 0 else _LOOK_OFTEN
        waiting = [asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(self._clock.sleep(step))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if self._news.is_set():
            await self._clock.sleep(_TOGETHER)
            self._news.clear()

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _heard(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 64 * 1024)
        self._news.set()


def _watch(directory: Path) -> int:
    """A descriptor that can be read when something changed; -1 if there is none to be had."""
    descriptor = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if descriptor < 0:
        return -1
    wanted = _MODIFIED | _CLOSED | _MOVED | _CREATED
    if _libc.inotify_add_watch(descriptor, os.fsencode(directory), wanted) < 0:
        os.close(descriptor)
        return -1
    return descriptor
