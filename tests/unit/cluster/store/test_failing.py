"""A disk that refuses a write: nothing is acknowledged, memory equals the disk, and opening again goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.store.database import Database
from seatrial.cluster.store.errors import FileError, StoreFailed, StoreFull
from seatrial.cluster.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from seatrial.cluster.store.event import Event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = opened_at(path)
    yield opened
    opened.close()


def opened_at(path: Path) -> Store:
    return Store.open(path, clock=ManualClock())


def fill_disk_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From the write of that number on, the disk is full."""
    write, seen = Database.write, [0]

    def failing(database: Database, events: Sequence[Event]) -> None:
        seen[0] += 1
        if seen[0] >= number:
            raise StoreFull(database.path, "the disk is full", "Free some space")
        write(database, events)

    monkeypatch.setattr(Database, "write", failing)


def state(store: Store) -> dict[str, bytes]:
    return {entry.name: entry.data for entry in store.list("pods")}


async def test_who_waits_is_told_why(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk_at(monkeypatch, 1)
    entry = store.create("pods", "a", "x", {})
    with pytest.raises(StoreFailed, match=r"was not saved: .*store\.db: the disk is full") as caught:
        await store.settled(entry.revision)
    assert caught.value.is_full
    assert isinstance(store.failure, StoreFull)


async def test_memory_goes_back_to_what_the_disk_has(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kept", "changed", "deleted"):
        store.create("pods", "a", name, {"v": 1})
    await store.settled(3)
    before = state(store)
    fill_disk_at(monkeypatch, 1)
    store.update("pods", "a", "changed", {"v": 2}, None)
    store.delete("pods", "a", "deleted", None)
    store.create("pods", "a", "deleted", {"v": 3})
    store.create("pods", "a", "new", {})
    store.delete("pods", "a", "new", None)
    with pytest.raises(StoreFailed):
        await store.settled(store.revision)
    assert (state(store), store.revision, store.durable) == (before, 3, 3)


async def test_what_was_saved_just_before_the_failure_is_acknowledged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both outcomes happen while the loop is busy; the write that notices the failure must not mix them up."""
    write, begun, go_on = Database.write, threading.Event(), threading.Event()

    def first_only(database: Database, events: Sequence[Event]) -> None:
        if begun.is_set():
            raise StoreFull(database.path, "the disk is full", "Free some space")
        begun.set()
        go_on.wait(10)
        write(database, events)

    monkeypatch.setattr(Database, "write", first_only)
    saved = asyncio.create_task(store.settled(store.create("pods", "a", "x", {}).revision))
    begun.wait(10)
    refused = asyncio.create_task(store.settled(store.create("pods", "a", "y", {}).revision))
    await asyncio.sleep(0)
    go_on.set()
    deadline = time.monotonic() + 10
    while store.failure is None:
        assert time.monotonic() < deadline
    with pytest.raises(StoreFailed):
        store.create("pods", "a", "z", {})
    await saved
    with pytest.raises(StoreFailed):
        await refused
    assert list(state(store)) == ["x"]


async def test_reads_go_on_and_writes_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.settled(store.create("pods", "a", "x", {}).revision)
    fill_disk_at(monkeypatch, 1)
    store.create("pods", "a", "y", {})
    with pytest.raises(StoreFailed):
        await store.settled(2)
    with pytest.raises(StoreFailed):
        store.create("pods", "a", "z", {})
    with pytest.raises(StoreFailed):
        store.delete("pods", "a", "x", None)
    with pytest.raises(StoreFailed):
        await store.settled(2)
    await store.settled(1)
    assert list(state(store)) == ["x"]


async def test_watchers_never_see_what_was_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = store.subscribe("pods", None, 0)
    store.create("pods", "a", "x", {})
    assert [event.entry.name for event in await watch.next()] == ["x"]
    fill_disk_at(monkeypatch, 1)
    seen = asyncio.create_task(watch.next())
    store.create("pods", "a", "y", {})
    with pytest.raises(StoreFailed):
        await store.settled(2)
    await asyncio.sleep(0)
    assert (seen.done(), watch.position()) == (False, 1)
    seen.cancel()


async def test_without_a_loop_the_next_write_finds_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk_at(monkeypatch, 1)
    store.create("pods", "a", "x", {})
    store.close()
    assert (store.count("pods"), store.revision) == (0, 0)


async def test_an_unexpected_error_is_a_failure_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(database: Database, events: Sequence[Event]) -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr(Database, "write", broken)
    entry = store.create("pods", "a", "x", {})
    with pytest.raises(StoreFailed, match="writing failed unexpectedly") as caught:
        await store.settled(entry.revision)
    assert "surprise" in caught.value.detail
    assert not caught.value.is_full


@pytest.mark.parametrize("number", range(1, 7))
async def test_whichever_write_fails_the_acknowledged_ones_stay(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fill_disk_at(monkeypatch, number)
    acknowledged: dict[str, bytes] = {}
    try:
        for turn in range(6):
            entry = store.create("pods", "a", f"p{turn}", {})
            await store.settled(entry.revision)
            acknowledged[entry.name] = entry.data
    except StoreFailed:
        pass
    assert len(acknowledged) == number - 1
    assert state(store) == acknowledged
    monkeypatch.undo()
    store.close()
    again = opened_at(path)
    assert state(again) == acknowledged
    assert again.create("pods", "a", "next", {}).revision == number
    again.close()


async def test_a_full_database_refuses_and_recovers(path: Path, store: Store) -> None:
    """SQLite's own limit stands for the disk: this fails inside the transaction, not before it."""
    database = store._database
    assert database is not None
    pages = database._sql.execute("PRAGMA page_count").fetchone()[0]
    database._sql.execute(f"PRAGMA max_page_count={pages + 20}")
    acknowledged = {}
    with pytest.raises(StoreFailed) as caught:
        for number in range(100):
            entry = store.create("pods", "a", f"p{number}", {"spec": "x" * 3000})
            await store.settled(entry.revision)
            acknowledged[entry.name] = entry.data
    assert caught.value.is_full
    assert 10 < len(acknowledged) < 30
    store.close()
    again = opened_at(path)
    assert state(again) == acknowledged
    again.close()


class FailingCheckpoints:
    """A connection on which checkpoints end in the SQLite error of that code."""

    def __init__(self, sql: sqlite3.Connection, code: int, message: str) -> None:
        self._sql = sql
        self._code = code
        self._message = message

    def execute(self, statement: str) -> sqlite3.Cursor:
        if "wal_checkpoint" in statement:
            error = sqlite3.OperationalError(self._message)
            error.sqlite_errorcode = self._code
            raise error
        return self._sql.execute(statement)


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    opened.open()
    yield opened
    opened.close()


def test_a_full_disk_while_checkpointing_is_tried_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = FailingCheckpoints(database._sql, sqlite3.SQLITE_FULL, "database or disk is full")
    with monkeypatch.context() as patch:
        patch.setattr(database, "_sql", failing)
        database.compact()
    database.compact()


def test_a_broken_disk_while_checkpointing_is_an_error(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = FailingCheckpoints(database._sql, sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")
    with monkeypatch.context() as patch:
        patch.setattr(database, "_sql", failing)
        with pytest.raises(FileError, match="disk I/O error"):
            database.compact()
