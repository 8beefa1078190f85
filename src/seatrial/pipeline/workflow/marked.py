"""Processes of runs whose warden was killed: found by what their environment says, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

VARIABLE = "SEATRIAL_RUN"
"""Everything a run starts has it: the run's directory."""
_ROUNDS = 50


def end(directory: Path) -> int:
    """Kill every process of a run in this directory; how many there were. Blocks for as long as new ones appear."""
    total = 0
    for _ in range(_ROUNDS):
        killed = sum(_kill(int(entry.name), directory) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        total += killed
        if not killed:
            break
    return total


def _kill(pid: int, directory: Path) -> bool:
    """By descriptor: the number may be another's by the time of the signal."""
    if pid == os.getpid():
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _is_of(pid, directory):
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _is_of(pid: int, directory: Path) -> bool:
    """A zombie has no environment: it is not counted."""
    prefix = f"{VARIABLE}={directory}".encode()
    for setting in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if setting == prefix or setting.startswith(prefix + b"/"):
            return True
    return False
