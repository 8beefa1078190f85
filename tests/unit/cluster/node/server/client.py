"""A client's side of SPDY, as much as tests need."""

from __future__ import annotations

import struct
import zlib

from seatrial.cluster.node.server import spdy


class Client:
    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)

    def open(self, stream: int, **headers: str) -> bytes:
        return self.block(stream, _plain(headers))

    def block(self, stream: int, plain: bytes) -> bytes:
        return self._frame(1, struct.pack("!IIH", stream, 0, 0), plain)

    def headers(self, stream: int, **headers: str) -> bytes:
        return self._frame(8, struct.pack("!I", stream), _plain(headers))

    def _frame(self, kind: int, head: bytes, plain: bytes) -> bytes:
        body = head + self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack("!HHI", 0x8003, kind, len(body)) + body


def _plain(headers: dict[str, str]) -> bytes:
    words = (word.encode() for pair in headers.items() for word in pair)
    return struct.pack("!I", len(headers)) + b"".join(struct.pack("!I", len(word)) + word for word in words)
