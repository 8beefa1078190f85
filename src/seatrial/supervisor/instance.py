"""One instance: its data directory, who holds it, and what it says of itself to `seatrial status`."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 6443


class DirectoryUnusable(Terminal):
    reason = "DirectoryUnusable"


class AlreadyRunning(Terminal):
    reason = "AlreadyRunning"


@dataclass(frozen=True, slots=True)
class Instance:
    directory: Path

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def admin_token(self) -> Path:
        return self.directory / "admin-token"

    @property
    def log(self) -> Path:
        return self.directory / "seatrial.log"

    @property
    def _state(self) -> Path:
        return self.directory / "state.json"

    @property
    def _lock(self) -> Path:
        return self.directory / "lock"

    @property
    def _port(self) -> Path:
        return self.directory / "port"

    def prepare(self) -> None:
        """Make the directory, readable by its owner alone. Raises DirectoryUnusable."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self.directory / ".writable", b"")
            (self.directory / ".writable").unlink()
        except OSError as error:
            raise DirectoryUnusable(
                f"cannot use the data directory {self.directory}: {error.strerror}. "
                "Free space or fix its permissions, or name another with --data-dir"
            ) from error

    def acquire(self) -> int:
        """Hold the instance until the descriptor is closed. Raises AlreadyRunning."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(
                f"an instance is already running in {self.directory} (pid {self.holder() or 'unknown'}). "
                "Stop it with `seatrial down`, or name another directory with --data-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def holder(self) -> int | None:
        """The process that holds the instance, or None when nobody does."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            return int(text) if text.isdigit() else None
        finally:
            os.close(descriptor)
        return None

    def write_state(self, state: dict[str, Any]) -> None:
        write_atomic(self._state, orjson.dumps(state, option=orjson.OPT_INDENT_2), mode=0o600)

    def read_state(self) -> dict[str, Any]:
        try:
            state = orjson.loads(self._state.read_bytes())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def last_port(self) -> int | None:
        """The API port of the last start: a kubeconfig copied elsewhere stays right."""
        try:
            text = self._port.read_text()
        except OSError:
            return None
        return int(text) if text.strip().isdigit() else None

    def remember_port(self, port: int) -> None:
        write_atomic(self._port, str(port))
