"""Watching: what a subscription sees, when, and how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.store import subscription as subscriptions
from seatrial.cluster.store.errors import Compacted, StoreClosed
from seatrial.cluster.store.store import Store

if TYPE_CHECKING:
    from seatrial.cluster.store.event import Event


@pytest.fixture
def store() -> Store:
    return Store.open(None, clock=ManualClock(), window=100)


def put(store: Store, name: str, namespace: str = "a", resource: str = "pods") -> int:
    obj: dict[str, Any] = {"metadata": {"name": name}}
    if store.get(resource, namespace, name):
        return store.update(resource, namespace, name, obj, None).revision
    return store.create(resource, namespace, name, obj).revision


def told(events: list[Event]) -> list[tuple[str, str, int]]:
    return [(event.type, event.entry.name, event.revision) for event in events]


async def test_events_come_with_both_states(store: Store) -> None:
    watch = store.subscribe("pods", None, 0)
    first = store.create("pods", "a", "x", {})
    second = store.update("pods", "a", "x", {"spec": 1}, None)
    gone = store.delete("pods", "a", "x", None)
    events = await watch.next()
    assert told(events) == [("ADDED", "x", 1), ("MODIFIED", "x", 2), ("DELETED", "x", 3)]
    assert [event.previous for event in events] == [None, first, second]
    assert [event.entry for event in events] == [first, second, gone]


async def test_watchers_share_events_and_frames(store: Store) -> None:
    one, other = store.subscribe("pods", None, 0), store.subscribe("pods", "a", 0)
    put(store, "x")
    (mine,), (yours,) = await one.next(), await other.next()
    assert mine is yours
    assert mine.frame is yours.frame


async def test_only_later_events_of_the_resource_and_namespace_are_seen(store: Store) -> None:
    after = put(store, "old")
    watch = store.subscribe("pods", "a", after)
    put(store, "x", resource="configmaps")
    put(store, "x", namespace="b")
    put(store, "new")
    assert told(await watch.next()) == [("ADDED", "new", 4)]


async def test_next_waits_for_an_event(store: Store) -> None:
    watch = store.subscribe("pods", "a", 0)
    waiting = asyncio.create_task(watch.next())
    await asyncio.sleep(0)
    put(store, "elsewhere", namespace="b")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    put(store, "x")
    assert told(await waiting) == [("ADDED", "x", 2)]


async def test_a_cancelled_wait_loses_nothing(store: Store) -> None:
    watch = store.subscribe("pods", None, 0)
    waiting = asyncio.create_task(watch.next())
    await asyncio.sleep(0)
    put(store, "x")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert told(await watch.next()) == [("ADDED", "x", 1)]


async def test_catching_up_comes_in_portions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "BATCH", 3)
    for number in range(7):
        put(store, f"p{number}", namespace="a" if number != 3 else "b")
    watch = store.subscribe("pods", "a", 0)
    portions = [[event.revision for event in await watch.next()] for _ in range(3)]
    assert portions == [[1, 2, 3], [5, 6], [7]]


async def test_the_position_passes_over_other_resources_once_drained(store: Store) -> None:
    watch = store.subscribe("pods", None, 0)
    put(store, "x")
    put(store, "x", resource="configmaps")
    assert watch.position() == 0
    await watch.next()
    assert watch.position() == 2


async def test_history_that_is_gone_is_refused(store: Store) -> None:
    for _ in range(300):
        put(store, "x")
    with pytest.raises(Compacted) as caught:
        store.subscribe("pods", None, 1)
    watch = store.subscribe("pods", None, caught.value.oldest)
    assert (await watch.next())[0].revision == caught.value.oldest + 1


async def test_a_slow_watcher_is_told_that_it_fell_behind(store: Store) -> None:
    watch = store.subscribe("pods", None, 0)
    for _ in range(300):
        put(store, "x")
    assert watch.position() == 0
    with pytest.raises(Compacted):
        await watch.next()


async def test_compaction_spares_who_has_seen_everything(store: Store) -> None:
    put(store, "x")
    watch = store.subscribe("pods", None, 0)
    await watch.next()
    store.compact()
    put(store, "y")
    assert told(await watch.next()) == [("ADDED", "y", 2)]


async def test_closing_the_store_ends_every_wait(store: Store) -> None:
    watches = [store.subscribe("pods", None, 0) for _ in range(3)]
    waits = [asyncio.create_task(watch.next()) for watch in watches]
    await asyncio.sleep(0)
    store.close()
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(result) for result in results] == [StoreClosed] * 3


async def test_a_closed_subscription_ends(store: Store) -> None:
    watch = store.subscribe("pods", None, 0)
    watch.close()
    watch.close()
    put(store, "x")
    with pytest.raises(StoreClosed):
        await watch.next()
