"""What can go wrong with the store: refused writes, forgotten history, a file that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable, SeatrialError, Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.cluster.store.entry import Entry


class Exists(Terminal):
    """`create` of an object that is there; `entry` is the one in the way."""

    reason = "AlreadyExists"

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"{entry} already exists: update it, or choose another name")
        self.entry = entry


class Missing(Terminal):
    """`update` or `delete` of an object that is not there."""

    reason = "NotFound"

    def __init__(self, resource: str, namespace: str, name: str) -> None:
        where = f'{resource} "{namespace}/{name}"' if namespace else f'{resource} "{name}"'
        super().__init__(f"{where} not found: create it first")


class Changed(Retryable):
    """The object is no longer at the revision the caller expected; `entry` is what it is now."""

    reason = "Conflict"

    def __init__(self, entry: Entry, expected: int) -> None:
        super().__init__(
            f"{entry} is at revision {entry.revision}, expected {expected}: read it again and redo the change"
        )
        self.entry = entry


class Compacted(Retryable):
    """The events after the asked revision are no longer all known; `oldest` is the oldest revision that works."""

    reason = "Expired"

    def __init__(self, resource: str, asked: int, oldest: int) -> None:
        super().__init__(f"events of {resource} are known from revision {oldest} on, asked for {asked}: list again")
        self.oldest = oldest


class StoreClosed(Terminal):
    """The store was closed while somebody waited for it, or used after."""

    reason = "ServiceUnavailable"

    def __init__(self) -> None:
        super().__init__("the store is closed: the server is stopping")


class FileError(SeatrialError):
    """The database file cannot be used. One subclass for each thing the operator would do about it."""

    def __init__(self, path: Path, problem: str, remedy: str, *, detail: str = "") -> None:
        super().__init__(f"{path}: {problem}. {remedy}", detail=detail)
        self.path = path


class StoreLocked(FileError, Retryable):
    reason = "StoreLocked"


class StoreUnwritable(FileError, Terminal):
    reason = "StoreUnwritable"


class StoreFull(FileError, Retryable):
    reason = "StoreFull"


class StoreDamaged(FileError, Terminal):
    reason = "StoreDamaged"


class StoreTooNew(FileError, Terminal):
    reason = "StoreTooNew"


class StoreFailed(Retryable):
    """A write did not reach the disk. `cause` says why; the store takes no writes until it is opened again."""

    reason = "StoreFailed"

    def __init__(self, cause: FileError) -> None:
        super().__init__(f"the write was not saved: {cause.message}", detail=cause.detail)
        self.cause = cause

    @property
    def is_full(self) -> bool:
        return isinstance(self.cause, StoreFull)
