"""Files that change together."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING

from seatrial.cluster.node.volumes import atomic
from seatrial.cluster.node.volumes.payload import File

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000.0


def payload(**files: str) -> dict[str, File]:
    return {name.replace("__", "/"): File(text.encode(), 0o644) for name, text in files.items()}


def nothing(_directory: Path) -> None:
    pass


def test_files_are_seen_through_links_as_the_kubelet_makes_them(tmp_path: Path) -> None:
    assert atomic.write(tmp_path, payload(a="1", d__b="2"), NOW, nothing)
    data = os.readlink(tmp_path / "..data")
    assert re.fullmatch(r"\.\.2023_11_14_22_13_20\.\w+", data)
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert os.readlink(tmp_path / "d") == "..data/d"
    assert (tmp_path / "d" / "b").read_text() == "2"


def test_an_update_leaves_nothing_of_the_old_state(tmp_path: Path) -> None:
    atomic.write(tmp_path, payload(a="1", gone="x"), NOW, nothing)
    before = os.readlink(tmp_path / "..data")
    assert atomic.write(tmp_path, payload(a="2", new="y"), NOW + 1, nothing)
    after = os.readlink(tmp_path / "..data")
    assert after != before
    assert sorted(os.listdir(tmp_path)) == sorted(["..data", after, "a", "new"])
    assert (tmp_path / "a").read_text() == "2"


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    atomic.write(tmp_path, payload(a="1"), NOW, nothing)
    before = os.readlink(tmp_path / "..data")
    assert not atomic.write(tmp_path, payload(a="1"), NOW + 1, nothing)
    assert os.readlink(tmp_path / "..data") == before


def test_an_update_that_fails_changes_nothing(tmp_path: Path) -> None:
    atomic.write(tmp_path, payload(a="1"), NOW, nothing)
    names = sorted(os.listdir(tmp_path))

    def refuse(_directory: Path) -> None:
        raise OSError(22, "no such group")

    with contextlib.suppress(OSError):
        atomic.write(tmp_path, payload(a="2"), NOW, refuse)
    assert sorted(os.listdir(tmp_path)) == names
    assert (tmp_path / "a").read_text() == "1"


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        atomic.write(tmp_path, {"run": File(b"", 0o755), "d/key": File(b"", 0o400)}, NOW, nothing)
    finally:
        os.umask(old)
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "d" / "key").stat().st_mode & 0o777 == 0o400


def test_a_reader_never_sees_a_mix(tmp_path: Path) -> None:
    """Whoever opens `..data` once and reads through it has one state of all files."""
    atomic.write(tmp_path, payload(a="0", b="0"), NOW, nothing)
    mixed: list[tuple[str, str]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                directory = os.open(tmp_path / "..data", os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue  # replaced between the link and where it led
            try:
                texts = tuple(_read(directory, name) for name in ("a", "b"))
            except FileNotFoundError:
                continue  # replaced since: the old one is gone
            finally:
                os.close(directory)
            if len(set(texts)) != 1:
                mixed.append((texts[0], texts[1]))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 200):
        atomic.write(tmp_path, payload(a=str(number), b=str(number)), NOW, nothing)
        seen = os.readlink(tmp_path / "..data")
        assert (tmp_path / seen / "a").read_text() == str(number)
    stop.set()
    reader.join()
    assert mixed == []


def _read(directory: int, name: str) -> str:
    file = os.open(name, os.O_RDONLY, dir_fd=directory)
    try:
        return os.read(file, 10).decode()
    finally:
        os.close(file)
