"""LocalFiles: a directory of this machine as Files, for what has not been committed yet.

Only what is asked for is read. Links are followed inside the directory and never out of it.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.gitops.sources.files import Entry, SourceRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Places = list[Path]

REVISION = "local"
_MOST_FILES = 100_000
_LARGEST_FILE = 100 << 20


class LocalFiles:
    """Ids say nothing of the content: what was made of these files is never made use of again."""

    def __init__(self, root: Path) -> None:
        """Raises Terminal."""
        if not root.is_dir():
            raise Terminal(f"{root} is not a directory: expected one with manifests, a chart or a kustomization")
        self._root = root.resolve()
        self._mark = secrets.token_hex(8)

    @property
    def origin(self) -> str:
        return str(self._root)

    @property
    def revision(self) -> str:
        return REVISION

    def entry(self, path: str) -> Entry | None:
        found = self._find(path)
        if found.is_dir():
            return self._entry(path, "directory")
        return self._entry(path, "file") if found.is_file() else None

    def read(self, path: str) -> bytes:
        found = self._there(path)
        if found.is_dir():
            raise IsADirectoryError(f"{path!r} is a directory in {self._root}")
        if found.stat().st_size > _LARGEST_FILE:
            raise SourceRefused(f"{found} is larger than {_LARGEST_FILE >> 20} MiB")
        return found.read_bytes()

    def list(self, path: str) -> list[Entry]:
        found = self._there(path)
        if not found.is_dir():
            raise NotADirectoryError(f"{path!r} is a file in {self._root}")
        below = (f"{path}/{name}" if path else name for name in sorted(os.listdir(found)) if name != ".git")
        return [entry for child in below if (entry := self.entry(child)) is not None]

    def walk(self, path: str) -> Iterator[Entry]:
        if not self._there(path).is_dir():
            yield self._entry(path, "file")
            return
        left = _MOST_FILES
        above: Places = []
        for entry in self._walk(path, above):
            left -= 1
            if left < 0:
                raise SourceRefused(f"{self._root}: {path or '.'} has more than {_MOST_FILES} files")
            yield entry

    def _walk(self, path: str, above: Places) -> Iterator[Entry]:
        """In the order of the paths as strings: a directory `a` comes where `a/` stands."""
        here = self._find(path)
        if here in above:
            raise SourceRefused(f"{self._root}: {path!r} is a symbolic link to a directory it is in")
        above.append(here)
        for entry in sorted(self.list(path), key=lambda each: each.path + "/" * (each.kind == "directory")):
            if entry.kind == "directory":
                yield from self._walk(entry.path, above)
            else:
                yield entry
        above.pop()

    def _entry(self, path: str, kind: str) -> Entry:
        clean = "" if path in ("", ".") else os.path.normpath(path)
        return Entry(clean, "directory" if kind == "directory" else "file", f"{self._mark}:{clean}")

    def _there(self, path: str) -> Path:
        found = self._find(path)
        if not found.exists():
            raise FileNotFoundError(f"there is no {path!r} in {self._root}")
        return found

    def _find(self, path: str) -> Path:
        """The real place. Raises SourceRefused."""
        try:
            found = (self._root / path).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise SourceRefused(f"{self._root}: {path[:200]!r} cannot be followed: {error}") from None
        if path.startswith("/") or not found.is_relative_to(self._root):
            raise SourceRefused(
                f"{self._root}: {path[:200]!r} leads out of it: name a directory further up with --local-repo-root"
            )
        return found


def root_of(path: Path) -> Path:
    """The working copy that the path is in, else the path itself."""
    path = path.resolve()
    return next((found for found in (path, *path.parents) if (found / ".git").exists()), path)
