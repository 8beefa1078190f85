"""Files that change together: a reader sees all of the old ones or all of the new.

The layout programs know from Kubernetes, some of which watch for it: the files lie in a directory with the time as
its name, `..data` is a symbolic link to it, and each top-level name is a link through `..data`. An update writes a
new directory and renames a new `..data` over the old.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.cluster.node.volumes.payload import Payload

DATA = "..data"
_NEW = "..data_tmp"
_DIRECTORY_MODE = 0o755


def write(target: Path, payload: Payload, now: float, own: Callable[[Path], None]) -> bool:
    """Make the directory hold exactly these files; False if it did. `own` is given the new directory before anyone
    sees it, to hand it to a group. Raises OSError.
    """
    old = _current(target)
    if old is not None and _holds(target / old, payload):
        _link(target, payload)
        return False
    stamp = datetime.fromtimestamp(now, UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    fresh = Path(tempfile.mkdtemp(prefix=stamp, dir=target))
    try:
        fresh.chmod(_DIRECTORY_MODE)
        _fill(fresh, payload)
        own(fresh)
        (target / _NEW).unlink(missing_ok=True)
        (target / _NEW).symlink_to(fresh.name)
        (target / _NEW).rename(target / DATA)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    _link(target, payload)
    if old is not None:
        shutil.rmtree(target / old, ignore_errors=True)
    return True


def _current(target: Path) -> str | None:
    try:
        return os.readlink(target / DATA)
    except FileNotFoundError:
        return None


def _fill(directory: Path, payload: Payload) -> None:
    for path, file in payload.items():
        place = directory / path
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            with contextlib.suppress(FileExistsError):
                (directory / parent).mkdir()
            (directory / parent).chmod(_DIRECTORY_MODE)
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(file.data)
            if file.owner is not None:
                os.fchown(handle, file.owner, -1)
            os.fchmod(handle, file.mode)  # the umask has no say


def _link(target: Path, payload: Payload) -> None:
    """The names users see: those of new files are made, those of removed ones vanish."""
    wanted = {PurePosixPath(path).parts[0] for path in payload}
    there = {entry.name for entry in os.scandir(target) if not entry.name.startswith("..")}
    for name in wanted - there:
        (target / name).symlink_to(f"{DATA}/{name}")
    for name in there - wanted:
        (target / name).unlink()


def _holds(directory: Path, payload: Payload) -> bool:
    """The same files with the same contents. Modes are those of the pod's specification, which stays."""
    there = {
        str((Path(root) / name).relative_to(directory))
        for root, _directories, names in os.walk(directory)
        for name in names
    }
    return there == set(payload) and all((directory / path).read_bytes() == file.data for path, file in payload.items())
