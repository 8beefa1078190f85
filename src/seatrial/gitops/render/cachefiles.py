"""The render cache on disk: survives a restart. For threads.

    <directory>/<settings>-<notes>     a line of JSON that says what was read, then the objects

A file that is damaged, or of another version, is a miss and is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import orjson

from seatrial.gitops.render.cache import MOST_VARIANTS, VERSION, Kept
from seatrial.gitops.render.reading import Note

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

LARGEST = 512 << 20


class CacheFiles:
    def __init__(self, directory: Path, largest: int = LARGEST) -> None:
        self._directory = directory
        self._largest = largest
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] | None = None
        """By name, the oldest first; None until the directory was read."""
        self._names: dict[str, list[str]] = {}
        """By settings."""
        self._size = 0

    def names(self, settings: str) -> bool | None:
        """Whether there is anything for these settings; None: not known yet. Never touches the disk."""
        return None if self._sizes is None else settings in self._names

    def read(self, settings: str, but: Container[str] = ()) -> list[Kept]:
        """What is kept for these settings, `but` what is known already, the oldest first."""
        with self._lock:
            self._open()
            found: list[Kept] = []
            for name in list(self._names.get(settings, ())):
                if name.partition("-")[2] in but:
                    continue
                kept = _read(self._directory / name)
                if kept is None:
                    self._remove(name)
                else:
                    found.append(kept)
            return found

    def write(self, settings: str, kept: Kept) -> None:
        name = f"{settings}-{kept.key}"
        header = {
            "version": VERSION,
            "sha256": hashlib.sha256(kept.objects).hexdigest(),
            "notes": [tuple(note) for note in kept.notes],
            "sourceType": kept.source_type,
            "commands": kept.commands,
        }
        content = orjson.dumps(header) + b"\n" + kept.objects
        with self._lock, contextlib.suppress(OSError):  # a full disk makes it slower, not wrong
            self._open()
            self._forget(name)
            _write(self._directory / name, content)
            self._learn(name, len(content))
            for old in self._names[settings][:-MOST_VARIANTS]:
                self._remove(old)
            self._trim()

    def forget(self, settings: str) -> None:
        with self._lock:
            self._open()
            for name in list(self._names.get(settings, ())):
                self._remove(name)

    def _open(self) -> None:
        if self._sizes is not None:
            return
        self._sizes = OrderedDict()
        self._directory.mkdir(parents=True, exist_ok=True)
        found = [(path.stat(), path) for path in self._directory.iterdir() if path.is_file()]
        for stat, path in sorted(found, key=lambda pair: pair[0].st_mtime_ns):
            if path.name.startswith("."):
                path.unlink(missing_ok=True)  # what a crash left half written
            else:
                self._learn(path.name, stat.st_size)
        self._trim()

    def _learn(self, name: str, size: int) -> None:
        assert self._sizes is not None
        self._sizes[name] = size
        self._size += size
        self._names.setdefault(name.partition("-")[0], []).append(name)

    def _forget(self, name: str) -> None:
        if self._sizes is None or name not in self._sizes:
            return
        self._size -= self._sizes.pop(name)
        settings = name.partition("-")[0]
        self._names[settings].remove(name)
        if not self._names[settings]:
            del self._names[settings]

    def _remove(self, name: str) -> None:
        self._forget(name)
        with contextlib.suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)

    def _trim(self) -> None:
        while self._sizes and self._size > self._largest:
            self._remove(next(iter(self._sizes)))


def _write(path: Path, content: bytes) -> None:
    """A reader sees all of it or nothing. Not forced to the disk: what a crash damages is found out by its digest."""
    sibling = path.with_name(f".{path.name}")
    with open(os.open(sibling, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    sibling.replace(path)


def _read(path: Path) -> Kept | None:
    try:
        header, _, objects = path.read_bytes().partition(b"\n")
        said = orjson.loads(header)
        if said["version"] != VERSION or said["sha256"] != hashlib.sha256(objects).hexdigest():
            return None
        notes = tuple(Note(*note) for note in said["notes"])
        return Kept(notes, said["sourceType"], tuple(said["commands"]), objects)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
