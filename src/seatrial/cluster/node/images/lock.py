"""Who works on a path: `flock` on the thing in the making itself, seen by every process and dropped by `kill -9`.

What is being made stands under its final name in a working directory, locked; when it is finished it is renamed into
its place and whoever waited finds it there. No lock file is left behind.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from seatrial.base.clock import Clock

POLL_SECONDS = 0.02
"""How often a waiter looks again: nobody tells it across processes."""


@asynccontextmanager
async def working_file(path: Path, clock: Clock) -> AsyncIterator[int]:
    """The only descriptor allowed to write the file `path`, which may hold what a killed process left."""
    descriptor = await _acquire(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, clock)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@asynccontextmanager
async def working_directory(path: Path, clock: Clock) -> AsyncIterator[int]:
    """The same for a directory. A child that inherits the descriptor keeps the lock as long as it lives."""
    descriptor = await _acquire(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, clock)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _acquire(path: Path, flags: int, clock: Clock) -> int:
    while True:
        descriptor = _try(path, flags)  # never waits
        if descriptor is not None:
            return descriptor
        await clock.sleep(POLL_SECONDS)


def _try(path: Path, flags: int) -> int | None:
    """Open and lock, unless somebody else has it, or has finished it (then the path names something else by now)."""
    if flags & os.O_DIRECTORY:
        path.mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    if try_lock(descriptor) and _is_still(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), found)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Held for a few milliseconds at most: waits without polling (call it in a thread)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
