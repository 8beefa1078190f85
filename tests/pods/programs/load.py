"""Requests at a steady rate, half over connections that are kept, half over fresh ones; at SIGTERM what became of them.

load.py HOST PORT RATE [NAME [PATH]]      NAME: what to ask for (the Host header)
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

KEPT = 10
PATIENCE = 10.0


class Load:
    def __init__(self, host: str, port: int, name: str, path: str) -> None:
        self.host, self.port, self.name, self.path = host, port, name, path
        self.asked = 0
        self.failures: list[str] = []
        self.took: list[float] = []
        self.pods: set[str] = set()
        self.idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.Queue()
        for _ in range(KEPT):
            self.idle.put_nowait(None)

    async def ask(self, *, keep: bool) -> None:
        self.asked += 1
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await (self._kept() if keep else self._fresh())
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            kind = "kept" if keep else "fresh"
            self.failures.append(f"{time.time():.3f} {kind} {type(error).__name__}: {error}")
        else:
            self.took.append(time.monotonic() - begun)

    async def _fresh(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            await self._exchange(reader, writer, "close")
        finally:
            writer.close()

    async def _kept(self) -> None:
        connection = await self.idle.get()
        again = None
        try:
            if connection is None:
                connection = await asyncio.open_connection(self.host, self.port)
            if await self._exchange(*connection, "keep-alive"):
                again = connection
        finally:
            if again is None and connection is not None:
                connection[1].close()
            self.idle.put_nowait(again)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: str) -> bool:
        """Whether the connection may be used again."""
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: {self.name}\r\nConnection: {kept}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = head.split(" ", 2)[1]
        fields = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
        if fields.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(fields.get("content-length", "0")))
        if status != "200":
            raise ValueError(f"status {status}: {body[:80]!r}")
        self.pods.add(body.decode().strip())
        return fields.get("connection") != "close"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


async def main() -> None:
    host, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    name, path = (*sys.argv[4:], *(host, "/")[len(sys.argv[4:]) :])
    load, told = Load(host, port, name, path), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    asking: set[asyncio.Task[None]] = set()
    begun, number = time.monotonic(), 0
    print("begun", flush=True)
    while not told.is_set():
        task = asyncio.create_task(load.ask(keep=number % 2 == 0))
        asking.add(task)
        task.add_done_callback(asking.discard)
        number += 1
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
    await asyncio.gather(*asking)
    took = sorted(load.took) or [0.0]
    result = {
        "asked": load.asked,
        "failed": len(load.failures),
        "failures": load.failures[:20],
        "seconds": round(time.monotonic() - begun, 1),
        "p50": took[len(took) // 2],
        "p99": took[len(took) * 99 // 100],
        "pods": len(load.pods),
    }
    print(json.dumps(result), flush=True)


asyncio.run(main())
