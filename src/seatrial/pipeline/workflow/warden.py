"""A program of its own: runs one command, and leaves nothing of it behind (standard library only; run with `-I -S`).

It adopts whatever its descendants orphan, so that a daemon cannot get away. When the command ends, when standard
input ends (whoever started this is gone, or wants it to stop) or on SIGTERM, every descendant is ended.

    warden.py GRACE_SECONDS COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
_STEP_SECONDS = 0.02
_END_SECONDS = 30.0
_STOPPED = 125
"""The exit code of a command that was stopped."""


def main() -> int:
    grace, command = float(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    child = _start(command, libc)
    code = _watch(child, reading)
    if code is None:
        _ask(grace)
    _end()
    return _STOPPED if code is None else code


def _start(command: list[str], libc: ctypes.CDLL) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(_STOPPED)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.set_wakeup_fd(-1)
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _watch(child: int, woken: int) -> int | None:
    """The command's exit code; None if it is to be stopped."""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready and any(number != signal.SIGCHLD for number in os.read(woken, 4096)):
            return None
        for pid, status in _reaped():
            if pid == child:
                return os.waitstatus_to_exitcode(status) % 256
        if 0 in ready and not os.read(0, 4096):
            return None


def _reaped() -> list[tuple[int, int]]:
    found = []
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(ended)
    return found


def _ask(grace: float) -> None:
    """SIGTERM, and time to end well."""
    _signal(signal.SIGTERM)
    until = time.monotonic() + grace
    while time.monotonic() < until and _descendants():
        _reaped()
        time.sleep(_STEP_SECONDS)


def _end() -> None:
    """Stopped first: what does not run cannot fork faster than it is killed. What became another user's is left."""
    until = time.monotonic() + _END_SECONDS
    while _descendants() and time.monotonic() < until:
        _signal(signal.SIGSTOP)
        _signal(signal.SIGKILL)
        _reaped()
        time.sleep(_STEP_SECONDS)


def _signal(number: int) -> None:
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _descendants() -> list[int]:
    """All but those that only wait to be reaped by somebody else."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state not in (b"X", b"x"):
                    parents[int(entry)] = int(parent)
    found: list[int] = []
    wanted = {os.getpid()}
    while wanted:
        wanted = {pid for pid, parent in parents.items() if parent in wanted}
        found += wanted
    return found


if __name__ == "__main__":
    sys.exit(main())
