"""The cluster's own process (see `child`): store, API server, controllers, scheduler and simulated nodes."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

from seatrial.base import log
from seatrial.base.clock import Clock, SystemClock
from seatrial.base.errors import SeatrialError
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.server import ADMIN, ADMIN_GROUP, Cluster, Options
from seatrial.cluster.store.errors import StoreFailed
from seatrial.supervisor import child, claim, credentials
from seatrial.supervisor.child import Reports
from seatrial.supervisor.instance import Instance

logger = logging.getLogger(__name__)

_FILES = 65_536
_ROOM = 8 * 1024 * 1024
"""Bytes free on the disk that let a full store be opened again."""
_ROOM_SECONDS = 0.5
"""How often to look for them."""


def main() -> int:
    import uvloop

    options = child.options()
    _allow_connections()
    log.configure(options.get("log_level", "INFO"))
    supervisor = Reports(options["notify"])
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


async def _run(options: dict[str, Any], supervisor: Reports, clock: Clock) -> int:
    instance = Instance(Path(options["directory"]))
    told = child.told()
    try:
        cluster = await _start(instance, options, clock)
    except SeatrialError as error:
        supervisor.tell({"error": error.message, "reason": error.reason})
        return 1
    except OSError as error:
        unusable = instance.unusable(error)
        supervisor.tell({"error": unusable.message, "reason": unusable.reason})
        return 1
    try:
        supervisor.tell({"url": cluster.url, "port": cluster.port})
        return await _serve(instance, cluster, told, supervisor, clock)
    finally:
        await cluster.stop()


async def _start(instance: Instance, options: dict[str, Any], clock: Clock) -> Cluster:
    """Raises SeatrialError, OSError."""
    await child.take(instance, claim.CLUSTER, clock)
    cluster = Cluster(
        Options(
            directory=instance.directory,
            host=options["host"],
            port=options["port"],
            pod_start_seconds=options["pod_start_seconds"],
            node_socket=instance.node_socket if options.get("runtime") == "oci" else None,
        ),
        clock=clock,
        tokens={credentials.admin_token(instance): User(ADMIN, (ADMIN_GROUP,))},
    )
    try:
        await cluster.start()
        credentials.write_kubeconfig(instance, cluster.url, cluster.authority, clock)
        credentials.write_node_kubeconfig(instance, cluster.url, cluster.authority, clock)
    except BaseException:
        await cluster.stop()
        raise
    return cluster


async def _serve(instance: Instance, cluster: Cluster, told: asyncio.Event, supervisor: Reports, clock: Clock) -> int:
    """The exit code: 0 when told to stop. Raises what part of the cluster has failed."""
    failed, waiting = asyncio.ensure_future(cluster.wait()), asyncio.ensure_future(told.wait())
    await asyncio.wait({failed, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not failed.done():
            return 0
        try:
            failed.result()
        except SeatrialError as error:
            supervisor.tell({"degraded": error.message})
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
