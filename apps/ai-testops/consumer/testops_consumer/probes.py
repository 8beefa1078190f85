"""`/health` (the process works), `/ready` (database and broker answer, the group is joined) and `/metrics`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATIENCE = 1.0  # for a check, and for a client to say what it wants
LONGEST_REQUEST = 8 * 1024


class Probes:
    def __init__(self, port: int, checks: dict[str, Callable[[], Awaitable[str | None]]]) -> None:
        self._port = port
        self._checks = checks
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "0.0.0.0", self._port, limit=LONGEST_REQUEST)

    async def close(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
            method, path = head.split(b" ", 2)[:2]
            status, kind, body = await self._answer(method, path.partition(b"?")[0])
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + (b"" if method == b"HEAD" else body)
            )
            await writer.drain()
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # not a client of ours
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, method: bytes, path: bytes) -> tuple[str, str, bytes]:
        if method not in {b"GET", b"HEAD"}:
            return "405 Method Not Allowed", "text/plain", b"GET was expected\n"
        match path:
            case b"/health":
                return "200 OK", "application/json", _json({"status": "alive"})
            case b"/ready":
                return await self._ready()
            case b"/metrics":
                return "200 OK", CONTENT_TYPE_LATEST, generate_latest()
        return "404 Not Found", "text/plain", b"/health, /ready and /metrics are here\n"

    async def _ready(self) -> tuple[str, str, bytes]:
        found = await asyncio.gather(*(_explain(check) for check in self._checks.values()))
        state = dict(zip(self._checks, found, strict=True))
        if all(value == "ok" for value in found):
            return "200 OK", "application/json", _json({"status": "ready", **state})
        return "503 Service Unavailable", "application/json", _json({"status": "not ready", **state})


async def _explain(check: Callable[[], Awaitable[str | None]]) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            return await check() or "ok"
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except Exception as error:  # whatever is wrong, the answer is "not ready"
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _json(value: dict) -> bytes:
    return json.dumps(value).encode() + b"\n"
