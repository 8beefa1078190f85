"""SPDY frames as clients send them, and as nobody should."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cluster.node.server.client import Client

from seatrial.cluster.node.server import spdy


def test_streams_open_with_headers_and_carry_data_to_their_end() -> None:
    client, connection = Client(), spdy.Connection()
    sent = (
        client.open(1, streamType="data", port="80") + client.open(3, streamtype="error") + spdy.data(1, b"x", end=True)
    )
    assert list(connection.receive(sent)) == [
        spdy.Opened(1, {"streamtype": "data", "port": "80"}, ended=False),
        spdy.Opened(3, {"streamtype": "error"}, ended=False),
        spdy.Data(1, b"x", ended=True),
    ]


def test_frames_may_arrive_byte_by_byte() -> None:
    connection = spdy.Connection()
    sent = Client().open(1, a="b") + spdy.data(1, b"hello")
    found = [event for byte in sent for event in connection.receive(bytes([byte]))]
    assert found == [spdy.Opened(1, {"a": "b"}, ended=False), spdy.Data(1, b"hello", ended=False)]


def test_headers_of_frames_that_mean_nothing_do_not_spoil_later_ones() -> None:
    client, connection = Client(), spdy.Connection()
    sent = client.headers(1, a="b") + client.open(3, a="b")
    assert list(connection.receive(sent)) == [spdy.Opened(3, {"a": "b"}, ended=False)]


def test_pings_resets_and_goodbyes() -> None:
    connection = spdy.Connection()
    window = struct.pack("!HHIII", 0x8003, 9, 8, 1, 65536)
    goodbye = struct.pack("!HHIII", 0x8003, 7, 8, 0, 0)
    found = list(connection.receive(spdy.pong(5) + spdy.reset(7) + window + goodbye))
    assert found == [spdy.Ping(5), spdy.Reset(7), spdy.Closing()]


def test_a_reply_can_be_read_by_the_client() -> None:
    frame = spdy.Connection().reply(1)
    assert struct.unpack_from("!HHII", frame) == (0x8003, 2, len(frame) - 8, 1)
    assert zlib.decompressobj(zdict=spdy.DICTIONARY).decompress(frame[12:]) == bytes(4)


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack("!HHI", 0x8002, 1, 0),
        struct.pack("!HHI", 0x8003, 1, 3) + b"abc",
        struct.pack("!HHI", 0x8003, 6, 0),
        struct.pack("!HHIIIH", 0x8003, 1, 14, 1, 0, 0) + b"nozl",
    ],
    ids=["another version", "too short", "an empty ping", "headers that are not compressed"],
)
def test_what_cannot_be_read_is_refused(frame: bytes) -> None:
    with pytest.raises(spdy.BadFrame):
        list(spdy.Connection().receive(frame))


def test_headers_that_unpack_to_very_much_are_refused() -> None:
    bomb = Client().open(1, a="x" * 10_000_000)
    assert len(bomb) < 20_000
    with pytest.raises(spdy.BadFrame, match="more than"):
        list(spdy.Connection().receive(bomb))


def test_more_headers_promised_than_sent_are_refused() -> None:
    with pytest.raises(spdy.BadFrame, match="end in the middle"):
        list(spdy.Connection().receive(Client().block(1, struct.pack("!II", 0xFFFFFFFF, 0xFFFFFFFF))))


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_be_refused(data: bytes) -> None:
    connection = spdy.Connection()
    try:
        for _ in connection.receive(data):
            pass
    except spdy.BadFrame:
        pass
