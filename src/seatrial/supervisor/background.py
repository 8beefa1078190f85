"""An instance in the background: `python -m seatrial.supervisor.background OPTIONS-AS-JSON` supervises it.

`start` runs that and returns when the cluster is ready. The process writes one line of JSON on the descriptor it is
given, the state or an error, and then goes on in a session of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base import log
from seatrial.base.errors import SeatrialError, Terminal
from seatrial.supervisor.instance import Instance
from seatrial.supervisor.supervisor import Settings, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

logger = logging.getLogger(__name__)


def start(instance: Instance, settings: Settings) -> dict[str, Any]:
    """The state once the cluster is ready. Raises Terminal with what went wrong."""
    instance.check_free()
    options = {"directory": str(instance.directory), "settings": dataclasses.asdict(settings)}
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe:
        try:
            _spawn(instance, {**options, "notify": write_end})
        finally:
            os.close(write_end)
        line = pipe.readline()
    answer: dict[str, Any] = orjson.loads(line) if line else {}
    if "error" in answer or not answer:
        raise Terminal(answer.get("error") or f"the instance ended while starting: see {instance.log}")
    return answer


def _spawn(instance: Instance, options: dict[str, Any]) -> None:
    with instance.log_file().open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seatrial.supervisor.background", orjson.dumps(options).decode()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[options["notify"]],
            start_new_session=True,
        )
    process.returncode = 0  # it outlives us: nobody waits for it


def supervise(
    instance: Instance, settings: Settings, ready: Callable[[dict[str, Any]], None], *, logs_to: str = ""
) -> None:
    """Hold and run the instance until told to stop. Raises SeatrialError."""
    instance.acquire()
    log.configure(settings.log_level)
    try:
        asyncio.run(Supervisor(instance, settings, logs_to=logs_to).run(ready))
    except OSError as error:
        raise instance.unusable(error) from error


def main() -> int:
    options: dict[str, Any] = orjson.loads(sys.argv[1])
    instance, settings = Instance(Path(options["directory"])), Settings(**options["settings"])

    starter = os.fdopen(options["notify"], "wb", buffering=0)
    try:
        supervise(instance, settings, lambda state: _tell(starter, state), logs_to=str(instance.log))
    except SeatrialError as error:
        logger.error("the instance cannot run", extra={"why": error.message})
        _tell(starter, {"error": error.message})
        return 1
    return 0


def _tell(starter: FileIO, answer: dict[str, Any]) -> None:
    """Once; whoever started this may be gone by then."""
    if not starter.closed:
        with contextlib.suppress(BrokenPipeError):
            starter.write(orjson.dumps(answer) + b"\n")
        starter.close()


if __name__ == "__main__":
    sys.exit(main())
