"""The consumer's own HTTP port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from backing import free_port
from testops_consumer.probes import Probes

from .conftest import asked


async def good() -> None:
    return None


async def bad() -> str:
    return "the shelf is empty"


async def broken() -> None:
    raise ConnectionError("nobody there\nsecond line")


async def hanging() -> None:
    await asyncio.sleep(60)


@contextlib.asynccontextmanager
async def serving(**checks):
    port = free_port()
    probes = Probes(port, checks)
    await probes.start()
    try:
        yield port
    finally:
        await probes.close()


async def test_alive_whatever_is_missing():
    async with serving(database=broken) as port:
        assert await asked(port, "/health") == (200, '{"status": "alive"}\n')


async def test_ready_when_everything_is():
    async with serving(database=good, kafka=good) as port:
        status, body = await asked(port, "/ready?x")
    assert (status, json.loads(body)) == (200, {"status": "ready", "database": "ok", "kafka": "ok"})


@pytest.mark.parametrize(
    ("check", "told"),
    [(bad, "the shelf is empty"), (broken, "ConnectionError: nobody there"), (hanging, "no answer within 1 s")],
)
async def test_not_ready_tells_what_is_missing(check, told):
    async with serving(database=good, kafka=check) as port:
        status, body = await asked(port, "/ready")
    assert (status, json.loads(body)) == (503, {"status": "not ready", "database": "ok", "kafka": told})


async def test_metrics_are_in_the_exposition_format():
    async with serving() as port:
        status, body = await asked(port, "/metrics")
    assert status == 200
    assert "# TYPE ai_testops_cases_in_flight gauge" in body


async def test_anything_else_is_refused():
    async with serving() as port:
        assert (await asked(port, "/secret"))[0] == 404
        assert b" 405 " in await _raw(port, b"POST /health HTTP/1.1\r\n\r\n")
        head = await _raw(port, b"HEAD /health HTTP/1.1\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("junk", [b"\r\n\r\n", b"x" * 20_000, b"", b"GET /health"])
async def test_junk_gets_no_answer_and_harms_nobody(junk):
    async with serving() as port:
        assert await _raw(port, junk) == b""
        assert (await asked(port, "/health"))[0] == 200


async def _raw(port: int, data: bytes) -> bytes:
    def talk() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
            stream.sendall(data)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := stream.recv(65536):
                    answer += part
            return answer

    return await asyncio.to_thread(talk)
