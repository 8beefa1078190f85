"""port-forward: SPDY frames in WebSocket messages; each connection has a stream for its data and one for an error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket as sockets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from seatrial.cluster.netns import inside
from seatrial.cluster.node.server import spdy

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_READ_BYTES = 32 * 1024
_MOST_STREAMS = 2000
_CONNECT_SECONDS = 10.0


@dataclass(slots=True)
class _Pair:
    """The two streams of one connection."""

    port: int
    error: int = 0
    data: int = 0
    writer: asyncio.StreamWriter | None = None
    task: asyncio.Task[None] | None = None


class Forwarder:
    def __init__(self, socket: web.WebSocketResponse, pid: int | None) -> None:
        """`pid`: a process in the pod's network namespace; None: the node's own."""
        self._socket = socket
        self._pid = pid
        self._spdy = spdy.Connection()
        self._pairs: dict[str, _Pair] = {}
        self._streams: dict[int, _Pair] = {}
        self._early: dict[int, list[spdy.Data]] = {}
        """What came for a connection before it was made."""

    async def run(self) -> None:
        """Until the client leaves."""
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    for event in self._spdy.receive(message.data):
                        await self._take(event)
        except spdy.BadFrame as error:
            log.info("a port-forward ended", extra={"why": error.message})
        finally:
            tasks = [pair.task for pair in self._pairs.values() if pair.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, event: spdy.Event) -> None:
        if isinstance(event, spdy.Opened):
            await self._opened(event)
        elif isinstance(event, spdy.Data):
            pair = self._streams.get(event.stream)
            if pair is not None and event.stream == pair.data:
                await self._to_pod(pair, event)
        elif isinstance(event, spdy.Reset):
            self._forget(event.stream)
        elif isinstance(event, spdy.Ping):
            await self._send(self._spdy.pong(event.number))

    async def _opened(self, event: spdy.Opened) -> None:
        kind, request = event.headers.get("streamtype"), event.headers.get("requestid", "")
        port = event.headers.get("port", "")
        known = len(self._streams) < _MOST_STREAMS and kind in ("error", "data") and port.isdecimal()
        if not known or not 0 < int(port) < 65536:
            await self._send(self._spdy.reset(event.stream, 1))
            return
        pair = self._pairs.setdefault(request, _Pair(int(port)))
        self._streams[event.stream] = pair
        await self._send(self._spdy.reply(event.stream))
        if kind == "error":
            pair.error = event.stream
        else:
            pair.data = event.stream
            pair.task = asyncio.create_task(self._carry(request, pair), name=f"forward to port {port}")

    async def _to_pod(self, pair: _Pair, event: spdy.Data) -> None:
        if pair.writer is None:
            self._early.setdefault(pair.data, []).append(event)
            return
        with contextlib.suppress(OSError):
            if event.data:
                pair.writer.write(event.data)
                await pair.writer.drain()
            if event.ended and pair.writer.can_write_eof():
                pair.writer.write_eof()

    async def _carry(self, request: str, pair: _Pair) -> None:
        """One connection, from the pod's side to its end."""
        try:
            reader, writer = await asyncio.wait_for(self._connect(pair.port), _CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            text = f"failed to connect to localhost:{pair.port} inside the pod: {why}"
            await self._send(self._spdy.data(pair.error, text.encode(), end=True))
            await self._send(self._spdy.data(pair.data, b"", end=True))
            self._end(request, pair)
            return
        pair.writer = writer
        try:
            for event in self._early.pop(pair.data, []):
                await self._to_pod(pair, event)
            with contextlib.suppress(OSError):
                while data := await reader.read(_READ_BYTES):
                    await self._send(self._spdy.data(pair.data, data))
            await self._send(self._spdy.data(pair.data, b"", end=True))
            await self._send(self._spdy.data(pair.error, b"", end=True))
        finally:
            writer.close()
            self._end(request, pair)

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = _socket_in(self._pid)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
            return await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise

    def _forget(self, stream: int) -> None:
        pair = self._streams.get(stream)
        if pair is not None and stream == pair.data and pair.task is not None:
            pair.task.cancel()

    def _end(self, request: str, pair: _Pair) -> None:
        self._pairs.pop(request, None)
        for stream in (pair.error, pair.data):
            self._streams.pop(stream, None)
            self._early.pop(stream, None)

    async def _send(self, frame: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.send_bytes(frame)


def _socket_in(pid: int | None) -> sockets.socket:
    """A TCP socket of the pod's network. Raises OSError."""
    if pid is None:
        return sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
    made: list[sockets.socket] = []
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        inside(descriptor, lambda: made.append(sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)))
    finally:
        os.close(descriptor)
    return made[0]
