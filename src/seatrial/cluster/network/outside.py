"""What this package asks of the machine's own network: sockets and programs made there (decision 0005)."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Outside(Protocol):
    async def socket(self, family: int, type: int) -> socket.socket:
        """A new socket that belongs to the machine's network. Raises OSError."""


class Programs(Protocol):
    async def start(self, arguments: Sequence[str]) -> None:
        """Start a program in the machine's network namespace; it ends with the node. Raises OSError."""


async def connect_outside(outside: Outside, host: str, port: int, timeout: float = 10.0) -> socket.socket:
    """A TCP connection of the machine to a numeric address. Raises OSError."""
    made = await outside.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    return await _connected(made, host, port, timeout)


async def connect_inside(host: str, port: int, timeout: float = 10.0) -> socket.socket:
    """A TCP connection of the node, so Service addresses work. Raises OSError."""
    return await _connected(socket.socket(socket.AF_INET, socket.SOCK_STREAM), host, port, timeout)


async def _connected(made: socket.socket, host: str, port: int, timeout: float) -> socket.socket:
    made.setblocking(False)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(made, (host, port))
    except BaseException:
        made.close()
        raise
    return made
