"""The thread that makes writes durable. It takes all that is waiting, writes it in one transaction, and tells.

While one batch is being synced the next one collects, so one writer pays for one sync and many share one.
"""

from __future__ import annotations

import enum
import logging
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from seatrial.cluster.store.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.cluster.store.database import Database
    from seatrial.cluster.store.event import Event

log = logging.getLogger(__name__)

_MOST = 2000
"""Events in one transaction: bounds how long the first of them waits for the last."""


class _Order(enum.Enum):
    COMPACT = enum.auto()
    STOP = enum.auto()


class Committer:
    def __init__(
        self,
        database: Database,
        committed: Callable[[int, set[str]], None],
        failed: Callable[[FileError], None],
    ) -> None:
        self._database = database
        self._committed = committed
        self._failed = failed
        self._waiting: SimpleQueue[Event | _Order] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-committer", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Never blocks."""
        self._waiting.put(event)

    def compact(self) -> None:
        """Compact the database after what was put before. Does not wait."""
        self._waiting.put(_Order.COMPACT)

    def close(self) -> None:
        """Return when everything put before is written (or refused) and the thread has ended."""
        self._waiting.put(_Order.STOP)
        self._thread.join()

    def _run(self) -> None:
        order: _Order | None = None
        try:
            while order is not _Order.STOP:
                batch, order = self._next()
                if batch:
                    self._database.write(batch)
                    self._committed(batch[-1].revision, {event.entry.resource for event in batch})
                    self._database.maintain()
                if order is _Order.COMPACT:
                    self._database.compact()
        except FileError as error:
            log.error("the store takes no more writes", extra={"why": error.message, "detail": error.detail})
            self._failed(error)
        except Exception as error:
            log.exception("the store takes no more writes")
            remedy = "This is a bug: please report it with the log"
            self._failed(FileError(self._database.path, "writing failed unexpectedly", remedy, detail=repr(error)))

    def _next(self) -> tuple[list[Event], _Order | None]:
        """Wait for something, take what else is there up to an order."""
        batch: list[Event] = []
        item = self._waiting.get()
        while not isinstance(item, _Order):
            batch.append(item)
            if len(batch) == _MOST:
                return batch, None
            try:
                item = self._waiting.get_nowait()
            except Empty:
                return batch, None
        return batch, item
