"""Laws of the store: it is a dict with a history, and a watch loses, doubles and reorders nothing."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seatrial.base.clock import ManualClock
from seatrial.cluster.store.errors import Changed, Compacted, Exists, Missing
from seatrial.cluster.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.cluster.store.entry import Entry
    from seatrial.cluster.store.event import Event
    from seatrial.cluster.store.store import Subscription

Key = tuple[str, str, str]
State = dict[Key, tuple[int, int]]
"""Key -> revision, value."""

RESOURCES, NAMESPACES, NAMES = ("pods", "nodes"), ("a", "b"), ("x", "y", "z")
keys = st.tuples(st.sampled_from(RESOURCES), st.sampled_from(NAMESPACES), st.sampled_from(NAMES))


def key_of(entry: Entry) -> Key:
    return entry.resource, entry.namespace, entry.name


class StoreIsADict(RuleBasedStateMachine):
    """Random calls on a store and on a dict; every past revision is kept to compare `list_at` with."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.opened()
        self.model: State = {}
        self.past: dict[int, State] = {0: {}}

    def opened(self) -> Store:
        return Store.open(Path(self.folder.name) / "store.db", clock=ManualClock(), window=40)

    def remember(self, entry: Entry) -> None:
        assert entry.revision == max(self.past) + 1
        self.past[entry.revision] = dict(self.model)

    @rule(key=keys, value=st.integers())
    def create(self, key: Key, value: int) -> None:
        value %= 1000
        if key in self.model:
            with pytest.raises(Exists) as caught:
                self.store.create(*key, {"value": value})
            assert caught.value.entry.revision == self.model[key][0]
            return
        entry = self.store.create(*key, {"value": value})
        self.model[key] = (entry.revision, value)
        self.remember(entry)

    @rule(key=keys, value=st.integers(0, 999), off=st.sampled_from([None, 0, 0, 1]))
    def update(self, key: Key, value: int, off: int | None) -> None:
        def call(expected: int | None) -> Entry:
            return self.store.update(*key, {"value": value}, expected)

        if (entry := self.conditional(key, off, call)) is not None:
            self.model[key] = (entry.revision, value)
            self.remember(entry)

    @rule(key=keys, off=st.sampled_from([None, 0, 0, 1]))
    def delete(self, key: Key, off: int | None) -> None:
        if (entry := self.conditional(key, off, lambda expected: self.store.delete(*key, expected))) is not None:
            assert entry.object["value"] == self.model.pop(key)[1]
            self.remember(entry)

    def conditional(self, key: Key, off: int | None, call: Callable[[int | None], Entry]) -> Entry | None:
        """Call with the right revision (off 0), a wrong one (1) or none; None if it is rightly refused."""
        if key not in self.model:
            with pytest.raises(Missing):
                call(off)
            return None
        if off == 1:
            with pytest.raises(Changed):
                call(self.model[key][0] + 1)
            return None
        return call(None if off is None else self.model[key][0])

    @rule(steps=st.integers(0, 60), resource=st.sampled_from(RESOURCES), namespace=st.sampled_from([None, "a", "b"]))
    def look_back(self, steps: int, resource: str, namespace: str | None) -> None:
        revision = max(0, self.store.revision - steps)
        try:
            entries = self.store.list_at(resource, namespace, revision)
        except Compacted as error:
            assert revision < error.oldest <= self.store.revision
            return
        found = [(key_of(entry), (entry.revision, entry.object["value"])) for entry in entries]
        assert found == self.expected(self.past[revision], resource, namespace)

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @precondition(lambda self: self.store.revision > 0)
    @rule()
    def reopen(self) -> None:
        revision = self.store.revision
        self.store.close()
        self.store = self.opened()
        assert self.store.revision == revision

    @invariant()
    def lists_are_the_model(self) -> None:
        for resource in RESOURCES:
            for namespace in (None, *NAMESPACES):
                entries = self.store.list(resource, namespace)
                found = [(key_of(entry), (entry.revision, entry.object["value"])) for entry in entries]
                assert found == self.expected(self.model, resource, namespace)
                assert self.store.count(resource, namespace) == len(found)
        assert self.store.resources() == sorted({key[0] for key in self.model})

    def expected(self, state: State, resource: str, namespace: str | None) -> list[tuple[Key, tuple[int, int]]]:
        return sorted(item for item in state.items() if item[0][0] == resource and namespace in (None, item[0][1]))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


StoreIsADict.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestStoreIsADict = StoreIsADict.TestCase


class Watcher:
    """Follows one resource as a client would: list, watch, break off at random, resume; list anew when told 410."""

    def __init__(self, store: Store, resource: str, namespace: str | None, pick: random.Random) -> None:
        self.store, self.resource, self.namespace, self.pick = store, resource, namespace, pick
        self.revisions: list[int] = []
        self.starts: list[int] = []
        self.mirror: dict[Key, int] = {}

    async def follow(self, until: Callable[[], int | None]) -> None:
        position = self.relist()
        while (end := until()) is None or position < end:
            try:
                subscription = self.store.subscribe(self.resource, self.namespace, position)
                position = await self.watch(subscription, until)
            except Compacted:
                position = self.relist()

    def relist(self) -> int:
        position = self.store.durable
        entries = self.store.list_at(self.resource, self.namespace, position)
        self.mirror = {key_of(entry): entry.revision for entry in entries}
        self.starts.append(position)
        return position

    async def watch(self, subscription: Subscription, until: Callable[[], int | None]) -> int:
        try:
            for _ in range(self.pick.randrange(1, 8)):
                if (end := until()) is not None and subscription.position() >= end:
                    break
                try:
                    async with asyncio.timeout(0.005):
                        events = await subscription.next()
                except TimeoutError:
                    continue
                self.apply(events)
                for _ in range(self.pick.randrange(4)):
                    await asyncio.sleep(0)
            return subscription.position()
        finally:
            subscription.close()

    def apply(self, events: list[Event]) -> None:
        assert events[-1].revision <= self.store.durable
        for event in events:
            self.revisions.append(event.revision)
            assert (event.type == "ADDED") == (key_of(event.entry) not in self.mirror)
            if event.type == "DELETED":
                del self.mirror[key_of(event.entry)]
            else:
                self.mirror[key_of(event.entry)] = event.revision


async def writer(store: Store, pick: random.Random, log: list[tuple[int, str, str]], count: int) -> None:
    for _ in range(count):
        key = (pick.choice(RESOURCES), pick.choice(NAMESPACES), pick.choice(NAMES))
        there = store.get(*key)
        obj: dict[str, Any] = {"value": pick.random()}
        if there is None:
            entry = store.create(*key, obj)
        elif pick.random() < 0.4:
            entry = store.delete(*key, there.revision)
        else:
            entry = store.update(*key, obj, there.revision)
        log.append((entry.revision, entry.resource, entry.namespace))
        if pick.random() < 0.5:
            await store.settled(entry.revision)


async def scenario(path: Path | None, seed: int, window: int) -> None:
    pick = random.Random(seed)
    store = Store.open(path, clock=ManualClock(), window=window)
    log: list[tuple[int, str, str]] = []
    ended: list[int] = []
    await writer(store, pick, log, 5)
    watchers = [
        Watcher(store, resource, namespace, random.Random(pick.random()))
        for resource in RESOURCES
        for namespace in (None, None, *NAMESPACES)
    ]
    following = [asyncio.create_task(each.follow(lambda: ended[0] if ended else None)) for each in watchers]
    await asyncio.gather(*(writer(store, random.Random(pick.random()), log, 60) for _ in range(6)))
    await store.settled(store.revision)
    ended.append(store.revision)
    await asyncio.gather(*following)
    for each in watchers:
        check(each, store, log)
    store.close()


def check(watcher: Watcher, store: Store, log: list[tuple[int, str, str]]) -> None:
    assert watcher.revisions == sorted(set(watcher.revisions))
    present = store.list(watcher.resource, watcher.namespace)
    assert watcher.mirror == {key_of(entry): entry.revision for entry in present}
    if len(watcher.starts) == 1:  # never fell behind: it must have seen every single event
        assert watcher.revisions == [
            revision
            for revision, resource, namespace in sorted(log)
            if revision > watcher.starts[0] and resource == watcher.resource and watcher.namespace in (None, namespace)
        ]


@given(seed=st.integers(0, 2**32), window=st.sampled_from([20, 10_000]))
@settings(max_examples=12, deadline=None)
def test_a_watch_loses_doubles_and_reorders_nothing(seed: int, window: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder) / "store.db", seed, window))


@given(seed=st.integers(0, 2**32), window=st.sampled_from([20, 10_000]))
@settings(max_examples=12, deadline=None)
def test_neither_does_one_in_memory(seed: int, window: int) -> None:
    asyncio.run(scenario(None, seed, window))
