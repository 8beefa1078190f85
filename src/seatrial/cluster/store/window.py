"""The recent events of every resource: what a watcher that was away for a moment can catch up on.

Bounded three ways: events in all, bytes in all, and age. Space is taken from the resource that holds the most, so
a busy resource pays for itself and a quiet one keeps its history.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seatrial.base.clock import Clock
    from seatrial.cluster.store.event import Event

EVENTS = 20_000
"""In all. At 60 writes a second more than five minutes."""
BYTES = 64 * 1024 * 1024
"""Of encoded objects, in all: what bounds memory when objects are large."""
SECONDS = 300.0
"""How long an event is kept at least, if the two bounds above allow it."""
FLOOR = 256
"""Events of a resource that age alone does not remove."""
HOT = 512
"""Newest events of a resource that keep what was derived from them (frames, parsed old states)."""
_SWEEP_SECONDS = 30.0


class History:
    """The events of one resource. An event's place is a number that never changes, so a watcher is one integer."""

    __slots__ = ("_events", "first", "forgotten", "resource", "size")

    def __init__(self, resource: str, forgotten: int) -> None:
        self.resource = resource
        self.forgotten = forgotten
        """Every event of a later revision is here."""
        self.first = 0
        """Place of the oldest event kept."""
        self.size = 0
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: Event) -> None:
        self._events.append(event)
        self.size += len(event.entry.data)
        if len(self._events) > HOT:
            self._events[-HOT - 1].cool()

    def after(self, revision: int) -> int:
        """The place of the first event later than `revision`."""
        return self.first + self.count_until(revision)

    def take(self, place: int, revision: int, limit: int) -> list[Event]:
        """At most `limit` events from `place` on, none later than `revision`."""
        start = place - self.first
        events = self._events[start : start + limit]
        if events and events[-1].revision > revision:
            del events[bisect_right(events, revision, key=_revision) :]
        return events

    def newest_first(self) -> Iterator[Event]:
        return reversed(self._events)

    def drop(self, count: int) -> None:
        dropped = self._events[:count]
        if dropped:
            del self._events[:count]
            self.first += len(dropped)
            self.forgotten = dropped[-1].revision
            self.size -= sum(len(event.entry.data) for event in dropped)

    def drop_until(self, revision: int, keep: int = 0) -> None:
        self.drop(max(0, min(self.count_until(revision), len(self._events) - keep)))

    def undo_after(self, revision: int) -> list[Event]:
        """Take out the events later than `revision`; newest first."""
        start = self.count_until(revision)
        undone = self._events[start:]
        del self._events[start:]
        self.size -= sum(len(event.entry.data) for event in undone)
        return undone[::-1]

    def count_until(self, revision: int) -> int:
        """How many of the events are not later than `revision`."""
        events = self._events
        if not events or events[-1].revision <= revision:
            return len(events)
        return bisect_right(events, revision, key=_revision)


def _revision(event: Event) -> int:
    return event.revision


class Window:
    def __init__(self, start: int, clock: Clock, events: int = EVENTS) -> None:
        self._start = start
        self._clock = clock
        self._limit = events
        self._count = 0
        self._histories: dict[str, History] = {}
        self._marks: list[tuple[float, int]] = [(clock.monotonic(), start)]

    def history(self, resource: str) -> History:
        found = self._histories.get(resource)
        if found is None:
            found = self._histories[resource] = History(resource, self._start)
        return found

    def append(self, event: Event, durable: int) -> None:
        """Add an event; make room among those that are durable."""
        self.history(event.entry.resource).append(event)
        self._count += 1
        if self._count > self._limit:
            self._shrink(len, self._limit, durable)
        if event.revision % 64 == 0:
            self._shrink(_size, BYTES, durable)
            self._sweep(event.revision, durable)

    def _shrink(self, weight: Callable[[History], int], limit: int, durable: int) -> None:
        """Take a sixteenth of the largest until the limit is kept: a slice at a time is cheap per event."""
        while sum(map(weight, self._histories.values())) > limit:
            largest = max(self._histories.values(), key=weight)
            before = len(largest)
            largest.drop(min(max(1, before // 16), largest.count_until(durable)))
            if len(largest) == before:
                break
        self._recount()

    def _sweep(self, revision: int, durable: int) -> None:
        now = self._clock.monotonic()
        if now - self._marks[-1][0] < _SWEEP_SECONDS:
            return
        self._marks.append((now, revision))
        while len(self._marks) > 1 and now - self._marks[1][0] >= SECONDS:
            del self._marks[0]
        when, old = self._marks[0]
        if now - when >= SECONDS:
            for history in self._histories.values():
                history.drop_until(min(old, durable), keep=FLOOR)
            self._recount()

    def clear(self, revision: int) -> None:
        """Forget every event up to `revision`."""
        self._start = max(self._start, revision)
        for history in self._histories.values():
            history.drop_until(revision)
            history.forgotten = max(history.forgotten, revision)
        self._recount()

    def undo_after(self, revision: int) -> list[Event]:
        """Take out every event later than `revision`, of all resources; newest first."""
        undone = [event for history in self._histories.values() for event in history.undo_after(revision)]
        self._recount()
        return sorted(undone, key=_revision, reverse=True)

    def _recount(self) -> None:
        self._count = sum(map(len, self._histories.values()))


def _size(history: History) -> int:
    return history.size
