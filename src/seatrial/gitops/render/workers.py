"""Workers: the few processes that render. Made when needed, used again, ended when idle, killed when out of bounds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pickle
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

import seatrial
from seatrial.base.tasks import TaskGroup
from seatrial.gitops.render.request import RenderFailed
from seatrial.gitops.render.scratch import Scratch, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from seatrial.base.clock import Clock
    from seatrial.gitops.render.job import Job

LONGEST_RENDER = 90.0
"""Seconds, as Argo CD gives its tools."""
MEMORY = 1 << 30
"""Bytes one worker may fill: ten times what the largest charts take."""
_IDLE_SECONDS = 30.0
_MOST_JOBS = 2000
"""Of one worker: so that what a library leaks, if it does, is given back."""
_LARGEST_ANSWER = 256 << 20
_HEADER = 8
_LARGE = 1 << 18
"""Bytes that take more than a millisecond to parse."""


def packed(job: Job) -> bytes:
    return pickle.dumps(job, pickle.HIGHEST_PROTOCOL)


class Workers:
    def __init__(self, directory: Path, clock: Clock, count: int, *, seconds: float, memory: int) -> None:
        """`directory`: for temporary files where the system has no directory in memory."""
        self._directory = directory
        self._clock = clock
        self._seconds = seconds
        self._memory = memory
        self._turns = asyncio.Semaphore(count)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._tasks = TaskGroup()
        self._reaper: asyncio.Task[None] | None = None
        self._scratch: Scratch | None = None
        self._numbers = itertools.count()

    @property
    def is_memory(self) -> bool:
        """Whether nothing a worker writes reaches a disk."""
        return self._held().is_memory

    async def run(self, content: bytes) -> list[dict[str, Any]]:
        """A job, `packed`. Given up, for its time or by cancelling, it takes its process along. Raises RenderFailed."""
        async with self._turns:
            worker = self._idle.pop() if self._idle else await self._start()
            try:
                reply = await self._within(worker.ask(content))
            except BaseException:
                await asyncio.shield(self._end(worker))
                raise
            self._put_back(worker)
        parse = orjson.loads
        answered: dict[str, Any] = parse(reply) if len(reply) < _LARGE else await asyncio.to_thread(parse, reply)
        if "error" in answered:
            raise RenderFailed(answered["error"])
        found: list[dict[str, Any]] = answered["objects"]
        return found

    async def close(self) -> None:
        await self._tasks.close()
        await asyncio.gather(*(self._end(worker) for worker in list(self._all)))
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.close)
            self._scratch = None

    async def _within(self, work: Coroutine[Any, Any, bytes]) -> bytes:
        task = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(self._seconds))
        try:
            await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise RenderFailed(
                    f"rendering took longer than {self._seconds:g} s and was stopped: "
                    "is there a template that does not end?"
                )
            return task.result()
        finally:
            task.cancel()
            limit.cancel()
            await asyncio.gather(task, limit, return_exceptions=True)

    def _held(self) -> Scratch:
        if self._scratch is None:
            remove_leftovers(self._directory)
            self._scratch = Scratch(self._directory)
        return self._scratch

    async def _start(self) -> _Worker:
        scratch = await asyncio.to_thread(self._held)
        directory = scratch.path / str(next(self._numbers))
        await asyncio.to_thread(directory.mkdir, 0o700)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "seatrial.gitops.render.worker", str(directory), str(self._memory),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=_environment(directory), cwd=directory, start_new_session=True,
        )  # fmt: skip
        worker = _Worker(process, directory, self._clock)
        self._all.add(worker)
        return worker

    def _put_back(self, worker: _Worker) -> None:
        if worker.jobs >= _MOST_JOBS:
            self._tasks.start("end a worker", self._end(worker))
            return
        self._idle.append(worker)
        if self._reaper is None or self._reaper.done():
            self._reaper = self._tasks.start("end idle workers", self._reap())

    async def _reap(self) -> None:
        while self._idle:
            await self._clock.sleep(_IDLE_SECONDS / 2)
            before = self._clock.monotonic() - _IDLE_SECONDS
            for worker in [worker for worker in self._idle if worker.since <= before]:
                self._idle.remove(worker)
                await self._end(worker)

    async def _end(self, worker: _Worker) -> None:
        if worker in self._all:
            await worker.end()
            self._all.discard(worker)


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process, directory: Path, clock: Clock) -> None:
        self._process = process
        self._directory = directory
        self._clock = clock
        self.jobs = 0
        self.since = clock.monotonic()

    async def ask(self, content: bytes) -> bytes:
        """Raises RenderFailed when the process ends before it answers."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(len(content).to_bytes(_HEADER, "big"))
            process.stdin.write(content)
            await process.stdin.drain()
            length = int.from_bytes(await process.stdout.readexactly(_HEADER), "big")
            if length > _LARGEST_ANSWER:
                raise RenderFailed(f"it renders to more than {_LARGEST_ANSWER >> 20} MiB")
            reply = await process.stdout.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await process.wait()
            raise RenderFailed(_why(code)) from None
        self.jobs += 1
        self.since = self._clock.monotonic()
        return reply

    async def end(self) -> None:
        """With everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.to_thread(shutil.rmtree, self._directory, True)


def _why(code: int) -> str:
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"rendering ended unexpectedly ({ended}): most likely it needs more memory than a render may have"


def _environment(directory: Path) -> dict[str, str]:
    """Nothing of the user's reaches a template or a tool."""
    return {
        "PATH": "/nonexistent",
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(seatrial.__path__[0]).parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GOGC": "400",  # a render is short: most of them end before anything has to be collected
    }
