"""Opening a file that cannot be used: one clear error each, and the file stays as it was."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.store.database import FORMAT
from seatrial.cluster.store.errors import (
    FileError,
    StoreDamaged,
    StoreFull,
    StoreLocked,
    StoreTooNew,
    StoreUnwritable,
)
from seatrial.cluster.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def opened_at(path: Path) -> Store:
    return Store.open(path, clock=ManualClock())


def filled(path: Path, count: int = 20) -> None:
    store = opened_at(path)
    for number in range(count):
        store.create("pods", "a", f"p{number}", {"spec": "x" * 1500})
    store.close()


def content(path: Path) -> list[bytes]:
    store = opened_at(path)
    found = [str(store.revision).encode(), *(entry.data for entry in store.list("pods"))]
    store.close()
    return found


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own; skips where that is not allowed."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_second_opener_is_told_who_has_it(path: Path) -> None:
    store = opened_at(path)
    with pytest.raises(StoreLocked, match=rf"store\.db: in use by another process \(pid {os.getpid()}\)\. Stop"):
        opened_at(path)
    store.close()
    opened_at(path).close()


def test_a_file_another_program_has_open_is_locked(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="in use by another program"):
            opened_at(path)
    opened_at(path).close()


def test_a_refused_file_can_be_opened_once_the_trouble_is_gone(path: Path) -> None:
    filled(path)
    good = path.read_bytes()
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreDamaged):
        opened_at(path)
    path.write_bytes(good)
    assert content(path)[0] == b"20"


def test_a_directory_that_cannot_be_made_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable, match=r"cannot be written \(.*\)\. Make the directory writable"):
        opened_at(tmp_path / "file" / "store.db")


def test_a_directory_in_place_of_the_file_is_unwritable(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreUnwritable):
        opened_at(path)


@pytest.mark.parametrize("exists", [False, True])
def test_a_read_only_disk_is_unwritable(tmp_path: Path, exists: bool) -> None:
    with mounted(tmp_path / "disk", "size=4m") as disk:
        if exists:
            filled(disk / "store.db")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StoreUnwritable, match=r"store\.db: cannot be"):
            opened_at(disk / "store.db")


@pytest.mark.parametrize("exists", [False, True])
def test_a_full_disk_is_full(tmp_path: Path, exists: bool) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        if exists:
            filled(disk / "store.db")
        fill(disk)
        with pytest.raises(StoreFull, match=r"store\.db: the disk is full\. Free some space"):
            opened_at(disk / "store.db")
        (disk / "ballast").unlink()
        assert len(content(disk / "store.db")) == (21 if exists else 1)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 4096)
        except OSError:
            return


@pytest.mark.parametrize("keep", [0, 100, 4096, 20_000])
def test_a_truncated_file_is_damaged_and_kept(path: Path, keep: int) -> None:
    filled(path)
    remains = path.read_bytes()[:keep]
    path.write_bytes(remains)
    with pytest.raises(StoreDamaged, match=r"store\.db: .*Nothing was changed\. Restore it from a backup"):
        opened_at(path)
    assert path.read_bytes() == remains


def test_a_flipped_bit_is_found_or_harmless(path: Path) -> None:
    filled(path)
    good, before = path.read_bytes(), content(path)
    pick = random.Random(7)
    found = 0
    for _ in range(120):
        bad = bytearray(good)
        bad[pick.randrange(len(bad))] ^= 1 << pick.randrange(8)
        path.write_bytes(bad)
        try:
            assert content(path) == before
        except FileError:
            found += 1
            assert path.read_bytes() == bad
    assert found > 30


def test_a_damaged_object_is_named(path: Path) -> None:
    filled(path)
    path.write_bytes(path.read_bytes().replace(b'"name":"p7"', b'"name":"q7"').replace(b"x" * 1500, b"x" * 1499 + b"y"))
    with pytest.raises(StoreDamaged, match='pods "a/p0" is damaged'):
        opened_at(path)


def test_a_log_without_its_database_is_not_thrown_away(path: Path) -> None:
    filled(path)
    path.unlink()
    log = path.with_name("store.db-wal")
    log.write_bytes(b"precious")
    with pytest.raises(StoreDamaged, match="the database is missing, but its log"):
        opened_at(path)
    assert log.read_bytes() == b"precious"


def test_a_newer_format_is_not_touched(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as sql:
        sql.execute(f"PRAGMA user_version={FORMAT + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreTooNew, match=rf"format {FORMAT + 1}, this one reads {FORMAT}\). Upgrade"):
        opened_at(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="not a database of this program"):
        opened_at(path)
    assert path.read_bytes() == before


def test_a_first_start_that_was_interrupted_is_repeated(path: Path) -> None:
    path.with_name("store.db.new").write_bytes(b"half")
    path.with_name("store.db.lock").write_bytes(b"123\n")
    opened_at(path).close()
