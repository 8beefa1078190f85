"""The HTTPS listener against clients that send too much, too slowly or too often."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import SystemClock
from seatrial.cluster import pki
from seatrial.cluster.apiserver import http
from seatrial.cluster.apiserver.answer import Answer
from seatrial.cluster.apiserver.app import App
from seatrial.cluster.apiserver.auth.user import User

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from seatrial.kube.client.transport import Request


class Echo:
    """An API that answers with what it was asked."""

    async def handle(self, request: Request, user: User) -> Answer:
        size = len(request.body) if isinstance(request.body, bytes) else 0
        return Answer(object={"path": request.path, "user": user.name, "size": size, "query": len(request.query)})


class Tokens:
    def from_bearer(self, token: str) -> User | None:
        return User(token) if token.startswith("user-") else None

    def from_certificate(self, der: bytes) -> User | None:
        return None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    authority = pki.Authority.load_or_create(tmp_path, clock=SystemClock())
    authority.serving(["localhost", "127.0.0.1"])
    app: Any = App(Echo(), Tokens())  # type: ignore[arg-type]
    listener = http.listener(app, authority, SystemClock())
    socket = http.open_socket("127.0.0.1", 0)
    running = asyncio.create_task(listener.serve(sockets=[socket]))
    try:
        async with asyncio.timeout(5):
            while not listener.started:
                await asyncio.sleep(0.001)
        yield Server(socket.getsockname()[1], authority)
    finally:
        await listener.end()
        await running


class Server:
    def __init__(self, port: int, authority: pki.Authority) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=str(authority.ca_file))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
        try:
            async with asyncio.timeout(5):
                yield reader, writer
        finally:
            writer.transport.abort()

    async def ask(self, head: str, body: bytes = b"") -> bytes:
        """The whole answer to one request; the connection ends after it."""
        async with self.connection() as (reader, writer):
            writer.write(f"{head}\r\nHost: a\r\nConnection: close\r\n\r\n".encode() + body)
            return await reader.read()


def code(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, piece: bytes) -> bytes:
    """What the server says before it hangs up on an endless stream of pieces."""
    heard = asyncio.create_task(reader.read())
    try:
        while not heard.done():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    return await heard


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"a" * 65536),
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 65536),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 10_000),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=", b"a" * 65536),
    ],
    ids=["url", "header", "headers", "trailers", "chunk extension"],
)
async def test_a_head_without_end_is_cut_off(server: Server, start: bytes, piece: bytes) -> None:
    async with server.connection() as (reader, writer):
        writer.write(start)
        answer = await flood(reader, writer, piece)
    assert not answer or code(answer) == 431


async def test_a_request_that_never_ends_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_REQUEST_SECONDS", 0.05)
    for sent in (b"", b"GET /", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
        async with server.connection() as (reader, writer):
            writer.write(sent)
            assert await reader.read() == b""


async def test_the_deadline_ends_with_the_request(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_REQUEST_SECONDS", 0.05)
    async with server.connection() as (reader, writer):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert code(await reader.readuntil(b"}")) == 200
            await asyncio.sleep(0.1)  # idle between requests for longer than one may take


async def test_a_large_body_is_no_large_head(server: Server) -> None:
    answer = await server.ask("POST / HTTP/1.1\r\nContent-Length: 2000000", bytes(2_000_000))
    assert code(answer) == 200
    assert b'"size":2000000' in answer


async def test_too_many_parameters_are_a_bad_request(server: Server) -> None:
    query = "&".join("a=1" for _ in range(1001))
    assert code(await server.ask(f"GET /?{query} HTTP/1.1")) == 400


@pytest.mark.parametrize("second", ["user-b", "nobody"])
async def test_two_authorizations_are_none(server: Server, second: str) -> None:
    head = f"GET / HTTP/1.1\r\nAuthorization: Bearer user-a\r\nAuthorization: Bearer {second}"
    assert code(await server.ask(head)) == 401
