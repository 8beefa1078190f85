"""Logs and artifacts of runs: `<directory>/<run>/<attempt>/log`, with a bound on their size."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_LOG = 64 << 20
_CUT = "\t\tThe log is longer than 64 MiB: the rest is not kept.\n"


class LogFile:
    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._size = 0

    def write(self, text: str) -> None:
        if self._size > LARGEST_LOG:
            return
        data = text.encode(errors="replace")
        self._size += len(data)
        self._file.write(data if self._size <= LARGEST_LOG else _CUT.encode())

    def close(self) -> None:
        self._file.close()


class Shelf:
    """Where what is left of runs is found again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def log(self, run: str, attempt: int) -> Path:
        return self.directory / run / str(attempt) / "log"

    def artifacts(self, run: str, attempt: int) -> Path:
        return self.directory / run / str(attempt) / "artifacts"

    def remove(self, run: str) -> None:
        shutil.rmtree(self.directory / run, ignore_errors=True)

    def runs(self) -> list[str]:
        return sorted(entry.name for entry in self.directory.iterdir()) if self.directory.is_dir() else []
