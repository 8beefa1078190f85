"""Carries TCP connections from a listening socket to wherever `dial` connects, byte for byte.

Used both ways over the border: pods to the API server, and the machine to ports of the node. Each direction ends by
itself (half-close), and a slow reader slows its writer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, cast

from seatrial.cluster.network.addresses import NODE_ADDRESS
from seatrial.cluster.network.outside import connect_inside, connect_outside

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.cluster.network.outside import Outside

    Dial = Callable[[], Awaitable[socket.socket]]

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 8000
"""Two descriptors each: stays below the usual 20,000 of a process."""
_BACKLOG = 1024


class Relay:
    def __init__(self, name: str, listener: socket.socket, dial: Dial) -> None:
        self.name = f"relay {name}"
        self._listener = listener
        self._dial = dial
        self._ends: set[_End] = set()
        self._dialing: set[asyncio.Task[None]] = set()
        self._ended = False

    async def run(self) -> None:
        """Serve until cancelled; then every connection is closed, and the listener."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        server = await loop.create_server(self._end, sock=self._listener, backlog=_BACKLOG)
        try:
            await loop.create_future()
        finally:
            self._ended = True
            server.close()
            dialing = list(self._dialing)
            for task in dialing:
                task.cancel()
            await asyncio.gather(*dialing, return_exceptions=True)
            for end in list(self._ends):
                end.abort()

    def _end(self) -> _End:
        return _End(self._accepted, self._ends)

    def _accepted(self, end: _End) -> None:
        if self._ended:  # it was being accepted meanwhile
            end.abort()
            return
        if len(self._ends) > 2 * _MOST_CONNECTIONS:
            log.warning("too many connections", extra={"relay": self.name, "limit": _MOST_CONNECTIONS})
            end.abort()
            return
        task = asyncio.get_running_loop().create_task(self._join(end))
        self._dialing.add(task)
        task.add_done_callback(self._dialing.discard)

    async def _join(self, end: _End) -> None:
        try:
            dialed = await self._dial()
        except OSError as error:
            log.debug("no connection", extra={"relay": self.name, "error": error})
            end.abort()
            return
        loop = asyncio.get_running_loop()
        try:
            _transport, other = await loop.create_connection(lambda: _End(None, self._ends), sock=dialed)
        except OSError:
            dialed.close()
            end.abort()
            return
        end.join(other)


class _End(asyncio.Protocol):
    """One end of a relayed connection. Nothing is read before the other end is there."""

    def __init__(self, accepted: Callable[[_End], None] | None, ends: set[_End]) -> None:
        self._accepted = accepted
        self._ends = ends
        self._other: _End | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()
        self._ends.add(self)
        made = transport.get_extra_info("socket")
        if made is not None:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._accepted is not None:
            self._accepted(self)

    def join(self, other: _End) -> None:
        if self._transport is None or self._transport.is_closing():
            other.abort()
            return
        self._other, other._other = other, self
        self._resume()
        other._resume()

    def data_received(self, data: bytes) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.write(data)

    def eof_received(self) -> bool:
        """Tell the other end, and go on writing to this one."""
        other = self._other._transport if self._other is not None else None
        if other is None or other.is_closing():
            return False
        other.write_eof()
        return True

    def pause_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other._resume()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """An end that broke breaks the other; one that ended well lets the other's last bytes out."""
        self._transport = None
        self._ends.discard(self)
        other, self._other = self._other, None
        if other is not None and other._transport is not None:
            if error is not None:
                other._transport.abort()
            else:
                other._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def api_relay(outside: Outside, address: str, port: int, server: tuple[str, int]) -> Relay:
    """Pods reach the API server at `address`:`port` inside. Raises OSError if that cannot be listened on."""
    return Relay("api", listen(address, port), lambda: connect_outside(outside, *server))


def host_relay(listener: socket.socket, port: int, host: str = NODE_ADDRESS) -> Relay:
    """The machine reaches a port inside, such as a node port, by a socket that listens outside."""
    return Relay(f"port {port}", listener, lambda: connect_inside(host, port))


def listen(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except BaseException:
        made.close()
        raise
    return made
