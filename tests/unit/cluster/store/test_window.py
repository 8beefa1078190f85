"""The event window: who pays for space, what age removes, and what is never removed."""

from __future__ import annotations

import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.store import window as windows
from seatrial.cluster.store.entry import Entry
from seatrial.cluster.store.event import ADDED, Event
from seatrial.cluster.store.window import History, Window


def event(resource: str, revision: int, data: bytes = b"{}") -> Event:
    return Event(ADDED, Entry(resource, "a", "x", revision, data), None)


def filled(window: Window, resource: str, first: int, last: int, durable: int | None = None) -> History:
    for revision in range(first, last + 1):
        window.append(event(resource, revision), revision if durable is None else durable)
    return window.history(resource)


def test_a_busy_resource_does_not_evict_a_quiet_one() -> None:
    window = Window(0, ManualClock(), events=100)
    quiet = filled(window, "configmaps", 1, 10)
    busy = filled(window, "leases", 11, 2000)
    assert (len(quiet), quiet.forgotten) == (10, 0)
    assert 80 <= len(busy) <= 90
    assert busy.forgotten == 2000 - len(busy)


def test_events_that_are_not_durable_stay() -> None:
    window = Window(0, ManualClock(), events=10)
    history = filled(window, "pods", 1, 50, durable=5)
    assert (len(history), history.forgotten) == (45, 5)


def test_large_objects_shorten_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "BYTES", 100_000)
    window = Window(0, ManualClock())
    for revision in range(1, 1001):
        window.append(event("pods", revision, b"x" * 1000), revision)
    history = window.history("pods")
    assert history.size <= 100_000 + 64 * 1000
    assert history.size == len(history) * 1000


async def test_age_removes_all_but_the_floor() -> None:
    clock = ManualClock()
    window = Window(0, clock)
    quiet = filled(window, "secrets", 1, 100)
    busy = filled(window, "pods", 101, 1000)
    revision = 1000
    for _ in range(12):
        await clock.advance(60)
        filled(window, "leases", revision + 1, revision + 64)
        revision += 64
    assert (len(busy), busy.forgotten) == (windows.FLOOR, 1000 - windows.FLOOR)
    assert (len(quiet), quiet.forgotten) == (100, 0)


async def test_what_is_younger_than_the_age_stays() -> None:
    clock = ManualClock()
    window = Window(0, clock)
    history = filled(window, "pods", 1, 1000)
    await clock.advance(windows.SECONDS - 1)
    filled(window, "leases", 1001, 1100)
    assert len(history) == 1000


def test_places_stay_while_the_front_is_dropped() -> None:
    history = History("pods", 0)
    for revision in (2, 4, 6, 8):
        history.append(event("pods", revision))
    place = history.after(4)
    history.drop(2)
    assert history.after(4) == place == history.first
    assert [found.revision for found in history.take(place, 8, 10)] == [6, 8]
    assert history.forgotten == 4


@pytest.mark.parametrize(
    ("revision", "limit", "expected"), [(9, 10, [2, 4, 6, 8]), (6, 10, [2, 4, 6]), (5, 10, [2, 4]), (9, 3, [2, 4, 6])]
)
def test_taking_stops_at_the_revision_and_the_limit(revision: int, limit: int, expected: list[int]) -> None:
    history = History("pods", 0)
    for each in (2, 4, 6, 8):
        history.append(event("pods", each))
    assert [found.revision for found in history.take(0, revision, limit)] == expected


def test_undoing_gives_the_newest_first_and_leaves_the_rest() -> None:
    window = Window(0, ManualClock())
    filled(window, "pods", 1, 3)
    filled(window, "nodes", 4, 5)
    filled(window, "pods", 6, 6)
    assert [undone.revision for undone in window.undo_after(2)] == [6, 5, 4, 3]
    assert [kept.revision for kept in window.history("pods").newest_first()] == [2, 1]
    assert window.history("pods").size == 4


def test_clearing_forgets_also_for_resources_without_events() -> None:
    window = Window(0, ManualClock())
    filled(window, "pods", 1, 5)
    window.history("nodes")
    window.clear(3)
    assert [window.history(name).forgotten for name in ("pods", "nodes", "secrets")] == [3, 3, 3]
    assert len(window.history("pods")) == 2


def test_only_the_newest_events_keep_what_was_derived() -> None:
    history = History("pods", 0)
    first = event("pods", 1)
    frame = first.frame
    history.append(first)
    for revision in range(2, windows.HOT + 1):
        history.append(event("pods", revision))
    assert first.frame is frame
    history.append(event("pods", windows.HOT + 1))
    assert first.frame is not frame
