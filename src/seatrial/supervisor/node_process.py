"""The node's process (see `child`): into namespaces of its own, where real pods run (decision 0005)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from seatrial.base import log
from seatrial.base.clock import SystemClock
from seatrial.base.errors import SeatrialError
from seatrial.cluster.nodeprocess.enter import Plan, enter
from seatrial.supervisor import child, claim
from seatrial.supervisor.child import Reports
from seatrial.supervisor.instance import Instance

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.cluster.nodeprocess.enter import Entered
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.connection import Connection

logger = logging.getLogger(__name__)

_STEP = 0.05


def main() -> int:
    options = child.options()
    log.configure(options.get("log_level", "INFO"))
    reports = Reports(options["notify"])
    instance = Instance(Path(options["directory"]))
    try:
        # Held by the process that waits outside: it ends last.
        asyncio.run(child.take(instance, claim.NODE, SystemClock()))
        entered = enter(Plan(_name(instance), os.environ.get("PATH", ""), (instance.directory,)))
        return asyncio.run(_run(instance, options, entered, reports))
    except SeatrialError as error:
        logger.error("the node ended", extra={"why": error.message})
        reports.tell({"error": error.message, "reason": error.reason})
        return 1
    except OSError as error:
        reports.tell({"error": instance.unusable(error).message})
        return 1


def _name(instance: Instance) -> str:
    """What the instance's control groups are called: the same at each start."""
    return hashlib.sha256(str(instance.directory).encode()).hexdigest()[:12]


async def _run(instance: Instance, options: dict[str, Any], entered: Entered, reports: Reports) -> int:
    told = child.told()
    working, waiting = asyncio.create_task(_work(instance, options, entered, reports)), asyncio.create_task(told.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()
    return 0  # what is left ends with this process, the first of its PID namespace


async def _work(instance: Instance, options: dict[str, Any], entered: Entered, reports: Reports) -> None:
    # The network's libraries start threads when they are imported: not before the namespaces are there.
    from seatrial.cluster.nodeprocess.server import Node, Options

    clock = SystemClock()
    connection, client = await _reached(instance, entered, clock)
    address = urlsplit(connection.server)
    place = Options(
        instance.directory,
        instance.node_socket,
        (address.hostname or "", address.port or 443),
        os.environ.get("PATH", ""),
        connection.ca or "",
        host=options["host"],
        http_port=options["http_port"],
        https_port=options["https_port"],
        registry=options["registry"],
        registry_auth=instance.registry_auth,
    )
    try:
        node = Node(place, entered, client, clock)
        await node.start()
        http, https = (f"{scheme}://{options['host']}:{port}" if port else "" for scheme, port in _schemes(node.ports))
        reports.tell({"http": http, "https": https})
        await node.wait()
    finally:
        await client.close()


async def _reached(instance: Instance, entered: Entered, clock: Clock) -> tuple[Connection, Client]:
    """Wait for the API server, which starts at the same time: its address and our certificate may be new."""
    from seatrial.kube.client import kubeconfig
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.http import HttpTransport

    while True:
        with contextlib.suppress(OSError, ValueError, SeatrialError):
            connection = kubeconfig.load(instance.node_kubeconfig, "seatrial")
            transport = HttpTransport(
                connection, clock, user_agent="seatrial-node", connector=entered.outside.connector
            )
            client = Client(transport, field_manager="kubelet")
            try:
                if (await client.raw("GET", "/readyz")).status == 200:
                    return connection, client
            except BaseException:
                await client.close()
                raise
            await client.close()
        await clock.sleep(_STEP)


def _schemes(ports: tuple[int, int]) -> zip[tuple[str, int]]:
    return zip(("http", "https"), ports, strict=True)


if __name__ == "__main__":
    sys.exit(main())
