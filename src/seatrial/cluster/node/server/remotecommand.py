"""exec and attach as clients before 1.31 speak: a SPDY stream each for stdin, stdout, stderr, errors and the size."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Literal

import orjson

from seatrial.cluster.node.server.conversation import resize, write
from seatrial.cluster.node.server.multiplex import Multiplexer

if TYPE_CHECKING:
    from seatrial.cluster.node.runtime.types import Session
    from seatrial.cluster.node.server.conversation import Asked
    from seatrial.cluster.node.server.multiplex import Stream
    from seatrial.cluster.node.server.upgrade import Wire

PROTOCOL = "v4.channel.k8s.io"
_STREAMS_SECONDS = 30.0
_LEAVE_SECONDS = 2.0
_MOST_SIZE = 256
"""Bytes that tell a terminal's size."""


class SpdyPeer:
    def __init__(self, wire: Wire, asked: Asked) -> None:
        self._multiplexer = Multiplexer(wire)
        self._streams: dict[str, Stream] = {}
        self._wanted = {"error"}
        self._wanted |= {name for name in ("stdin", "stdout", "stderr") if getattr(asked, name)}
        self._wanted |= {"resize"} if asked.tty else set()
        self._complete = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> SpdyPeer:
        """Raises TimeoutError if the client does not open its streams."""
        self._reading = asyncio.create_task(self._multiplexer.run(self._opened))
        try:
            await asyncio.wait_for(self._complete.wait(), _STREAMS_SECONDS)
        except BaseException:
            self._reading.cancel()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Read on for a moment: a connection that is closed with bytes unread takes back what was written last."""
        assert self._reading is not None
        for stream in self._streams.values():
            stream.ignore()
        try:
            await asyncio.wait({self._reading}, timeout=_LEAVE_SECONDS)
        finally:
            self._reading.cancel()

    def _opened(self, stream: Stream) -> bool:
        kind = stream.headers.get("streamtype", "")
        if kind not in self._wanted or kind in self._streams:
            return False
        self._streams[kind] = stream
        if kind not in ("stdin", "resize"):
            stream.ignore()
        if self._streams.keys() == self._wanted:
            self._complete.set()
        return True

    async def listen(self, session: Session) -> None:
        assert self._reading is not None
        tasks = [asyncio.create_task(work) for work in (self._stdin(session), self._sizes(session))]
        try:
            await asyncio.wait({self._reading})
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stdin(self, session: Session) -> None:
        stream = self._streams.get("stdin")
        if stream is not None:
            while data := await stream.read():
                await write(session, data)
            await session.close_stdin()

    async def _sizes(self, session: Session) -> None:
        """One JSON object after the other, each on a line."""
        stream, text = self._streams.get("resize"), b""
        while stream is not None and (data := await stream.read()):
            *lines, text = (text + data).split(b"\n")
            text = text[:_MOST_SIZE]
            for line in lines:
                resize(session, line)

    async def output(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        await self._streams[stream].write(data)

    async def result(self, status: dict[str, Any]) -> None:
        await self._streams["error"].write(orjson.dumps(status))
        for name in ("stdout", "stderr", "error"):
            with contextlib.suppress(KeyError):
                await self._streams[name].end()
