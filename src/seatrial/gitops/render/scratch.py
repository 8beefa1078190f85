"""Scratch: where workers write what a tool insists on reading from a directory. In memory if the system has it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MEMORY = Path("/dev/shm")
_PREFIX = "seatrial-render-"


class Scratch:
    """A private directory that `close` removes."""

    def __init__(self, fallback: Path) -> None:
        self.is_memory = _is_memory(_MEMORY)
        parent = _MEMORY if self.is_memory else fallback
        parent.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def remove_leftovers(fallback: Path) -> None:
    """Of processes that were killed."""
    for parent in (_MEMORY, fallback):
        for path in parent.glob(f"{_PREFIX}*") if parent.is_dir() else ():
            owner = path.name.removeprefix(_PREFIX).partition("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists():
                shutil.rmtree(path, ignore_errors=True)


def write_tree(directory: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Paths come from Files, which has no way out; a second look costs nothing."""
    made: set[str] = set()
    root = str(directory)
    for path, content in files:
        parts = path.split("/")
        if path.startswith("/") or ".." in parts:
            raise ValueError(f"{path!r} leads out of the directory")
        place = f"{root}/{path}"
        parent = place.rpartition("/")[0]
        if parent not in made:
            os.makedirs(parent, mode=0o700, exist_ok=True)
            made.add(parent)
        with open(place, "wb") as file:
            file.write(content)


def _is_memory(path: Path) -> bool:
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return False
    found = [line.split() for line in mounts]
    is_tmpfs = any(len(mount) > 2 and mount[1] == str(path) and mount[2] == "tmpfs" for mount in found)
    return is_tmpfs and os.access(path, os.W_OK)
