"""A minimal HTTPS client: one kept-alive connection, so that the server is what is measured."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class Target:
    url: str
    ca: Path
    token: str


class Connection:
    def __init__(self, target: Target) -> None:
        self._target = target
        parts = urlsplit(target.url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._head = f"Host: {self._host}\r\nAuthorization: Bearer {target.token}\r\n"

    async def open(self) -> Connection:
        context = ssl.create_default_context(cafile=str(self._target.ca))
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=context, limit=1 << 26)
        return self

    def close(self) -> None:
        self._writer.close()

    async def request(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        about = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{about}\r\n".encode() + body)
        status, headers = await self._read_head()
        data = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return status, data

    async def watch(self, path: str) -> AsyncIterator[bytes]:
        """Lines of a watch, as they come."""
        self._writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
        status, _headers = await self._read_head()
        if status != 200:
            raise RuntimeError(f"watch {path}: {status}")
        rest = b""
        while True:
            size = int(await self._reader.readline() or b"0", 16)
            if size == 0:
                return
            chunk = await self._reader.readexactly(size)
            await self._reader.readexactly(2)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line

    async def _read_head(self) -> tuple[int, dict[str, str]]:
        raw = await self._reader.readuntil(b"\r\n\r\n")
        first, *rest = raw.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        return int(first.split()[1]), headers
