"""Who holds an instance, told by the kernel: each of its processes locks one byte of the instance's lock file.

The kernel names the holder and forgets it however it ends, so neither a stale file nor a process id used again can
make us take somebody else's process for ours.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUPERVISOR, CLUSTER, NODE, DELIVERY, REGISTRY = range(5)
"""The byte of each process."""
_LOCK = "hhqqi"
"""`struct flock`: type, whence, start, length, process."""


def take(path: Path, byte: int) -> bool:
    """Hold `byte` until this process ends; False if another process holds it. Raises OSError.

    The descriptor stays open on purpose, and this process must not open `path` again: closing any descriptor of the
    file would give the lock up.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return False
    return True


def holder(path: Path, byte: int) -> int | None:
    """The other process that holds `byte`; 0 if it has no number here (another PID namespace). Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        kind, _whence, _start, _length, pid = struct.unpack(_LOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else int(pid)


def end(path: Path, byte: int, patience: float, signals: tuple[signal.Signals, ...]) -> bool:
    """Have the holder of `byte` end: send each signal and wait `patience` seconds. False if nobody holds it.

    Raises Terminal if it cannot be reached or does not end.
    """
    with _opened(path, byte) as (pid, process):
        if process is None:
            return False
        for number in signals:
            _send(pid, process, number)
            if _has_ended(process, patience):
                return True
        raise Terminal(f"process {pid} does not end: it waits for a disk or device. Try again later")


@contextmanager
def _opened(path: Path, byte: int) -> Iterator[tuple[int, int | None]]:
    """The holder and a descriptor of it: from then on its number cannot come to mean another process."""
    while (pid := holder(path, byte)) is not None:
        if pid <= 0:
            raise Terminal(f"{path.parent} is in use by a process of another container or PID namespace: stop it there")
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if holder(path, byte) == pid:
                yield pid, process
                return
        finally:
            os.close(process)
    yield 0, None


def _send(pid: int, process: int, number: signal.Signals) -> None:
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)
    except PermissionError as error:
        raise Terminal(f"process {pid} belongs to another user: stop it as that user") from error


def _has_ended(process: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))
