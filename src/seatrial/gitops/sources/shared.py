"""Shared: what a remote said last, asked for by many and asked of it once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from seatrial.base.errors import SeatrialError
from seatrial.gitops.sources.files import SourceFailed
from seatrial.kube.control.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.base.clock import Clock

T = TypeVar("T")

GRACE_SECONDS = 180.0
"""So long the last answer stands in for one that fails, as in Argo CD."""
_FIRST_DELAY = 5.0


class Shared(Generic[T]):
    """One question runs at a time. Who asks meanwhile shares its answer, or with `force` that of the next one: a
    question asked before a push may have been answered before it, too."""

    def __init__(
        self, ask: Callable[[], Awaitable[T]], clock: Clock, *, fresh: float, seed: str, grace: float = GRACE_SECONDS
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._fresh = fresh
        self._grace = grace
        self._backoff = Backoff(seed, base=_FIRST_DELAY, cap=max(fresh, _FIRST_DELAY))
        self._running: asyncio.Task[T] | None = None
        self._queued: asyncio.Task[T] | None = None
        self._answered = 0.0
        self._failing_since: float | None = None
        self._retry_at = 0.0
        self._error: SeatrialError | None = None
        self.last: T | None = None

    async def get(self, *, force: bool = False) -> T:
        """The last answer while it is fresh. Raises SourceFailed, SourceRefused."""
        now = self._clock.monotonic()
        if not force:
            if self._error is not None and now < self._retry_at:
                return self._excused()
            if self._error is None and self.last is not None and now - self._answered < self._fresh:
                return self.last
        try:
            return await asyncio.shield(self._join(force))
        except SeatrialError:
            return self._excused()

    def learn(self, answer: T) -> None:
        """What is known from before a restart: it stands in while the first questions fail."""
        if self.last is None:
            self.last = answer
            self._answered = self._clock.monotonic() - self._fresh

    @property
    def delay(self) -> float:
        """Seconds until it is worth asking again after a failure; 0 if the last question was answered."""
        return max(0.0, self._retry_at - self._clock.monotonic()) if self._error is not None else 0.0

    async def close(self) -> None:
        tasks = [task for task in (self._running, self._queued) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _join(self, force: bool) -> asyncio.Task[T]:
        """A queued question has not begun: it will see all that is so by now."""
        if self._queued is not None:
            return self._queued
        if self._running is not None and not force:
            return self._running
        self._queued = asyncio.get_running_loop().create_task(self._run(self._running))
        self._queued.add_done_callback(_seen)
        return self._queued

    async def _run(self, before: asyncio.Task[T] | None) -> T:
        try:
            if before is not None:
                await asyncio.wait([before])
        finally:
            self._running, self._queued = self._queued, None
        try:
            answer = await self._ask()
        except SeatrialError as error:
            self._failed(error)
            raise
        finally:
            self._running = None
        self._succeeded(answer)
        return answer

    def _succeeded(self, answer: T) -> None:
        self.last, self._answered = answer, self._clock.monotonic()
        self._error, self._failing_since = None, None
        self._backoff.reset()

    def _failed(self, error: SeatrialError) -> None:
        now = self._clock.monotonic()
        self._error = error
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._retry_at = now + self._backoff.next()

    def _excused(self) -> T:
        """The last answer, while the failure is young. Raises what the remote's failure is."""
        since = self._failing_since
        if self.last is not None and since is not None and self._clock.monotonic() - since < self._grace:
            return self.last
        error = self._error or SourceFailed("the remote could not be asked")
        raise type(error)(error.message, reason=error.reason, detail=error.detail)


def _seen(task: asyncio.Task[T]) -> None:
    """Whoever waited may be gone: its error was recorded all the same."""
    if not task.cancelled():
        task.exception()
