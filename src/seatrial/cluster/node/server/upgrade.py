"""An upgraded connection as a way for bytes: messages of a WebSocket, or, for older clients, the connection itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

import aiohttp
from aiohttp import web

from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

_READ_BYTES = 64 * 1024
_MOST_MESSAGE = 32 * 1024 * 1024
"""Bytes of one WebSocket message: some clients send all of a file at once."""


class Wire(Protocol):
    def received(self) -> AsyncIterator[bytes]:
        """Until the client leaves."""

    async def send(self, data: bytes) -> None:
        """Waits while the client reads too slowly. Raises ConnectionError."""


class WebSocketWire:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def received(self) -> AsyncIterator[bytes]:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                yield message.data

    async def send(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


class RawWire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def received(self) -> AsyncIterator[bytes]:
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(_READ_BYTES):
                yield data

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


class _Taken(asyncio.StreamReaderProtocol):
    """The connection's new owner; its HTTP handler still has to hear of its end."""

    def __init__(self, reader: asyncio.StreamReader, before: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._before = before

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._before.connection_lost(exc)


def is_spdy(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "spdy/3.1"


async def websocket(request: web.Request, protocols: tuple[str, ...]) -> web.WebSocketResponse:
    """Raises StatusError."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise StatusError(400, "BadRequest", "an upgrade to WebSocket or to SPDY/3.1 is served here")
    _choose(_words(request.headers.getall("Sec-WebSocket-Protocol", [])), protocols)
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=_MOST_MESSAGE, autoping=True, compress=False)
    await socket.prepare(request)
    return socket


async def raw(request: web.Request, protocol: str, work: Callable[[Wire], Awaitable[None]]) -> web.Response:
    """Switch protocols and do `work` on what is then no longer HTTP. Raises StatusError."""
    _choose(_words(request.headers.getall("X-Stream-Protocol-Version", [])), (protocol,))
    wire = _take_over(request, {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol})
    try:
        await work(wire)
    finally:
        wire.close()
    return web.Response()  # finds the connection closed


def _words(headers: list[str]) -> set[str]:
    return {word.strip() for header in headers for word in header.split(",")}


def _choose(offered: set[str], spoken: tuple[str, ...]) -> None:
    if not offered & set(spoken):
        raise StatusError(403, "Forbidden", f"one of the protocols {', '.join(spoken)} is spoken here")


def _take_over(request: web.Request, headers: Mapping[str, str]) -> RawWire:
    """Answer that protocols are switched; from then on the connection is no longer HTTP. Raises StatusError."""
    transport = request.transport
    if transport is None or not isinstance(transport, asyncio.Transport):
        raise StatusError(500, "InternalError", "the connection has gone before it was upgraded")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = _Taken(reader, transport.get_protocol())
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers.items())]
    transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    return RawWire(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
