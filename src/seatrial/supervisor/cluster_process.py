"""The cluster's own process: `python -m seatrial.supervisor.cluster_process OPTIONS-AS-JSON`.

It reports to the supervisor on the descriptor it was given (see `component`), and stops when its standard input
ends: so it never outlives a supervisor that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base import log
from seatrial.base.clock import Clock, SystemClock
from seatrial.base.errors import SeatrialError, Terminal
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.server import ADMIN, ADMIN_GROUP, Cluster, Options
from seatrial.cluster.store.errors import StoreFailed
from seatrial.supervisor import claim, credentials
from seatrial.supervisor.instance import Instance

if TYPE_CHECKING:
    from io import FileIO

logger = logging.getLogger(__name__)

_PREDECESSOR_SECONDS = 10.0
"""How long the process of a killed supervisor may take to end."""
_FILES = 65_536
_ROOM = 8 * 1024 * 1024
"""Bytes free on the disk that let a full store be opened again."""
_ROOM_SECONDS = 0.5
"""How often to look for them."""


def main() -> int:
    import uvloop

    options: dict[str, Any] = orjson.loads(sys.argv[1])
    _allow_connections()
    log.configure(options.get("log_level", "INFO"))
    supervisor = os.fdopen(options["notify"], "wb", buffering=0)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(options, supervisor, SystemClock()))
    except SeatrialError as error:
        logger.error("the cluster ended", extra={"why": error.message, "detail": error.detail})
        return 1


def _allow_connections() -> None:
    """As many open files as the system lets this user have: each watch is a connection, and 1024 are soon used up."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(options: dict[str, Any], supervisor: FileIO, clock: Clock) -> int:
    instance = Instance(Path(options["directory"]))
    told = _told()
    try:
        cluster = await _start(instance, options, clock)
    except SeatrialError as error:
        _tell(supervisor, {"error": error.message, "reason": error.reason})
        return 1
    except OSError as error:
        unusable = instance.unusable(error)
        _tell(supervisor, {"error": unusable.message, "reason": unusable.reason})
        return 1
    try:
        _tell(supervisor, {"url": cluster.url, "port": cluster.port})
        return await _serve(instance, cluster, told, supervisor, clock)
    finally:
        await cluster.stop()


def _tell(supervisor: FileIO, report: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # it is gone: the end of standard input says so too
        supervisor.write(orjson.dumps(report) + b"\n")


def _told() -> asyncio.Event:
    """Set by SIGTERM, SIGINT and the end of standard input."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    standard_input = sys.stdin.fileno()

    def read() -> None:
        if not os.read(standard_input, 1):
            loop.remove_reader(standard_input)
            told.set()

    loop.add_reader(standard_input, read)
    return told


async def _start(instance: Instance, options: dict[str, Any], clock: Clock) -> Cluster:
    """Raises SeatrialError, OSError."""
    await _claim(instance, clock)
    cluster = Cluster(
        Options(
            directory=instance.directory,
            host=options["host"],
            port=options["port"],
            pod_start_seconds=options["pod_start_seconds"],
        ),
        clock=clock,
        tokens={credentials.admin_token(instance): User(ADMIN, (ADMIN_GROUP,))},
    )
    try:
        await cluster.start()
        credentials.write_kubeconfig(instance, cluster.url, cluster.authority, clock)
    except BaseException:
        await cluster.stop()
        raise
    return cluster


async def _claim(instance: Instance, clock: Clock) -> None:
    """Wait a little for a predecessor to end: only then are its port and its database free."""
    deadline = clock.monotonic() + _PREDECESSOR_SECONDS
    while not claim.take(instance.lock, claim.CLUSTER):
        if clock.monotonic() > deadline:
            raise Terminal(
                f"the process of an earlier start (pid {instance.orphan()}) is still there. "
                f"End it with `seatrial down --data-dir {instance.directory}`"
            )
        await clock.sleep(0.01)


async def _serve(instance: Instance, cluster: Cluster, told: asyncio.Event, supervisor: FileIO, clock: Clock) -> int:
    """The exit code: 0 when told to stop. Raises what part of the cluster has failed."""
    failed, waiting = asyncio.ensure_future(cluster.wait()), asyncio.ensure_future(told.wait())
    await asyncio.wait({failed, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not failed.done():
            return 0
        try:
            failed.result()
        except SeatrialError as error:
            _tell(supervisor, {"degraded": error.message})
            if isinstance(error, StoreFailed) and error.is_full:
                await _read_only_until_room(instance, waiting, clock)
            if waiting.done():
                return 0
            raise
        return 1
    finally:
        failed.cancel()
        waiting.cancel()


async def _read_only_until_room(instance: Instance, waiting: asyncio.Future[Any], clock: Clock) -> None:
    """On a full disk a restart would fail: go on answering reads until there is space."""
    while not waiting.done():
        system = os.statvfs(instance.directory)
        if system.f_bavail * system.f_frsize >= _ROOM:
            return
        sleeping = asyncio.ensure_future(clock.sleep(_ROOM_SECONDS))
        await asyncio.wait({sleeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()


if __name__ == "__main__":
    sys.exit(main())
