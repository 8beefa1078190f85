"""Many streams on one connection: each at its own pace, none without a bound."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

import pytest
from tests.unit.cluster.node.server.client import Client

from seatrial.cluster.node.server import spdy
from seatrial.cluster.node.server.multiplex import Multiplexer, Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PIECE = bytes(64 * 1024)


class Wire:
    """What the client sends is what a test puts; what it was sent is kept."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.sent: list[bytes] = []

    async def received(self) -> AsyncIterator[bytes]:
        while data := await self.queue.get():
            yield data

    async def send(self, data: bytes) -> None:
        self.sent.append(data)


class Scene:
    def __init__(self) -> None:
        self.wire, self.client = Wire(), Client()
        self.streams: list[Stream] = []
        self.wanted = True
        self.work = asyncio.create_task(Multiplexer(self.wire).run(self._opened))

    def _opened(self, stream: Stream) -> bool:
        self.streams.append(stream)
        return self.wanted

    def put(self, data: bytes) -> None:
        self.wire.queue.put_nowait(data)

    async def turn(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.work.cancel()
    await asyncio.gather(scene.work, return_exceptions=True)


def _kinds(sent: list[bytes]) -> Iterator[int]:
    for frame in sent:
        first, kind = struct.unpack_from("!HH", frame)
        if first & 0x8000:
            yield kind


async def test_a_stream_is_read_to_its_end(scene: Scene) -> None:
    scene.put(scene.client.open(1) + spdy.data(1, b"a") + spdy.data(1, b"b", end=True))
    await scene.turn()
    (stream,) = scene.streams
    assert [await stream.read(), await stream.read(), await stream.read()] == [b"a", b"b", b""]
    assert list(_kinds(scene.wire.sent)) == [2]


async def test_a_slow_reader_is_waited_for_and_nothing_more_is_taken(scene: Scene) -> None:
    scene.put(scene.client.open(1))
    for _ in range(100):
        scene.put(spdy.data(1, PIECE))
    await scene.turn()
    assert scene.wire.queue.qsize() > 80
    taken = 0
    while taken < 100 * len(PIECE):
        taken += len(await scene.streams[0].read())
    assert scene.wire.queue.empty()


async def test_a_slow_reader_does_not_hold_up_another_at_once(scene: Scene) -> None:
    scene.put(scene.client.open(1) + scene.client.open(3) + spdy.data(1, PIECE) + spdy.data(3, b"quick"))
    await scene.turn()
    assert await scene.streams[1].read() == b"quick"


async def test_all_streams_together_are_bounded(scene: Scene) -> None:
    for number in range(1, 401, 2):
        scene.put(scene.client.open(number))
        for _ in range(4):
            scene.put(spdy.data(number, PIECE))
    for _ in range(20):
        await scene.turn()
    assert sum(stream.waiting for stream in scene.streams) <= 17 * 1024 * 1024
    for stream in scene.streams[:50]:
        stream.forget()
    before = len(scene.streams)
    for _ in range(5):
        await scene.turn()
    assert len(scene.streams) > before


async def test_a_forgotten_stream_holds_nothing_up(scene: Scene) -> None:
    scene.put(scene.client.open(1))
    for _ in range(30):
        scene.put(spdy.data(1, PIECE))
    await scene.turn()
    scene.streams[0].forget()
    scene.put(scene.client.open(3) + spdy.data(3, b"x"))
    await scene.turn()
    assert scene.streams[0].waiting == 0
    assert await scene.streams[1].read() == b"x"


async def test_an_unwanted_stream_is_refused(scene: Scene) -> None:
    scene.wanted = False
    scene.put(scene.client.open(1))
    await scene.turn()
    assert list(_kinds(scene.wire.sent)) == [3]


async def test_a_stream_that_is_reset_ends(scene: Scene) -> None:
    scene.put(scene.client.open(1) + spdy.reset(1))
    await scene.turn()
    (stream,) = scene.streams
    assert await stream.read() == b"" and stream.was_reset.is_set()
    await stream.write(b"unheard")
    assert list(_kinds(scene.wire.sent)) == [2]


@pytest.mark.parametrize("numbers", [(1, 1), (3, 1), (2,)])
async def test_streams_are_odd_and_ascend(scene: Scene, numbers: tuple[int, ...]) -> None:
    scene.put(b"".join(scene.client.open(number) for number in numbers))
    await asyncio.wait_for(scene.work, 5)


async def test_the_client_s_end_is_every_stream_s(scene: Scene) -> None:
    scene.put(scene.client.open(1))
    scene.put(b"")
    await asyncio.wait_for(scene.work, 5)
    assert await scene.streams[0].read() == b""


async def test_a_ping_is_answered(scene: Scene) -> None:
    scene.put(spdy.pong(1) + spdy.pong(2))
    await scene.turn()
    assert scene.wire.sent == [spdy.pong(1)]
