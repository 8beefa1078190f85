"""The work queue between informers and a controller's workers.

A key waits here once however often it is added; while a worker has it, another add makes it wait again until
`done`. So one key is never in two workers' hands, and no change after the pass began is lost.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Generic, TypeVar

from seatrial.kube.control.backoff import doubling

if TYPE_CHECKING:
    from collections.abc import Hashable

    from seatrial.base.clock import Clock

K = TypeVar("K", bound="Hashable")

FIRST_RETRY = 0.005
LONGEST_RETRY = 60.0
"""Upstream waits up to 1000 s; on one machine a minute is long."""


class WorkQueue(Generic[K]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._order = itertools.count()
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0

    def __len__(self) -> int:
        """Keys ready to be taken."""
        return self._ready.qsize()

    def add(self, key: K) -> None:
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._processing:
            self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add once `seconds` have passed; of several delays for one key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if due >= self._due.get(key, due + 1):
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, next(self._order), key))
        self._arm()

    def add_rate_limited(self, key: K) -> None:
        """Add after a delay that doubles with each call until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, doubling(failures, FIRST_RETRY, LONGEST_RETRY))

    def forget(self, key: K) -> None:
        """The key's pass went well: its next failure starts from the shortest delay."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key, the caller's until `done`."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        self._processing.discard(key)
        if key in self._waiting:
            self._ready.put_nowait(key)

    def close(self) -> None:
        """Stop the timer of delayed keys."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """Have the timer run until the earliest delayed key is due."""
        due = self._delayed[0][0]
        if self._timer is not None and not self._timer.done() and self._timer_due <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().create_task(self._release(), name="workqueue timer")

    async def _release(self) -> None:
        while self._delayed:
            due, _, key = self._delayed[0]
            wait = due - self._clock.monotonic()
            if wait > 0:
                self._timer_due = due
                await self._clock.sleep(wait)
                continue
            heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
