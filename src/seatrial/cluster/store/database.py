"""The SQLite file: the present state only, so it is as large as what lives in it, and the revision reached.

Opened for one process (see `lock`), written by one thread, in WAL mode with a sync for each commit. Every row has
a checksum over all it says, because SQLite notices damage to its own structure but not to what it stores.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import zlib
from typing import TYPE_CHECKING, Literal, TypeVar

from seatrial.base.files import sync_directory
from seatrial.cluster.store.entry import Entry
from seatrial.cluster.store.errors import (
    FileError,
    StoreDamaged,
    StoreFull,
    StoreLocked,
    StoreTooNew,
    StoreUnwritable,
)
from seatrial.cluster.store.event import DELETED
from seatrial.cluster.store.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from seatrial.cluster.store.event import Event

log = logging.getLogger(__name__)

FORMAT = 1
_APPLICATION = 0x5EA7_71A1
"""Marks the file as ours, so that another program's database is not taken for one."""
_WAL_LIMIT = 4 * 1024 * 1024
"""Bytes of write-ahead log that trigger a checkpoint; replaying this much at start takes milliseconds."""
_FREE_PAGES = 256
"""Unused pages (1 MiB) that are worth giving back to the file system."""
_ROWS = 32
"""Rows of one statement. Few statements matter: each one makes this thread queue for the interpreter again."""

_TABLES = """
CREATE TABLE object (
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (resource, namespace, name)
);
CREATE TABLE reached (revision INTEGER NOT NULL, checksum INTEGER NOT NULL);
"""

_T = TypeVar("_T")
_Row = tuple[str, str, str, int, int, bytes]
_DAMAGED_REMEDY = "Nothing was changed. Restore it from a backup, or move it and its -wal file elsewhere to start empty"


class Database:
    def __init__(self, path: Path) -> None:
        """Claim the file for this process. Raises StoreLocked, StoreUnwritable, StoreFull."""
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self._patience = _WAL_LIMIT
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(path)
        except OSError as error:
            raise _from_system(path, error) from error

    def open(self) -> tuple[int, list[Entry]]:
        """The revision reached and every entry; writing works from here on.

        Raises StoreLocked, StoreUnwritable, StoreFull, StoreDamaged, StoreTooNew, and then the claim is given up.
        """
        try:
            found = self._found()
            self._sql = self._writable()
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise _from_system(self.path, error) from error
            if isinstance(error, sqlite3.Error):
                raise _from_sqlite(self.path, error) from error
            raise
        return found

    def _found(self) -> tuple[int, list[Entry]]:
        """Read through a connection that cannot write: a file found damaged stays as it was found."""
        if not self.path.exists():
            self._create()
        if not self.path.stat().st_size:
            raise StoreDamaged(self.path, "the file is empty", _DAMAGED_REMEDY)
        with contextlib.closing(_connect(self.path, "ro")) as sql:
            sql.text_factory = _lenient  # what is no text fails its checksum
            self._check_owner(sql)
            self._check_structure(sql)
            return self._load(sql)

    def _create(self) -> None:
        """Make the file under another name first: what is found under `path` is always whole."""
        if self._wal.exists():
            problem = f"the database is missing, but its log {self._wal.name} is there"
            raise StoreDamaged(self.path, problem, _DAMAGED_REMEDY)
        draft = self.path.with_name(self.path.name + ".new")
        draft.unlink(missing_ok=True)
        draft.touch(0o600)
        with contextlib.closing(_connect(draft, "rw")) as sql:
            sql.execute("PRAGMA auto_vacuum=INCREMENTAL")
            marks = f"PRAGMA application_id={_APPLICATION};PRAGMA user_version={FORMAT};"
            sql.executescript(f"BEGIN;{_TABLES}{marks}")
            sql.execute("INSERT INTO reached VALUES (?, ?)", _reached(0))
            sql.execute("COMMIT")
        os.replace(draft, self.path)
        sync_directory(self.path.parent)

    def _check_owner(self, sql: sqlite3.Connection) -> None:
        application, version = _pragma(sql, "application_id"), _pragma(sql, "user_version")
        if application != _APPLICATION:
            raise StoreDamaged(self.path, "not a database of this program", _DAMAGED_REMEDY)
        if version > FORMAT:
            raise StoreTooNew(
                self.path,
                f"written by a newer version of this program (format {version}, this one reads {FORMAT})",
                "Upgrade, or use another data directory",
            )

    def _check_structure(self, sql: sqlite3.Connection) -> None:
        verdict = sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreDamaged(self.path, "the database is damaged", _DAMAGED_REMEDY, detail=verdict)

    def _load(self, sql: sqlite3.Connection) -> tuple[int, list[Entry]]:
        reached = sql.execute("SELECT revision, checksum FROM reached").fetchall()
        if len(reached) != 1 or reached[0] != _reached(reached[0][0]):
            raise StoreDamaged(self.path, "the record of the revision reached is damaged", _DAMAGED_REMEDY)
        revision: int = reached[0][0]
        rows = sql.execute("SELECT resource, namespace, name, revision, checksum, data FROM object")
        entries = [self._entry(row) for row in rows]
        newest = max((entry.revision for entry in entries), default=0)
        if revision < newest:
            problem = f"holds revision {newest} but says it reached {revision}"
            raise StoreDamaged(self.path, problem, _DAMAGED_REMEDY)
        return revision, entries

    def _entry(self, row: _Row) -> Entry:
        resource, namespace, name, revision, checksum, data = row
        if not isinstance(data, bytes) or checksum != _checksum(resource, namespace, name, revision, data):
            raise StoreDamaged(self.path, f'{resource} "{namespace}/{name}" is damaged', _DAMAGED_REMEDY)
        return Entry(resource, namespace, name, revision, data)

    def _writable(self) -> sqlite3.Connection:
        sql = _connect(self.path, "rw")
        try:
            sql.execute("PRAGMA locking_mode=EXCLUSIVE")
            sql.execute("PRAGMA journal_mode=WAL")
            sql.execute("PRAGMA synchronous=FULL")
            sql.execute("PRAGMA wal_autocheckpoint=0")
            # A full or read-only disk is found out now, not at the first write of a client.
            sql.execute("UPDATE reached SET revision = revision")
        except BaseException:
            sql.close()
            raise
        return sql

    def write(self, events: Sequence[Event]) -> None:
        """Apply events in one transaction; when this returns they are on disk. Raises FileError."""
        latest = {(event.entry.resource, event.entry.namespace, event.entry.name): event for event in events}
        gone = [key for key, event in latest.items() if event.type == DELETED]
        kept = [_row(event.entry) for event in latest.values() if event.type != DELETED]
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            for statement, values in (*_deletions(gone), *_upserts(kept)):
                self._sql.execute(statement, values)
            self._sql.execute("UPDATE reached SET revision = ?, checksum = ?", _reached(events[-1].revision))
            self._sql.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _from_sqlite(self.path, error) from error

    def _roll_back(self) -> None:
        if self._sql.in_transaction:
            try:
                self._sql.execute("ROLLBACK")
            except sqlite3.Error as error:
                log.warning("rollback failed", extra={"path": self.path, "why": error})

    def maintain(self) -> None:
        """Keep the log and the file small. Called between batches. Raises FileError."""
        if self._wal_size() > self._patience:
            self.compact()

    def compact(self) -> None:
        """Give back free pages, move the log into the database and empty it. Raises FileError."""
        try:
            if _pragma(self._sql, "freelist_count") > _FREE_PAGES:
                self._sql.executescript("PRAGMA incremental_vacuum")  # `execute` would stop after one page
            self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._patience = _WAL_LIMIT
        except sqlite3.Error as error:
            trouble = _from_sqlite(self.path, error)
            if not isinstance(trouble, StoreFull):
                raise trouble from error
            # What is written stays in the log, so nothing is lost: try again when it has grown further.
            self._patience = self._wal_size() + _WAL_LIMIT
            log.warning("cannot move the log into the database", extra={"why": trouble.message})

    def _wal_size(self) -> int:
        try:
            return os.stat(self._wal).st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Closing checkpoints; what fails of that is redone from the log at the next start."""
        try:
            self._sql.close()
        except sqlite3.Error as error:
            log.warning("closing failed", extra={"path": self.path, "why": error})
        finally:
            self._lock.release()


def _connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Open what exists; transactions are begun and ended by hand."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None, check_same_thread=False)


def _pragma(sql: sqlite3.Connection, name: str) -> int:
    return int(sql.execute(f"PRAGMA {name}").fetchone()[0])


def _lenient(text: bytes) -> str:
    return text.decode(errors="replace")


def _row(entry: Entry) -> _Row:
    checksum = _checksum(entry.resource, entry.namespace, entry.name, entry.revision, entry.data)
    return entry.resource, entry.namespace, entry.name, entry.revision, checksum, entry.data


def _reached(revision: int) -> tuple[int, int]:
    return revision, zlib.crc32(f"{revision}".encode())


def _checksum(resource: str, namespace: str, name: str, revision: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(f"{resource}\0{namespace}\0{name}\0{revision}".encode()))


def _upserts(rows: Sequence[_Row]) -> Iterator[tuple[str, list[object]]]:
    for chunk in _chunks(rows):
        places = ",".join(["(?,?,?,?,?,?)"] * len(chunk))
        yield (
            f"INSERT INTO object VALUES {places} ON CONFLICT DO UPDATE SET"
            " revision = excluded.revision, checksum = excluded.checksum, data = excluded.data",
            [value for row in chunk for value in row],
        )


def _deletions(keys: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, list[object]]]:
    for chunk in _chunks(keys):
        places = ",".join(["(?,?,?)"] * len(chunk))
        yield (
            f"DELETE FROM object WHERE (resource, namespace, name) IN (VALUES {places})",
            [value for key in chunk for value in key],
        )


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _ROWS):
        yield items[start : start + _ROWS]


def _from_sqlite(path: Path, error: sqlite3.Error) -> FileError:
    """SQLite's primary result code, told as what the operator can do."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    detail = f"{getattr(error, 'sqlite_errorname', '')}: {error}"
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StoreFull(path, "the disk is full", "Free some space, then start again", detail=detail)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(path, "the database is damaged", _DAMAGED_REMEDY, detail=detail)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        remedy = "Close the program that has it open, or use another data directory"
        return StoreLocked(path, "in use by another program", remedy, detail=detail)
    remedy = "Check that the directory is writable and the disk healthy, then start again"
    return StoreUnwritable(path, f"cannot be read or written ({error})", remedy, detail=detail)


def _is_full(path: Path) -> bool:
    """Where SQLite calls every failure an I/O error (its shared-memory file), the file system knows better."""
    system = os.statvfs(path.parent)
    return system.f_bavail * system.f_frsize < _WAL_LIMIT // 64


def _from_system(path: Path, error: OSError) -> FileError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(path, "the disk is full", "Free some space, then start again", detail=str(error))
    remedy = "Make the directory writable for this user, or use another data directory"
    return StoreUnwritable(path, f"cannot be written ({error.strerror})", remedy, detail=str(error))
