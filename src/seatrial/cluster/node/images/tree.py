"""The directory a layer is unpacked into: names of an archive become paths that cannot leave it.

Nobody but us writes there, so a path that was resolved component by component stays resolved. A symbolic link inside
a name is followed as the container will see it: absolute targets start at the tree's root, `..` ends there.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from seatrial.cluster.node.images.stream import BadLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_LINKS = 40
"""As many symbolic links as the kernel follows in one name."""
MAX_DEPTH = 256
"""Directories in directories: whoever deletes them again goes down as far."""
_PATH_MAX = 4096


class Tree:
    """Paths in and out are relative to the root, as bytes, without `.` and `..`; b"" is the root itself."""

    def __init__(self, root: bytes, on_new_directory: Callable[[bytes], None]) -> None:
        self._root = root
        self._on_new_directory = on_new_directory
        self._parents: dict[tuple[bytes, ...], bytes] = {}

    def at(self, path: bytes) -> bytes:
        """The path on this machine."""
        return self._root + b"/" + path if path else self._root

    def status(self, path: bytes) -> os.stat_result | None:
        try:
            return os.lstat(self.at(path))
        except FileNotFoundError:
            return None

    def place(self, parts: Sequence[bytes]) -> bytes:
        """Where an entry goes: its parent exists afterwards and is a real directory."""
        if not parts:
            return b""
        parent = self._parent(tuple(parts[:-1]))
        return parent + b"/" + parts[-1] if parent else parts[-1]

    def find(self, parts: Sequence[bytes]) -> bytes | None:
        """Where an existing entry is, None if there is none. Makes nothing."""
        if not parts:
            return b""
        parent = self._walk(tuple(parts[:-1]), make=False)
        if parent is None:
            return None
        path = parent + b"/" + parts[-1] if parent else parts[-1]
        return path if self.status(path) is not None else None

    def clear(self, path: bytes) -> None:
        """Remove whatever is at `path`, as something else takes its place."""
        found = self.status(path)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(self.at(path))
        else:
            os.unlink(self.at(path))
        if stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode):
            self._parents.clear()

    def _parent(self, parts: tuple[bytes, ...]) -> bytes:
        known = self._parents.get(parts)
        if known is None:
            found = self._walk(parts, make=True)
            known = self._parents[parts] = found if found is not None else b""
        return known

    def _walk(self, parts: tuple[bytes, ...], *, make: bool) -> bytes | None:
        done: list[bytes] = []
        todo = list(reversed(parts))
        links = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                del done[-1:]
                continue
            path = b"/".join((*done, part))
            found = self.status(path)
            if found is not None and stat.S_ISLNK(found.st_mode):
                links += 1
                if links > MAX_LINKS:
                    raise BadLayer(f"{shown(parts)}: more than {MAX_LINKS} symbolic links in one name")
                target = os.readlink(self.at(path))
                if target.startswith(b"/"):
                    done.clear()
                todo.extend(reversed(components(target)))
                continue
            if not self._is_directory(path, found, make=make):
                return None
            done.append(part)
            if len(done) > MAX_DEPTH:
                raise BadLayer(f"{shown(parts)}: more than {MAX_DEPTH} directories deep")
        return b"/".join(done)

    def _is_directory(self, path: bytes, found: os.stat_result | None, *, make: bool) -> bool:
        if found is not None and stat.S_ISDIR(found.st_mode):
            return True
        if found is not None and not is_whiteout(found):
            raise BadLayer(f"{shown((path,))}: used as a directory, but it is something else")
        if make:
            self._on_new_directory(path)
        return make


def split(name: bytes) -> tuple[bytes, ...]:
    """The components of an entry's name; a name that leads out of the layer is refused."""
    if len(name) > _PATH_MAX:
        raise BadLayer(f"{shown((name[:60],))}...: a name of {len(name)} bytes")
    if b"\0" in name:
        raise BadLayer(f"{shown((name,))}: a NUL byte in a name")
    done: list[bytes] = []
    for part in components(name):
        if part != b"..":
            done.append(part)
        elif done:
            done.pop()
        else:
            raise BadLayer(f"{shown((name,))}: the name leads out of the layer")
    if len(done) > MAX_DEPTH:
        raise BadLayer(f"{shown((name[:60],))}...: more than {MAX_DEPTH} directories deep")
    return tuple(done)


def components(name: bytes) -> list[bytes]:
    return [part for part in name.split(b"/") if part not in (b"", b".")]


def is_whiteout(found: os.stat_result) -> bool:
    """Overlayfs' mark for "deleted": a character device 0/0."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def shown(parts: Sequence[bytes]) -> str:
    return repr(os.fsdecode(b"/".join(parts)))
