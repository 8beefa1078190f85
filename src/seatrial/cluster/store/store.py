"""The front of the store: reads, writes, waiting for the disk, subscriptions.

One event loop's thread calls it. A write changes memory at once, takes the next revision and is handed to the
committer; `settled` returns when it is on disk, and only then do watchers see it. So whoever answers a client
awaits `settled` for what the answer shows, and nothing a client has seen is lost by a crash. `list_at` of the
durable revision shows a list without waiting.

When the disk refuses a write, everything not yet durable is taken back out of memory, those who wait get
StoreFailed, and from then on every write raises it: reads go on, from what the disk has, until the store is opened
again. Retrying instead would leave open whether a half-written log can still be trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from typing import TYPE_CHECKING

from seatrial.base.errors import invariant
from seatrial.cluster.store import window as windows
from seatrial.cluster.store.committer import Committer
from seatrial.cluster.store.database import Database
from seatrial.cluster.store.entry import Entry
from seatrial.cluster.store.errors import (
    Changed,
    Compacted,
    Exists,
    FileError,
    Missing,
    StoreClosed,
    StoreFailed,
)
from seatrial.cluster.store.event import ADDED, DELETED, MODIFIED, Event
from seatrial.cluster.store.index import Index
from seatrial.cluster.store.subscription import Subscription
from seatrial.cluster.store.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Self

    from seatrial.base.clock import Clock
    from seatrial.kube.model.objects import Object

__all__ = ["Store", "Subscription"]

Entries = list[Entry]
"""`Store` has a method `list`, so inside the class the type needs another name."""


class Store:
    def __init__(self, index: Index, window: Window, revision: int, database: Database | None) -> None:
        """Use `open`."""
        self._index = index
        self._window = window
        self._revision = self._durable = revision
        self._database = database
        self._failure: FileError | None = None
        self._failed: asyncio.Future[FileError] | None = None
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._committer = Committer(database, self._committed, self._refused) if database else None

    @classmethod
    def open(cls, path: Path | None, *, clock: Clock, window: int = windows.EVENTS) -> Self:
        """Load the database file `path` (created if missing); None keeps everything in memory only.

        Raises StoreLocked, StoreUnwritable, StoreFull, StoreDamaged, StoreTooNew.
        """
        if path is None:
            return cls(Index(), Window(0, clock, window), 0, None)
        database = Database(path)
        revision, entries = database.open()
        return cls(Index(entries), Window(revision, clock, window), revision, database)

    # Reading. May show what is not durable yet.

    @property
    def revision(self) -> int:
        """The latest revision given out."""
        return self._revision

    @property
    def durable(self) -> int:
        """The latest revision known to be on disk."""
        return self._durable

    @property
    def failure(self) -> FileError | None:
        """Why the store takes no more writes, if so."""
        return self._failure

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        return self._index.get(resource, namespace, name)

    def resources(self) -> list[str]:
        """Those with at least one object."""
        return self._index.resources()

    def list(self, resource: str, namespace: str | None = None) -> Entries:
        """Sorted by namespace and name; `namespace` None means all."""
        return self._index.listing(resource, namespace)

    def count(self, resource: str, namespace: str | None = None) -> int:
        return self._index.count(resource, namespace)

    def list_at(self, resource: str, namespace: str | None, revision: int) -> Entries:
        """The list as it was at `revision`: the present, with later events undone. Raises Compacted."""
        history = self._window.history(resource)
        if revision < history.forgotten:
            raise Compacted(resource, revision, history.forgotten)
        before: dict[tuple[str, str], Entry | None] = {}
        for event in history.newest_first():
            if event.revision <= revision:
                break
            if namespace is None or event.entry.namespace == namespace:
                before[event.entry.namespace, event.entry.name] = event.previous
        return _replaced(self.list(resource, namespace), before)

    # Writing.

    def create(self, resource: str, namespace: str, name: str, obj: Object) -> Entry:
        """Takes over `obj`. Raises Exists."""
        current = self._index.get(resource, namespace, name)
        if current is not None:
            raise Exists(current)
        return self._put(ADDED, resource, namespace, name, obj, None)

    def update(self, resource: str, namespace: str, name: str, obj: Object, expected: int | None) -> Entry:
        """Takes over `obj`. Raises Missing, or Changed if the object is not at revision `expected`."""
        current = self._current(resource, namespace, name, expected)
        return self._put(MODIFIED, resource, namespace, name, obj, current)

    def delete(self, resource: str, namespace: str, name: str, expected: int | None) -> Entry:
        """The last state, at the revision of the deletion. Raises Missing, Changed."""
        current = self._current(resource, namespace, name, expected)
        self._check_writable()
        tombstone = current.buried(self._revision + 1)
        self._index.remove(current)
        self._record(Event(DELETED, tombstone, current))
        return tombstone

    def _current(self, resource: str, namespace: str, name: str, expected: int | None) -> Entry:
        current = self._index.get(resource, namespace, name)
        if current is None:
            raise Missing(resource, namespace, name)
        if expected is not None and expected != current.revision:
            raise Changed(current, expected)
        return current

    def _put(self, kind: str, resource: str, namespace: str, name: str, obj: Object, previous: Entry | None) -> Entry:
        self._check_writable()
        entry = Entry.encoded(resource, namespace, name, self._revision + 1, obj)
        self._index.put(entry)
        self._record(Event(kind, entry, previous))
        return entry

    def _check_writable(self) -> None:
        if self._closed:
            raise StoreClosed
        if self._failure is not None:
            self._take_back()
            raise StoreFailed(self._failure)

    def _record(self, event: Event) -> None:
        self._revision = event.revision
        self._window.append(event, self._durable)
        if self._committer is not None:
            self._committer.put(event)
        else:
            self._durable = event.revision
            self._wake((event.entry.resource,))

    # Durability.

    async def settled(self, revision: int) -> None:
        """Return when `revision` is on disk. Raises StoreFailed if the disk refused it."""
        self.attend()
        if revision <= self._durable:
            return
        if self._failure is not None:
            self._take_back()
            raise StoreFailed(self._failure)
        if self._closed:
            raise StoreClosed
        invariant(revision <= self._revision, f"revision {revision} was never given out")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (revision, next(self._order), done))
        await done

    def _committed(self, revision: int, resources: set[str]) -> None:
        """On the committer's thread: a batch is on disk."""
        self._durable = revision
        self._on_loop(self._wake, resources)

    def _refused(self, cause: FileError) -> None:
        """On the committer's thread, the last thing it does: a batch is not on disk and will not be."""
        self._failure = cause
        self._on_loop(self._give_up)

    def _give_up(self) -> None:
        self._take_back()
        if self._failure is not None and self._failed is not None and not self._failed.done():
            self._failed.set_result(self._failure)

    async def until_failed(self) -> FileError:
        """Return when the store takes no more writes, with the reason. One caller at a time."""
        self.attend()
        if self._failure is None:
            self._failed = asyncio.get_running_loop().create_future()
            return await self._failed
        return self._failure

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        """Whoever waits has named a loop first, and looks at `durable` and `_failure` after that."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(call, *arguments)

    def _wake(self, resources: Iterable[str]) -> None:
        while self._waiting and self._waiting[0][0] <= self._durable:
            done = heapq.heappop(self._waiting)[-1]
            if not done.done():
                done.set_result(None)
        for resource in resources:
            for subscription in self._subscriptions.get(resource, ()):
                subscription.wake()

    def _take_back(self) -> None:
        """Undo what the disk refused and tell those who wait for it."""
        if self._failure is None or self._revision == self._durable:
            return
        for event in self._window.undo_after(self._durable):
            if event.previous is not None:
                self._index.put(event.previous)
            else:
                self._index.remove(event.entry)
        self._revision = self._durable
        self._wake(())
        for *_, done in self._waiting:
            if not done.done():
                done.set_exception(StoreFailed(self._failure))
        self._waiting.clear()

    # Watching.

    def subscribe(self, resource: str, namespace: str | None, after: int) -> Subscription:
        """The events of `resource` later than `after`, once durable. Raises Compacted if not all are known."""
        if self._closed:
            raise StoreClosed
        history = self._window.history(resource)
        if after < history.forgotten:
            raise Compacted(resource, after, history.forgotten)
        invariant(after <= self._revision, f"revision {after} was never given out")
        subscription = Subscription(self, history, namespace, after)
        self._subscriptions.setdefault(resource, set()).add(subscription)
        return subscription

    def attend(self) -> None:
        """For subscriptions: see `Source`."""
        self._loop = asyncio.get_running_loop()

    def left(self, subscription: Subscription) -> None:
        """For subscriptions: see `Source`."""
        self._subscriptions[subscription.resource].discard(subscription)

    # Upkeep.

    def compact(self) -> None:
        """Forget the events so far, and make the file as small as it can be."""
        self._window.clear(self._durable)
        if self._committer is not None:
            self._committer.compact()

    def close(self) -> None:
        """Write what is pending, end all waiting and release the file. Blocks for a sync or two."""
        if self._closed:
            return
        self._closed = True
        if self._committer is not None:
            self._committer.close()
        if self._database is not None:
            self._database.close()
        self._take_back()
        self._wake(())
        for subscription in [each for group in self._subscriptions.values() for each in group]:
            subscription.close()


def _replaced(present: list[Entry], before: dict[tuple[str, str], Entry | None]) -> list[Entry]:
    """`present` with the entries named in `before` put back (None: taken out), sorted again."""
    if not before:
        return present
    kept = [entry for entry in present if (entry.namespace, entry.name) not in before]
    kept += [entry for entry in before.values() if entry is not None]
    return sorted(kept, key=_place)


def _place(entry: Entry) -> tuple[str, str]:
    return entry.namespace, entry.name
