"""One instance: its data directory, who holds it, and what it says of itself to `seatrial status`."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic
from seatrial.cluster.nodeprocess import removal
from seatrial.supervisor import claim

if TYPE_CHECKING:
    from pathlib import Path

_STOP_SECONDS = 30.0
"""More than a supervisor needs to stop its parts, including those it has to kill."""
_ORPHAN_SECONDS = 10.0
"""How long the part of a supervisor that was killed may take to notice."""
_PARTS = (claim.NODE, claim.DELIVERY, claim.REGISTRY, claim.CLUSTER)
"""In the order in which they are to end."""
_STATE_BYTES = 8192
"""The state file has this size from the start: on a full disk it can still be overwritten."""
_PROBE_BYTES = 64 * 1024
_LOG_BYTES = 16 * 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    def node_kubeconfig(self) -> Path:
        """What the node's own process may do."""
        return self.directory / "node.kubeconfig"

    @property
    def node_socket(self) -> Path:
        """Where the node's own server listens."""
        return self.directory / "node.sock"

    @property
    def admin_token(self) -> Path:
        return self.directory / "admin-token"

    @property
    def git_token(self) -> Path:
        """What opens the git server to its owner."""
        return self.directory / "git-token"

    @property
    def registry_auth(self) -> Path:
        """What opens the registry (containers-auth.json)."""
        return self.directory / "registry" / "auth.json"

    @property
    def ca(self) -> Path:
        return self.directory / "pki" / "ca.crt"

    @property
    def log(self) -> Path:
        return self.directory / "seatrial.log"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def _state(self) -> Path:
        return self.directory / "state.json"

    @property
    def _ports(self) -> Path:
        return self.directory / "ports.json"

    def prepare(self) -> None:
        """Make the directory (its owner's alone), and see that it can be written. Raises DirectoryUnusable."""
        probe = self.directory / ".probe"
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                write_atomic(probe, bytes(_PROBE_BYTES))
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise self.unusable(error) from error

    def unusable(self, error: OSError) -> DirectoryUnusable:
        """The directory, what is wrong with it and what to do, from what the system said."""
        problem, remedy = error.strerror or str(error), "Make it writable for this user"
        if error.errno in _FULL:
            problem, remedy = "the disk is full", "Free some space"
        elif isinstance(error, FileExistsError | NotADirectoryError):
            problem, remedy = "it is not a directory", "Remove the file that is in the way"
        elif isinstance(error, IsADirectoryError):
            problem, remedy = "a directory where a file should be", "Remove it"
        named = error.filename2 or error.filename
        place = f" ({named})" if named not in (None, str(self.directory), str(self.directory / ".probe")) else ""
        return DirectoryUnusable(
            f"cannot use the data directory {self.directory}: {problem}{place}. "
            f"{remedy}, or name another directory with --data-dir"
        )

    def log_file(self) -> Path:
        """The log to append to; one that has grown large is put aside first. Raises DirectoryUnusable."""
        try:
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
                os.replace(self.log, self.log.with_suffix(".log.1"))
            self.log.touch(0o600)
        except OSError as error:
            raise self.unusable(error) from error
        return self.log

    # Who holds it.

    def acquire(self) -> None:
        """Hold the instance until this process ends. Raises AlreadyRunning, DirectoryUnusable."""
        try:
            if not claim.take(self.lock, claim.SUPERVISOR):
                raise self._taken()
        except OSError as error:
            raise self.unusable(error) from error

    def check_free(self) -> None:
        """Raises AlreadyRunning."""
        if self.holder() is not None:
            raise self._taken()

    def _taken(self) -> AlreadyRunning:
        return AlreadyRunning(
            f"an instance is already running in {self.directory} (pid {self.holder() or 'unknown'}). "
            "Stop it with `seatrial down`, or name another directory with --data-dir"
        )

    def holder(self) -> int | None:
        """The supervisor's process (0: of another PID namespace), or None if nothing runs. Raises DirectoryUnusable."""
        return self._holder(claim.SUPERVISOR)

    def orphans(self) -> list[int]:
        """Processes that end by themselves when their supervisor is gone."""
        found = [self._holder(byte) for byte in _PARTS]
        return [pid for pid in found if pid is not None]

    def _holder(self, byte: int) -> int | None:
        try:
            return claim.holder(self.lock, byte)
        except NotADirectoryError:
            return None
        except OSError as error:
            raise self.unusable(error) from error

    def stop(self) -> bool:
        """Return when everything has ended; False if nothing was running. Raises Terminal, DirectoryUnusable."""
        if self.holder() is None and not self.orphans():
            return False
        insist = (signal.SIGTERM, signal.SIGKILL)
        claim.end(self.lock, claim.SUPERVISOR, _STOP_SECONDS, insist)
        for byte in _PARTS:
            claim.end(self.lock, byte, _ORPHAN_SECONDS, insist)
        return True

    def delete(self) -> bool:
        """Remove all it has stored; False if there is nothing. Raises Terminal: it runs, or is no instance's."""
        if not self.directory.exists():
            return False
        self.check_free()
        if not self.ca.is_file():
            raise Terminal(f"{self.directory} is not deleted: it does not look like an instance's (no {self.ca})")
        try:
            removal.remove(self.directory, os.environ.get("PATH", ""))
        except OSError as error:
            named = error.filename or self.directory
            raise Terminal(f"{self.directory} is not deleted: {named}: {error.strerror or error}") from error
        return True

    # What it says of itself.

    def write_state(self, state: dict[str, Any]) -> None:
        """Raises OSError."""
        data = orjson.dumps(state, option=orjson.OPT_INDENT_2).ljust(_STATE_BYTES)
        try:
            write_atomic(self._state, data, mode=0o600)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._overwrite_state(data)

    def _overwrite_state(self, data: bytes) -> None:
        with self._state.open("r+b") as file:
            if file.seek(0, os.SEEK_END) < len(data):
                raise OSError(errno.ENOSPC, "the disk is full", str(self._state))
            file.seek(0)
            file.write(data)
            file.truncate()

    def read_state(self) -> dict[str, Any]:
        """Empty if there is none; it may be that of an earlier run."""
        try:
            state = orjson.loads(self._state.read_bytes())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def forget_state(self) -> None:
        self._state.unlink(missing_ok=True)

    def last_port(self, name: str) -> int | None:
        """The port that `name` (`api`, `git`, `registry`) had at the last start: an address copied elsewhere stays
        right."""
        port = self._known_ports().get(name)
        return port if isinstance(port, int) and 0 < port < 65536 else None

    def remember_port(self, name: str, port: int) -> None:
        """Raises OSError."""
        if port != self.last_port(name):
            write_atomic(self._ports, orjson.dumps({**self._known_ports(), name: port}))

    def _known_ports(self) -> dict[str, Any]:
        try:
            found = orjson.loads(self._ports.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
