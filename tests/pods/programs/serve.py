"""A web server as one should be: at SIGTERM it finishes what it has, and tells kept-alive clients to go elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

LINGER = 6.0
"""Seconds for which connections that were kept alive may bring one more request."""


class Server:
    def __init__(self) -> None:
        self.draining = False
        self.open: set[asyncio.StreamWriter] = set()
        self.answered = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.005)
        keep = not self.draining and b"connection: close" not in head.lower()
        body = f"{os.uname().nodename}\n".encode()
        kept = b"keep-alive" if keep else b"close"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s" % (kept, len(body), body))
        await writer.drain()
        self.answered += 1
        return keep


async def main() -> None:
    server, told = Server(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    listening = await asyncio.start_server(server.serve, "0.0.0.0", int(sys.argv[1]), backlog=1024)
    await told.wait()
    listening.close()
    server.draining = True
    deadline = asyncio.get_running_loop().time() + LINGER
    while server.open and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    print(f"answered {server.answered}, cut off {len(server.open)}", flush=True)


asyncio.run(main())
