"""On disk: what `settled` promises, what watchers may see, what is there after opening again, and how large it gets."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.store.database import Database
from seatrial.cluster.store.errors import Compacted, StoreClosed
from seatrial.cluster.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from seatrial.cluster.store.event import Event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = opened_at(path)
    yield opened
    opened.close()


def opened_at(path: Path) -> Store:
    return Store.open(path, clock=ManualClock())


def lease(holder: str = "me") -> dict[str, Any]:
    return {"metadata": {"name": "l"}, "spec": {"holderIdentity": holder, "renewTime": "2026-01-01T00:00:00Z"}}


class Gate:
    """Holds every write to the disk until opened, and keeps how many events each wrote."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[int] = []
        self.reached = threading.Event()
        self._open = threading.Event()
        write = Database.write

        def held(database: Database, events: Sequence[Event]) -> None:
            self.reached.set()
            assert self._open.wait(10)
            self.batches.append(len(events))
            write(database, events)

        monkeypatch.setattr(Database, "write", held)

    def open(self) -> None:
        self._open.set()


async def test_everything_is_there_after_opening_again(path: Path, store: Store) -> None:
    kept = store.create("pods", "a", "kept", {"spec": {"ä": "☃"}})
    store.create("pods", "a", "changed", {"v": 1})
    changed = store.update("pods", "a", "changed", {"v": 2}, None)
    store.create("nodes", "", "gone", {})
    gone = store.delete("nodes", "", "gone", None)
    await store.settled(gone.revision)
    store.close()
    again = opened_at(path)
    assert [(entry.data, entry.revision) for entry in again.list("pods")] == [
        (changed.data, 3),
        (kept.data, 1),
    ]
    assert again.get("nodes", "", "gone") is None
    assert again.resources() == ["pods"]
    again.close()


async def test_a_deletion_at_the_end_keeps_its_revision(path: Path, store: Store) -> None:
    store.create("pods", "a", "x", {})
    store.delete("pods", "a", "x", None)
    store.close()
    again = opened_at(path)
    assert (again.revision, again.durable, again.count("pods")) == (2, 2, 0)
    assert again.create("pods", "a", "x", {}).revision == 3
    again.close()


async def test_settled_returns_once_the_revision_is_on_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    entry = store.create("pods", "a", "x", {})
    settled = asyncio.create_task(store.settled(entry.revision))
    await asyncio.to_thread(gate.reached.wait, 10)
    assert (store.revision, store.durable, settled.done()) == (1, 0, False)
    gate.open()
    await settled
    assert store.durable == 1


async def test_settled_of_what_is_durable_returns_at_once(store: Store) -> None:
    await store.settled(0)
    entry = store.create("pods", "a", "x", {})
    await store.settled(entry.revision)
    again = asyncio.create_task(store.settled(entry.revision))
    await asyncio.sleep(0)
    assert again.done()


async def test_writes_that_wait_together_share_a_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    store.create("pods", "a", "first", {})
    await asyncio.to_thread(gate.reached.wait, 10)
    for number in range(50):
        store.create("pods", "a", f"p{number}", {})
    gate.open()
    await store.settled(store.revision)
    assert gate.batches == [1, 50]


async def test_watchers_see_nothing_before_it_is_durable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    watch = store.subscribe("pods", None, 0)
    store.create("pods", "a", "x", {})
    seen = asyncio.create_task(watch.next())
    await asyncio.to_thread(gate.reached.wait, 10)
    await asyncio.sleep(0)
    assert (seen.done(), watch.position()) == (False, 0)
    assert store.list_at("pods", None, store.durable) == []
    gate.open()
    assert [event.revision for event in await seen] == [1]


async def test_a_position_never_exceeds_what_is_durable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    entry = store.create("pods", "a", "x", {})
    watch = store.subscribe("pods", None, entry.revision)
    assert watch.position() == 0
    gate.open()
    await store.settled(entry.revision)
    assert watch.position() == entry.revision


async def test_a_cancelled_wait_does_not_disturb_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    entry = store.create("pods", "a", "x", {})
    waits = [asyncio.create_task(store.settled(entry.revision)) for _ in range(3)]
    await asyncio.to_thread(gate.reached.wait, 10)
    waits[0].cancel()
    gate.open()
    await asyncio.gather(*waits[1:])
    assert waits[0].cancelled()


async def test_closing_writes_what_is_pending(path: Path, store: Store) -> None:
    for number in range(500):
        store.create("pods", "a", f"p{number}", {})
    waiting = asyncio.create_task(store.settled(500))
    await asyncio.sleep(0)
    store.close()
    await waiting
    again = opened_at(path)
    assert again.count("pods") == again.revision == 500
    again.close()


async def test_one_batch_may_create_change_delete_and_create_again(path: Path, store: Store) -> None:
    for _ in range(100):
        store.create("pods", "a", "x", {})
        store.update("pods", "a", "x", {"v": 1}, None)
        store.delete("pods", "a", "x", None)
    last = store.create("pods", "a", "x", {"v": 2})
    store.create("pods", "a", "y", {})
    store.delete("pods", "a", "y", None)
    store.close()
    again = opened_at(path)
    assert [(entry.name, entry.data) for entry in again.list("pods")] == [("x", last.data)]
    assert again.revision == 303
    again.close()


async def test_after_opening_the_past_is_unknown_and_the_present_can_be_watched(path: Path, store: Store) -> None:
    store.create("pods", "a", "x", {})
    store.create("pods", "a", "y", {})
    store.close()
    again = opened_at(path)
    with pytest.raises(Compacted):
        again.subscribe("pods", None, 1)
    with pytest.raises(Compacted):
        again.list_at("nodes", None, 1)
    watch = again.subscribe("pods", None, 2)
    again.create("pods", "a", "z", {})
    assert [event.entry.name for event in await watch.next()] == ["z"]
    again.close()


async def test_waiting_for_a_closed_store_ends(store: Store) -> None:
    store.close()
    with pytest.raises(StoreClosed):
        await store.settled(1)


async def test_the_store_serves_one_loop_after_another(path: Path, store: Store) -> None:
    def write(name: str) -> None:
        async def main() -> None:
            await store.settled(store.create("pods", "a", name, {}).revision)

        asyncio.run(main())

    await asyncio.to_thread(write, "x")
    await asyncio.to_thread(write, "y")
    assert store.durable == 2


async def test_rewriting_leases_keeps_the_files_small(path: Path, store: Store) -> None:
    for number in range(50):
        store.create("leases", "kube-system", f"node-{number}", lease())
    largest = 0
    for turn in range(50_000):
        store.update("leases", "kube-system", f"node-{turn % 50}", lease(f"holder-{turn}"), None)
        if turn % 200 == 0:
            await store.settled(store.revision)
            largest = max(largest, sum(file.stat().st_size for file in path.parent.iterdir()))
    store.close()
    assert largest < 8 * 1024 * 1024
    assert path.stat().st_size < 256 * 1024


async def test_deleting_gives_space_back(path: Path, store: Store) -> None:
    for number in range(1000):
        store.create("pods", "a", f"p{number}", {"spec": "x" * 8000})
    await store.settled(store.revision)
    for number in range(1000):
        store.delete("pods", "a", f"p{number}", None)
    store.compact()
    store.close()
    assert path.stat().st_size < 256 * 1024


def test_the_files_are_private(path: Path, store: Store) -> None:
    store.create("secrets", "a", "x", {})
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}
