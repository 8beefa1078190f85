"""port-forward: each connection is a pair of SPDY streams, one for its data and one for an error."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.cluster.netns import inside
from seatrial.cluster.node.server.multiplex import Multiplexer

if TYPE_CHECKING:
    from seatrial.cluster.node.server.multiplex import Stream
    from seatrial.cluster.node.server.upgrade import Wire

TUNNELLED = "SPDY/3.1+portforward.k8s.io"
"""The subprotocol of a WebSocket that carries SPDY."""
PROTOCOL = "portforward.k8s.io"
_READ_BYTES = 32 * 1024
_CONNECT_SECONDS = 10.0


@dataclass(slots=True)
class _Pair:
    """The two streams of one connection, as they come."""

    port: int
    error: Stream | None = None
    data: Stream | None = None


class Forwarder:
    def __init__(self, wire: Wire, pid: int | None) -> None:
        """`pid`: a process in the pod's network namespace; None: the node's own."""
        self._pid = pid
        self._multiplexer = Multiplexer(wire)
        self._pairs: dict[str, _Pair] = {}
        """Those of which a stream is still to come."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client leaves."""
        try:
            await self._multiplexer.run(self._opened)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _opened(self, stream: Stream) -> bool:
        kind, port = stream.headers.get("streamtype"), _port(stream.headers.get("port", ""))
        if kind not in ("error", "data") or port is None:
            return False
        request = stream.headers.get("requestid", "")
        pair = self._pairs.setdefault(request, _Pair(port))
        if kind == "error":
            pair.error = stream
            stream.ignore()
        else:
            pair.data = stream
        if pair.error is not None and pair.data is not None:
            del self._pairs[request]
            task = asyncio.create_task(self._connection(pair.port, pair.data, pair.error), name=f"forward to {port}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _connection(self, port: int, data: Stream, error: Stream) -> None:
        try:
            with contextlib.suppress(ConnectionError):  # of the client; it leaves with all of its connections
                why = await self._forward(port, data)
                if why:
                    await error.write(why.encode())
                await data.end()
                await error.end()
        finally:
            data.forget()
            error.forget()

    async def _forward(self, port: int, data: Stream) -> str:
        """From the connection's making to its end; why it could not be made, or ""."""
        try:
            reader, writer = await asyncio.wait_for(_connect(self._pid, port), _CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "timed out"
            return f"failed to connect to localhost:{port} inside the pod: {reason.lower()}"
        there = asyncio.create_task(_to_pod(data, writer))
        back = asyncio.create_task(_from_pod(reader, data))
        gone = asyncio.create_task(data.was_reset.wait())
        try:
            await asyncio.wait({back, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (there, back, gone):
                task.cancel()
            await asyncio.gather(there, back, gone, return_exceptions=True)
            writer.close()
        return ""


def _port(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536 else None


async def _to_pod(data: Stream, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await data.read():
            writer.write(block)
            await writer.drain()
        if not data.was_reset.is_set():
            writer.write_eof()
    # The pod may have closed its reading side and speak on: what the client still sends is dropped.
    data.ignore()


async def _from_pod(reader: asyncio.StreamReader, data: Stream) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(_READ_BYTES):
            await data.write(block)


async def _connect(pid: int | None, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    made = _socket_in(pid)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=made)
    except BaseException:
        made.close()
        raise


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
