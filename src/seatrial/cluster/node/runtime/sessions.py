"""What somebody sees of an exec or an attach: output on its way to them, their input on its way in."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from seatrial.cluster.node.runtime.streams import Reader, Writer

StreamName = Literal["stdout", "stderr"]

ENOUGH = 1024 * 1024
"""Bytes that wait for the one who talks: an exec is not read on, an attach is let go."""


class Outlet:
    """A queue of output. `full` hears True when ENOUGH waits, and False when all of that was taken."""

    def __init__(self, streams: set[StreamName], full: Callable[[bool], None]) -> None:
        self._open = set(streams)
        self._blocks: deque[tuple[StreamName, bytes]] = deque()
        self._waiting = 0
        self._is_full = False
        self._full = full
        self._news = asyncio.Event()

    def put(self, stream: StreamName, block: bytes) -> None:
        """b"" ends a stream."""
        if stream not in self._open:
            return
        if block:
            self._blocks.append((stream, block))
            self._waiting += len(block)
        else:
            self._open.discard(stream)
        self._news.set()
        if self._waiting >= ENOUGH and not self._is_full:
            self._is_full = True
            self._full(True)

    def end(self) -> None:
        for stream in list(self._open):
            self.put(stream, b"")

    async def blocks(self) -> AsyncIterator[tuple[StreamName, bytes]]:
        while True:
            while self._blocks:
                stream, block = self._blocks.popleft()
                self._waiting -= len(block)
                yield stream, block
            if self._is_full:
                self._is_full = False
                self._full(False)
            if not self._open:
                return
            self._news.clear()
            await self._news.wait()


class ExecSession:
    def __init__(self, stdin: Writer | None, terminal: Writer | None, kill: Callable[[], None]) -> None:
        self._stdin = stdin
        self._terminal = terminal
        self._kill = kill
        self._readers: list[Reader] = []
        self._outlet = Outlet({"stdout"} if terminal else {"stdout", "stderr"}, self._hold)
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def sink(self, stream: StreamName) -> Callable[[bytes], None]:
        return lambda block: self._outlet.put(stream, block)

    def reads(self, readers: list[Reader]) -> None:
        self._readers = readers

    def ended(self, code: int) -> None:
        for reader in self._readers:
            reader.finish()
        self._outlet.end()
        self._shut()
        if not self._exit.done():
            self._exit.set_result(code)

    async def write(self, data: bytes) -> None:
        target = self._terminal if self._terminal is not None and self._stdin is not None else self._stdin
        if target is None:
            raise BrokenPipeError
        await target.write(data)

    async def close_stdin(self) -> None:
        if self._stdin is not None and self._stdin is not self._terminal:
            self._stdin.close()

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal is not None:
            self._terminal.resize(columns, rows)

    def output(self) -> AsyncIterator[tuple[StreamName, bytes]]:
        return self._outlet.blocks()

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    async def close(self) -> None:
        if not self._exit.done():
            self._kill()
            await asyncio.shield(self._exit)

    def _hold(self, full: bool) -> None:
        for reader in self._readers:
            reader.pause() if full else reader.resume()

    def _shut(self) -> None:
        for writer in (self._stdin, self._terminal):
            if writer is not None:
                writer.close()


class AttachSession:
    """The container is not its own: it neither ends it nor, by reading slowly, halts it."""

    def __init__(
        self,
        stdin: Writer | None,
        terminal: Writer | None,
        exit_code: asyncio.Future[int],
        leave: Callable[[AttachSession], None],
        release: Callable[[], None],
    ) -> None:
        self._stdin = stdin
        self._terminal = terminal
        self._exit = exit_code
        self._leave = leave
        self._release = release
        self.outlet = Outlet({"stdout"} if terminal else {"stdout", "stderr"}, self._too_slow)

    async def write(self, data: bytes) -> None:
        if self._stdin is None:
            raise BrokenPipeError
        await self._stdin.write(data)

    async def close_stdin(self) -> None:
        if self._stdin is not None:
            self._stdin = None
            self._release()

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal is not None:
            self._terminal.resize(columns, rows)

    def output(self) -> AsyncIterator[tuple[StreamName, bytes]]:
        return self.outlet.blocks()

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    async def close(self) -> None:
        await self.close_stdin()
        self._leave(self)
        self.outlet.end()

    def _too_slow(self, full: bool) -> None:
        if full:
            self.outlet.end()
