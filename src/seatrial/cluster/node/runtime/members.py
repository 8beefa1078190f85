"""Which processes belong together, read from /proc: where no control group says it, and for one command of many."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NamedTuple

_ROUNDS = 20
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Process(NamedTuple):
    pid: int
    state: str
    parent: int
    session: int
    ticks: int
    """Of itself and of the children it has reaped."""
    resident: int


def mount_namespace(pid: int) -> int:
    """Each container has one of its own: its number tells its processes from all others. Raises OSError."""
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino


def kill_namespace(number: int) -> None:
    """SIGKILL to every process in a mount namespace, until nobody is left who could have forked meanwhile."""
    for _ in range(_ROUNDS):
        living = [process.pid for process in _all() if process.state not in "ZX" and _lives_in(process.pid, number)]
        if not living:
            return
        _signal(living, signal.SIGKILL)


def kill_tree(pid: int) -> None:
    """SIGKILL to a session leader, its descendants and its session. Stopped first: none of them forks on."""
    for _ in range(_ROUNDS):
        family = _family(pid)
        running = [process.pid for process in family if process.state not in "TZX"]
        if not running:
            break
        _signal(running, signal.SIGSTOP)
    _signal([process.pid for process in _family(pid)], signal.SIGKILL)


def used(number: int) -> tuple[int, int] | None:
    """Nanoseconds of processor time and bytes of memory of the living in a mount namespace; None if there are none."""
    found = [process for process in _all() if _lives_in(process.pid, number)]
    if not found:
        return None
    ticks = sum(process.ticks for process in found)
    return ticks * 1_000_000_000 // _TICKS, sum(process.resident for process in found)


def _family(pid: int) -> list[_Process]:
    processes = _all()
    wanted = {pid} | {process.pid for process in processes if process.session == pid}
    while True:
        more = {process.pid for process in processes if process.parent in wanted} - wanted
        if not more:
            return [process for process in processes if process.pid in wanted]
        wanted |= more


def _all() -> list[_Process]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                found.append(_read(int(name)))
    return found


def _read(pid: int) -> _Process:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    ticks = sum(int(field) for field in fields[11:15])
    return _Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), ticks, int(fields[21]) * _PAGE)


def _lives_in(pid: int, number: int) -> bool:
    try:
        return mount_namespace(pid) == number
    except OSError:
        return False


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
