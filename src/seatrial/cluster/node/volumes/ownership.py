"""fsGroup: a volume's files belong to a group all containers of the pod are in."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from seatrial.cluster.node.volumes.errors import VolumeNotReady

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.kube.model.objects import Object

_WRITABLE, _READABLE = 0o660, 0o440
_ENTER = 0o110
_LIKE_ROOT = "OnRootMismatch"


def group_of(pod: Object) -> int | None:
    found = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return None if found is None else int(found)


def user_of(pod: Object) -> int | None:
    """The one user all containers run as, if their specifications say so and agree."""
    spec = pod["spec"]
    shared: Mapping[str, Any] = spec.get("securityContext") or {}
    users = {
        (container.get("securityContext") or {}).get("runAsUser", shared.get("runAsUser"))
        for container in (*(spec.get("initContainers") or []), *spec["containers"])
    }
    return users.pop() if len(users) == 1 else None


def only_on_mismatch(pod: Object) -> bool:
    policy = (pod["spec"].get("securityContext") or {}).get("fsGroupChangePolicy")
    return bool(policy == _LIKE_ROOT)


def give(directory: Path, group: int, *, read_only: bool = False, only_on_mismatch: bool = False) -> None:
    """Everything in there to the group, directories so that new files are its too. Raises VolumeNotReady.

    `only_on_mismatch`: not if the directory itself is as it would become.
    """
    if only_on_mismatch and _is_given(directory.stat(), group, read_only=read_only):
        return
    try:
        for _root, directories, files, parent in os.fwalk(directory, topdown=False):
            for name in (*directories, *files):
                _give(name, parent, group, read_only=read_only)
        # Last, so that whoever finds it done finds all of it done.
        _give(str(directory), None, group, read_only=read_only)
    except OSError as error:
        raise VolumeNotReady(
            f"cannot give {error.filename or directory} to fsGroup {group}: {error.strerror}: without root only the "
            "groups of the user's range (/etc/subgid) exist"
        ) from error


def _mask(mode: int, *, read_only: bool) -> int:
    mask = _READABLE if read_only else _WRITABLE
    return mask | _ENTER | stat.S_ISGID if stat.S_ISDIR(mode) else mask


def _is_given(found: os.stat_result, group: int, *, read_only: bool) -> bool:
    mask = _mask(found.st_mode, read_only=read_only)
    return found.st_gid == group and found.st_mode & mask == mask


def _give(name: str, parent: int | None, group: int, *, read_only: bool) -> None:
    """By the open file: a container that uses the volume at the same time may put a link in its place."""
    try:
        opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return
    try:
        mode = os.fstat(opened).st_mode
        if stat.S_ISLNK(mode):
            os.chown(name, -1, group, dir_fd=parent, follow_symlinks=False)
            return
        os.chown(f"/proc/self/fd/{opened}", -1, group)
        os.chmod(f"/proc/self/fd/{opened}", stat.S_IMODE(mode) | _mask(mode, read_only=read_only))
    finally:
        os.close(opened)
