"""Pipes and terminals on the loop: read by blocks, written with patience, and the socket a terminal arrives by."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = 64 * 1024


class Reader:
    """Hands every block that arrives at `descriptor` to `sink`, and b"" at its end. Owns the descriptor."""

    def __init__(self, descriptor: int, sink: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._paused = True
        self.ended = False
        os.set_blocking(descriptor, False)
        self.resume()

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        if self._paused and not self.ended:
            self._paused = False
            self._loop.add_reader(self._descriptor, self._ready)

    def finish(self) -> None:
        """Whoever wrote is gone: take what is still there, and end."""
        while not self.ended and self._ready():
            pass
        self._end()

    def _ready(self) -> bool:
        try:
            block = os.read(self._descriptor, BLOCK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal open any more
            block = b""
        if block:
            self._sink(block)
        else:
            self._end()
        return bool(block)

    def _end(self) -> None:
        if not self.ended:
            self.pause()
            self.ended = True
            os.close(self._descriptor)
            self._sink(b"")


class Writer:
    """Owns the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None
        os.set_blocking(descriptor, False)

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError."""
        async with self._lock:
            view = memoryview(data)
            while view:
                if self._descriptor < 0:
                    raise BrokenPipeError
                try:
                    view = view[os.write(self._descriptor, view) :]
                except BlockingIOError:
                    await self._writable()
                except OSError as error:  # EIO of a terminal nobody has open
                    raise BrokenPipeError from error

    def close(self) -> None:
        if self._descriptor >= 0:
            # A waiting `write` wakes to find it closed.
            asyncio.get_running_loop().remove_writer(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._wake()

    def resize(self, columns: int, rows: int) -> None:
        """Of the terminal it writes to."""
        size = struct.pack("HHHH", max(0, min(rows, 0xFFFF)), max(0, min(columns, 0xFFFF)), 0, 0)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, size)

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        loop.add_writer(self._descriptor, self._wake)
        try:
            await self._waiter
        finally:
            if self._descriptor >= 0:
                loop.remove_writer(self._descriptor)
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ConsoleSocket:
    """Where the OCI runtime sends the terminal it made (`--console-socket`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._socket.listen(1)

    def take(self) -> int:
        """The terminal, once the OCI runtime has ended. Raises OSError."""
        connection, _ = self._socket.accept()
        with connection:
            room = array.array("i", [0])
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(room.itemsize), socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                room = array.array("i", data[: room.itemsize])
                return room[0]
        raise OSError("the OCI runtime sent no terminal")

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)
