"""SPDY/3.1 frames, as far as Kubernetes uses them: streams with headers, both ways.

Bytes in, events out; the caller moves the bytes. What a client sends is bounded. Clients of Kubernetes neither send nor
heed WINDOW_UPDATE (nor SETTINGS): such frames are read and mean nothing here; who is slow is waited for (`multiplex`).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CONTROL = 0x8000
_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_BEFORE_HEADERS = {_SYN_STREAM: 10, _SYN_REPLY: 4, _HEADERS: 4}
_SHORTEST = {**_BEFORE_HEADERS, _RST_STREAM: 8, _PING: 4, _GOAWAY: 8}
_FIN = 0x01
_MOST_FRAME = 16 * 1024 * 1024
_MOST_HEADERS = 64 * 1024
_STREAM = 0x7FFFFFFF

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE_WORDS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack("!I", len(w)) + w.encode() for w in (*_WORDS.split(), *_MORE_WORDS)) + _TAIL.encode()
"""What both sides' header compression starts from (SPDY/3, section 2.6.10.1)."""


class BadFrame(Terminal):
    reason = "BadFrame"


@dataclass(frozen=True, slots=True)
class Opened:
    stream: int
    headers: Mapping[str, str]
    ended: bool


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    data: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


@dataclass(frozen=True, slots=True)
class Closing:
    """The other side opens no more streams."""


Event = Opened | Data | Reset | Ping | Closing


class Connection:
    """The server's side of one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def receive(self, data: bytes) -> Iterator[Event]:
        """Raises BadFrame."""
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if length > _MOST_FRAME:
                raise BadFrame(f"a frame of {length} bytes; at most {_MOST_FRAME} are taken")
            if len(self._buffer) < 8 + length:
                return
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if first >> 16 & _CONTROL:
                event = self._control(first >> 16 & 0x7FFF, first & 0xFFFF, flags, body)
                if event is not None:
                    yield event
            else:
                yield Data(first & _STREAM, body, bool(flags & _FIN))

    def _control(self, version: int, kind: int, flags: int, body: bytes) -> Event | None:
        if version != _VERSION:
            raise BadFrame(f"version {version} of SPDY; only {_VERSION} is spoken here")
        if len(body) < _SHORTEST.get(kind, 0):
            raise BadFrame(f"a frame of kind {kind} in {len(body)} bytes; it has at least {_SHORTEST[kind]}")
        if kind in _BEFORE_HEADERS:
            # Headers of every kind share one compression: none may be skipped.
            headers = self._headers(body[_BEFORE_HEADERS[kind] :])
            return Opened(_number(body) & _STREAM, headers, bool(flags & _FIN)) if kind == _SYN_STREAM else None
        if kind == _RST_STREAM:
            return Reset(_number(body) & _STREAM)
        if kind == _PING:
            return Ping(_number(body))
        return Closing() if kind == _GOAWAY else None

    def _headers(self, block: bytes) -> Mapping[str, str]:
        try:
            data = self._inflate.decompress(block, _MOST_HEADERS)
        except zlib.error as error:
            raise BadFrame(f"headers that cannot be read: {error}") from None
        if self._inflate.unconsumed_tail:
            raise BadFrame(f"headers of more than {_MOST_HEADERS} bytes")
        found: dict[str, str] = {}
        try:
            count, at = _number(data), 4
            for _ in range(count):
                name, at = _text(data, at)
                found[name.lower()], at = _text(data, at)
        except struct.error:
            raise BadFrame("headers that end in the middle") from None
        return found

    def reply(self, stream: int) -> bytes:
        block = self._deflate.compress(struct.pack("!I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_SYN_REPLY, 0, struct.pack("!I", stream) + block)


def data(stream: int, data: bytes, *, end: bool = False) -> bytes:
    return struct.pack("!II", stream, (_FIN if end else 0) << 24 | len(data)) + data


def reset(stream: int, status: int = 5) -> bytes:
    """`status` 5: cancelled."""
    return _frame(_RST_STREAM, 0, struct.pack("!II", stream, status))


def pong(number: int) -> bytes:
    return _frame(_PING, 0, struct.pack("!I", number))


def _frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("!HHI", _CONTROL | _VERSION, kind, flags << 24 | len(body)) + body


def _number(data: bytes, at: int = 0) -> int:
    return int(struct.unpack_from("!I", data, at)[0])


def _text(data: bytes, at: int) -> tuple[str, int]:
    length = _number(data, at)
    if length > len(data) - at - 4:
        raise struct.error
    end = at + 4 + length
    return data[at + 4 : end].decode("latin-1"), end
