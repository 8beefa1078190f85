"""A watcher's place in the events of one resource. Holds no queue: being slow costs the store nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from seatrial.cluster.store.errors import Compacted, StoreClosed

if TYPE_CHECKING:
    from seatrial.cluster.store.event import Event
    from seatrial.cluster.store.window import History

BATCH = 500
"""Events handed over at once: a watcher that catches up lets others run in between."""


class Source(Protocol):
    """What a subscription needs of the store."""

    @property
    def durable(self) -> int: ...

    def attend(self) -> None:
        """The running loop is about to look at `durable` and may then wait to be woken."""

    def left(self, subscription: Subscription) -> None:
        """Wake it no more."""


class Subscription:
    def __init__(self, source: Source, history: History, namespace: str | None, after: int) -> None:
        self._source = source
        self._history = history
        self._namespace = namespace
        self._place = history.after(after)
        self._seen = after
        self._closed = False
        self._wake: asyncio.Future[None] | None = None

    @property
    def resource(self) -> str:
        return self._history.resource

    async def next(self) -> list[Event]:
        """The next events, at least one. Raises Compacted if they are gone, StoreClosed when the store closes."""
        while True:
            self._source.attend()
            if events := self._taken():
                return events
            await self._woken()

    def _taken(self) -> list[Event]:
        """Advance over what is durable until some of it is in the namespace."""
        while True:
            if self._closed:
                raise StoreClosed
            if self._place < self._history.first:
                raise Compacted(self.resource, self._seen, self._history.forgotten)
            events = self._history.take(self._place, self._source.durable, BATCH)
            if not events:
                return []
            self._place += len(events)
            self._seen = events[-1].revision
            if self._namespace is not None:
                events = [event for event in events if event.entry.namespace == self._namespace]
            if events:
                return events

    async def _woken(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def wake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def position(self) -> int:
        """Every event of the resource up to this revision has been returned."""
        durable = self._source.durable
        if self._place < self._history.first or self._history.take(self._place, durable, 1):
            return self._seen
        return durable

    def close(self) -> None:
        """No more events; whoever waits in `next` gets StoreClosed."""
        if not self._closed:
            self._closed = True
            self._source.left(self)
            self.wake()
