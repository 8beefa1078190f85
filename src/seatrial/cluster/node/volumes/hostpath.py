"""hostPath volumes: a path in the node's mount namespace that is what the pod says it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.cluster.node.volumes.errors import VolumeNotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def find(source: Mapping[str, Any]) -> Path:
    """Raises VolumeNotReady."""
    path, kind = Path(source["path"]), source.get("type") or ""
    try:
        _create(path, kind)
        mode = path.stat().st_mode
    except OSError as error:
        raise VolumeNotReady(f"hostPath type check failed: {path}: {error.strerror}") from error
    if kind in _CHECKS:
        holds, name = _CHECKS[kind]
        if not holds(mode):
            raise VolumeNotReady(f"hostPath type check failed: {path} is not {name}")
    return path


def _create(path: Path, kind: str) -> None:
    """Without a type nothing is checked, and what is missing becomes a directory, as runtimes do it."""
    if kind in ("", "DirectoryOrCreate") and not path.exists():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
