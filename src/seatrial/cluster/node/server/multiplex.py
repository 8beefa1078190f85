"""The streams of one SPDY connection: each is read and written on its own, and may not fill the memory.

There is no flow control between the two sides: Kubernetes' clients neither send nor heed WINDOW_UPDATE. Who is slow is
waited for: with what waits on a stream over its limit, nothing more is read from the client.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from seatrial.cluster.node.server import spdy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seatrial.cluster.node.server.upgrade import Wire

log = logging.getLogger(__name__)

_MOST_WAITING = 512 * 1024
"""Bytes of one stream: a slow reader does not hold up the others before."""
_MOST_WAITING_IN_ALL = 16 * 1024 * 1024
_MOST_STREAMS = 2000
_REFUSED = 3


class Stream:
    def __init__(self, owner: Multiplexer, number: int, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._owner = owner
        self._number = number
        self._blocks: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._spoken = False
        self._deaf = False
        self.waiting = 0
        self.was_reset = asyncio.Event()

    async def read(self) -> bytes:
        """What has arrived; b"" at the end."""
        while not self._blocks:
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()
        block = self._blocks.popleft()
        self.waiting -= len(block)
        self._owner.taken(len(block))
        return block

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError."""
        if not self._spoken:
            await self._owner.send(spdy.data(self._number, data))

    async def end(self) -> None:
        """Nothing more is written. Raises ConnectionError."""
        if not self._spoken:
            self._spoken = True
            await self._owner.send(spdy.data(self._number, b"", end=True))

    async def reply(self) -> None:
        await self._owner.reply(self._number)

    def ignore(self) -> None:
        """Nobody reads it (any more): what comes on it is dropped."""
        self._deaf = True
        self._owner.taken(self.waiting)
        self.waiting = 0
        self._blocks.clear()

    def forget(self) -> None:
        """It is over for both sides."""
        self.ignore()
        self._owner.forget(self._number)

    def put(self, block: bytes) -> None:
        if block and not self._ended and not self._deaf:
            self._blocks.append(block)
            self.waiting += len(block)
            self._news.set()

    def finish(self) -> None:
        self._ended = True
        self._news.set()

    def reset(self) -> None:
        self._spoken = True
        self.finish()
        self.was_reset.set()


class Multiplexer:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._spdy = spdy.Connection()
        self._streams: dict[int, Stream] = {}
        self._highest = 0
        self._waiting = 0
        self._room = asyncio.Event()

    async def run(self, opened: Callable[[Stream], bool]) -> None:
        """Until the client leaves. `opened` hears of each new stream and says whether it is wanted."""
        try:
            async for data in self._wire.received():
                for event in self._spdy.receive(data):
                    await self._take(event, opened)
        except spdy.BadFrame as error:
            log.info("a SPDY connection was ended", extra={"why": error.message})
        except ConnectionError:
            pass
        finally:
            for stream in list(self._streams.values()):
                stream.finish()

    async def send(self, frame: bytes) -> None:
        await self._wire.send(frame)

    async def reply(self, number: int) -> None:
        await self.send(self._spdy.reply(number))

    def forget(self, number: int) -> None:
        self._streams.pop(number, None)

    def taken(self, count: int) -> None:
        self._waiting -= count
        self._room.set()

    async def _take(self, event: spdy.Event, opened: Callable[[Stream], bool]) -> None:
        if isinstance(event, spdy.Opened):
            await self._open(event, opened)
        elif isinstance(event, spdy.Data):
            stream = self._streams.get(event.stream)
            if stream is not None:
                await self._put(stream, event)
        elif isinstance(event, spdy.Reset):
            stream = self._streams.get(event.stream)
            if stream is not None:
                stream.reset()
        elif isinstance(event, spdy.Ping) and event.number % 2:  # an even one would answer one of ours
            await self.send(spdy.pong(event.number))

    async def _open(self, event: spdy.Opened, opened: Callable[[Stream], bool]) -> None:
        if event.stream <= self._highest or event.stream % 2 == 0:
            raise spdy.BadFrame(f"stream {event.stream} after stream {self._highest}: a client's are odd and ascend")
        self._highest = event.stream
        stream = Stream(self, event.stream, event.headers)
        if len(self._streams) >= _MOST_STREAMS or not opened(stream):
            await self.send(spdy.reset(event.stream, _REFUSED))
            return
        self._streams[event.stream] = stream
        if event.ended:
            stream.finish()
        await stream.reply()

    async def _put(self, stream: Stream, event: spdy.Data) -> None:
        while stream.waiting >= _MOST_WAITING or self._waiting >= _MOST_WAITING_IN_ALL:
            self._room.clear()
            await self._room.wait()
        before = stream.waiting
        stream.put(event.data)
        self._waiting += stream.waiting - before
        if event.ended:
            stream.finish()
