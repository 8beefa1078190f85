"""Every child of the node's pid 1: started here, reaped here, its end told to whoever watches.

As pid 1 the node inherits every orphan of every container, so one `waitpid(-1)` takes them all. Nothing else in the
node may wait for a child (asyncio's and the library's `subprocess` would): its status would end up here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UNCLAIMED = 1024
"""Ends of processes that nobody watched (yet); the oldest are forgotten."""
MAX_OUTPUT = 64 * 1024
_BLOCK = 64 * 1024
_DEFAULT_SIGNALS = tuple(
    number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33)
)


@dataclass(frozen=True, slots=True)
class Completed:
    code: int
    """128 + n for an end by signal n."""
    output: bytes
    """stdout and stderr, at most MAX_OUTPUT bytes."""


@dataclass(frozen=True, slots=True)
class End:
    code: int
    signal: int


class Processes:
    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(
            environment or {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        )
        self._watchers: dict[int, Callable[[End], None]] = {}
        self._unclaimed: OrderedDict[int, tuple[int, End]] = OrderedDict()
        self._reaped = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """From now on the running loop reaps."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)
        self._reap()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGCHLD)
            self._loop = None

    def mark(self) -> int:
        """A point in time for `watch`."""
        return self._reaped

    def watch(self, pid: int, callback: Callable[[End], None], *, since: int) -> None:
        """Call back once when `pid` ends, also if that was after `since` already (then at the loop's next turn)."""
        found = self._unclaimed.get(pid)
        if found is not None and found[0] > since:
            del self._unclaimed[pid]
            asyncio.get_running_loop().call_soon(callback, found[1])
        else:
            self._watchers[pid] = callback

    def ended(self, pid: int, *, since: int) -> asyncio.Future[End]:
        """`watch` as a future."""
        future: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.watch(pid, lambda end: None if future.done() else future.set_result(end), since=since)
        return future

    def spawn(self, arguments: Sequence[str], descriptors: Mapping[int, int] | None = None) -> int:
        """Start a program (an absolute path) with these descriptors (child's number: ours); stdin, stdout and stderr
        that are not among them are /dev/null. Raises OSError.
        """
        given = {0: -1, 1: -1, 2: -1, **(descriptors or {})}
        actions: list[tuple[int, int, str, int, int] | tuple[int, int, int]] = []
        for target, source in given.items():
            if source >= 0:
                actions.append((os.POSIX_SPAWN_DUP2, source, target))
            else:
                actions.append((os.POSIX_SPAWN_OPEN, target, "/dev/null", os.O_RDWR, 0))
        return os.posix_spawn(
            arguments[0],
            list(arguments),
            self._environment,
            file_actions=actions,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )

    async def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: float,
        stdin: bytes | None = None,
        descriptors: Mapping[int, int] | None = None,
    ) -> Completed:
        """Run a program to its end. Raises OSError, TimeoutError (then it was killed)."""
        read, write = os.pipe()
        try:
            source = _file_with(stdin) if stdin is not None else -1
            try:
                mark = self.mark()
                pid = self.spawn(arguments, {0: source, 1: write, 2: write, **(descriptors or {})})
            finally:
                if source >= 0:
                    os.close(source)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        return await self._finish(pid, mark, read, timeout)

    async def _finish(self, pid: int, mark: int, read: int, timeout: float) -> Completed:
        output = bytearray()
        loop = asyncio.get_running_loop()
        os.set_blocking(read, False)
        loop.add_reader(read, _collect, read, output, loop)
        ended = self.ended(pid, since=mark)
        try:
            async with asyncio.timeout(timeout):
                end = await asyncio.shield(ended)
        except (TimeoutError, asyncio.CancelledError):
            os.kill(pid, signal.SIGKILL)
            await ended
            raise
        finally:
            # What it wrote before its end is in the pipe; a grandchild that holds the pipe open is not waited for.
            _collect(read, output, loop)
            loop.remove_reader(read)
            os.close(read)
        return Completed(end.code, bytes(output))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reaped += 1
            end = _end(status)
            watcher = self._watchers.pop(pid, None)
            if watcher is not None:
                watcher(end)
                continue
            self._unclaimed[pid] = (self._reaped, end)
            self._unclaimed.move_to_end(pid)
            if len(self._unclaimed) > UNCLAIMED:
                self._unclaimed.popitem(last=False)


def _end(status: int) -> End:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return End(128 + number, number)
    return End(os.WEXITSTATUS(status), 0)


def _collect(descriptor: int, output: bytearray, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            block = os.read(descriptor, _BLOCK)
        except BlockingIOError:
            return
        if not block:
            loop.remove_reader(descriptor)
            return
        output += block[: max(0, MAX_OUTPUT - len(output))]


def _file_with(content: bytes) -> int:
    """Something to read from that needs nobody to write."""
    descriptor = os.memfd_create("stdin")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
