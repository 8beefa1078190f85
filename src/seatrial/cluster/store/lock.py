"""One process at a time: an advisory lock beside the database, dropped by the kernel however its holder ends."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from seatrial.cluster.store.errors import StoreLocked

if TYPE_CHECKING:
    from pathlib import Path


class Lock:
    def __init__(self, path: Path) -> None:
        """Take the lock of the database `path`. Raises StoreLocked, OSError."""
        self._descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self, path: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            raise StoreLocked(
                path,
                f"in use by another process (pid {holder or 'unknown'})",
                "Stop that process, or use another data directory",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)
