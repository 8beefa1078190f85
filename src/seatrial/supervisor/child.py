"""What the processes a supervisor starts have in common: options, reports, and when they are to stop.

A child is `python -m MODULE OPTIONS-AS-JSON`. It stops at SIGTERM, and when its standard input ends: so it never
outlives a supervisor that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal
from seatrial.supervisor import claim

if TYPE_CHECKING:
    from io import FileIO

    from seatrial.base.clock import Clock
    from seatrial.supervisor.instance import Instance

_PREDECESSOR_SECONDS = 10.0
"""How long the process of a killed supervisor may take to end."""


def options() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(sys.argv[1])
    return found


class Reports:
    """To the supervisor, on the descriptor it gave us (see `component`)."""

    def __init__(self, descriptor: int) -> None:
        self._pipe: FileIO = os.fdopen(descriptor, "wb", buffering=0)

    def tell(self, report: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is gone: the end of standard input says so too
            self._pipe.write(orjson.dumps(report) + b"\n")


def told() -> asyncio.Event:
    """Set by SIGTERM, SIGINT and the end of standard input."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    standard_input = sys.stdin.fileno()

    def read() -> None:
        if not os.read(standard_input, 1):
            loop.remove_reader(standard_input)
            event.set()

    loop.add_reader(standard_input, read)
    return event


async def take(instance: Instance, byte: int, clock: Clock) -> None:
    """Wait a little for a predecessor to end: only then is what it used free. Raises Terminal, OSError."""
    deadline = clock.monotonic() + _PREDECESSOR_SECONDS
    while not claim.take(instance.lock, byte):
        if clock.monotonic() > deadline:
            raise Terminal(
                f"the process of an earlier start (pid {claim.holder(instance.lock, byte)}) is still there. "
                f"End it with `seatrial down --data-dir {instance.directory}`"
            )
        await clock.sleep(0.01)
