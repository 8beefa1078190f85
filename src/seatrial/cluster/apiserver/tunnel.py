"""After an upgrade the connection belongs to the node: bytes go both ways until one side ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class End(asyncio.Protocol):
    """One end of a tunnel; what it receives is written to the other. A full writer pauses the other's reading."""

    def __init__(self, gone: Callable[[], None] | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None
        self._gone = gone

    def attach(self, transport: asyncio.Transport, other: End) -> None:
        self.transport = transport
        self.other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()
        if self._gone is not None:
            self._gone()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def shutdown(self) -> None:
        """How the listener ends its connections."""
        if self.transport is not None:
            self.transport.close()


async def open_tunnel(transport: asyncio.Transport, socket: Path, head: bytes, gone: Callable[[], None]) -> End:
    """Make `transport` one end of a tunnel to `socket`, beginning with `head`. Raises OSError if nobody is there."""
    client, node = End(gone), End()
    _, _ = await asyncio.get_running_loop().create_unix_connection(lambda: node, str(socket))
    if node.transport is None:
        raise ConnectionError("the node closed the connection at once")
    client.attach(transport, node)
    node.other = client
    transport.set_protocol(client)
    node.transport.write(head)
    return client
