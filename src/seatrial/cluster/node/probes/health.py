"""`grpc.health.v1.Health/Check`, asked over a fresh plaintext connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.events
import h2.exceptions

if TYPE_CHECKING:
    from collections.abc import Iterable

_SERVING = 1
_NAMES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_READ_BYTES = 64 * 1024
_MOST_BYTES = 64 * 1024


async def check(host: str, port: int, service: str, agent: str) -> tuple[bool, str]:
    """Whether it serves, and what it said. Raises OSError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return await _Call(reader, writer, agent).check(f"{host}:{port}", service)
    except h2.exceptions.ProtocolError as error:
        return False, f"error: it does not speak HTTP/2: {error}"
    finally:
        writer.close()


class _Call:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str) -> None:
        self._reader = reader
        self._writer = writer
        self._agent = agent
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._ended = False

    async def check(self, authority: str, service: str) -> tuple[bool, str]:
        http = self._http
        http.initiate_connection()
        stream = http.get_next_available_stream_id()
        sent = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", self._agent),
        )
        http.send_headers(stream, list(sent))
        name = service.encode()
        message = (b"\x0a" + _varint(len(name)) + name) if name else b""
        http.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
        while not self._ended:
            self._writer.write(http.data_to_send())
            data = await self._reader.read(_READ_BYTES)
            if not data:
                return False, "error: connection closed before an answer"
            self._take(http.receive_data(data))
        return self._verdict()

    def _take(self, events: Iterable[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                self._headers |= {str(name): str(value) for name, value in event.headers or ()}
            elif isinstance(event, h2.events.DataReceived):
                self._body += event.data or b""
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                self._ended = True
        self._ended = self._ended or len(self._body) > _MOST_BYTES

    def _verdict(self) -> tuple[bool, str]:
        code = self._headers.get("grpc-status", "")
        if code == "12":
            return False, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
        if not code:
            return False, "error: health rpc failed: the answer broke off"
        if code != "0":
            said = unquote(self._headers.get("grpc-message", ""))
            return False, f"error: health rpc failed: rpc error: code = {code} desc = {said}"
        if self._headers.get(":status") != "200":
            return False, f"error: health rpc failed: HTTP status {self._headers.get(':status', 'none')}"
        status = _status(bytes(self._body))
        if status == _SERVING:
            return True, ""
        return False, f'service unhealthy (responded with "{_NAMES.get(status, status)}")'


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _status(body: bytes) -> int:
    """Field 1 of HealthCheckResponse; 0 is not sent."""
    message = body[5:]
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0
