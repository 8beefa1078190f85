"""Users and groups by name: from /etc/passwd and /etc/group of an image.

An image is hostile: its files are found layer by layer with no symbolic link followed, and read to a limit.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.cluster.node.images.unpack import OPAQUE_TRUSTED, OPAQUE_USER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_MOST_BYTES = 1024 * 1024
_MOST_NUMBER = 2**31 - 1
_MOST_DIGITS = 10


class NoSuchUser(Terminal):
    reason = "CreateContainerError"


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Those of /etc/group that list the user."""
    home: str
    is_numeric: bool
    """Given as a number: then it is known not to be root without trusting the image."""


def find(layers: Sequence[Path], user: str) -> User:
    """`user` as an image's configuration has it: `name`, `uid`, `name:group`, `uid:gid`. Raises NoSuchUser."""
    name, _, group = user.partition(":")
    name = name or "0"
    entries = [fields for fields in _fields(layers, "passwd") if len(fields) >= 7]
    # A number is a number: an entry that calls itself 1000 and is root must not become user 1000.
    entry = next((fields for fields in entries if name == fields[2 if name.isdecimal() else 0]), None)
    if entry is None and not name.isdecimal():
        raise NoSuchUser(f"unable to find user {name}: no matching entries in the image's passwd file")
    listed = list(_fields(layers, "group"))
    uid = _number(entry[2] if entry else name)
    gid = _number(entry[3]) if entry else 0
    if group:
        gid = _group(listed, group)
    return User(
        uid=uid,
        gid=gid,
        groups=tuple(_members(listed, entry[0])) if entry else (),
        home=entry[5] if entry and entry[5] else "/root" if uid == 0 else "/",
        is_numeric=name.isdecimal(),
    )


def _group(listed: Iterable[list[str]], group: str) -> int:
    if group.isdecimal():
        return _number(group)
    for fields in listed:
        if len(fields) >= 3 and group == fields[0]:
            return _number(fields[2])
    raise NoSuchUser(f"unable to find group {group}: no matching entries in the image's group file")


def _members(listed: Iterable[list[str]], name: str) -> list[int]:
    return [_number(fields[2]) for fields in listed if len(fields) >= 4 and name in fields[3].strip().split(",")]


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) > _MOST_NUMBER:
        raise NoSuchUser(f"{text[:40]!r} is no id of a user or group: expected 0 to {_MOST_NUMBER}")
    return int(text)


def _fields(layers: Sequence[Path], name: str) -> Iterator[list[str]]:
    for line in _lines(layers, name):
        yield line.split(":")


def _lines(layers: Sequence[Path], name: str) -> list[str]:
    for layer in layers:
        found = _read(layer, name)
        if found is not None:
            return found.decode("utf-8", "replace").splitlines()
    return []


def _read(layer: Path, name: str) -> bytes | None:
    """None: this layer leaves the file to those below."""
    root = os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        etc = os.open("etc", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    except FileNotFoundError:
        return None
    except OSError:  # a link, a file or a whiteout in its place: what is below does not show
        return b""
    finally:
        os.close(root)
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=etc)
    except FileNotFoundError:
        return b"" if _is_opaque(etc) else None
    except OSError:
        return b""
    finally:
        os.close(etc)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):  # a whiteout: removed, whatever is below
            return b""
        return os.read(file, _MOST_BYTES)
    finally:
        os.close(file)


def _is_opaque(directory: int) -> bool:
    for name in (OPAQUE_TRUSTED, OPAQUE_USER):
        with contextlib.suppress(OSError):
            if os.getxattr(directory, name) == b"y":
                return True
    return False
