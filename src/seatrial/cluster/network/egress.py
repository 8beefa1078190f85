"""Connections out of the cluster: slirp4netns carries them, in user space, over the machine's own sockets.

No link to the machine is made. It runs in the machine's network namespace and puts a tap device into ours; pods reach
it by masquerade (`services.BASE`). Without it pods stay among themselves, and one line of the log says so.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cluster.network.services import TAP

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.cluster.network.links import Links
    from seatrial.cluster.network.outside import Programs

log = logging.getLogger(__name__)

PROGRAM = "slirp4netns"
_TUN = Path("/dev/net/tun")
_PATIENCE = 5.0
_STEP = 0.01


def arguments(program: str, pid: int) -> list[str]:
    """For the network namespace of process `pid`, as the machine counts. Loopback of the machine stays out of reach.

    Names are asked of the cluster's DNS alone, so its own forwarder is off.
    """
    return [program, "--configure", "--mtu=65520", "--disable-host-loopback", "--disable-dns", str(pid), TAP]


async def open_egress(programs: Programs, links: Links, clock: Clock, pid: int) -> bool:
    """Whether pods can reach beyond the cluster now."""
    program = shutil.which(PROGRAM)
    missing = _missing(program)
    if program is None or missing:
        log.warning("pods cannot reach beyond the cluster", extra={"missing": missing})
        return False
    try:
        await programs.start(arguments(program, pid))
        async with asyncio.timeout(_PATIENCE):
            while not await links.has_address(TAP):
                await clock.sleep(_STEP)
    except (OSError, TimeoutError) as error:
        log.warning("pods cannot reach beyond the cluster", extra={"program": PROGRAM, "error": error or "no device"})
        return False
    return True


def _missing(program: str | None) -> str:
    if program is None:
        return f"the program {PROGRAM}"
    return "" if _TUN.exists() else str(_TUN)
