"""A place inside a volume: found without ever leaving the volume, whatever links its containers have made there.

The path is walked name by name with open directories in hand, so that nobody can swap one under us. Links are
followed as long as they stay inside. What is found is an open file, not a name: see `Mounter.bind`.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING

from seatrial.cluster.node.volumes.errors import NoSuchMount

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_LINKS = 40
"""As the kernel bears."""
_HERE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_REFERENCE = re.compile(r"\$(\$|\([^()]*\))")


def expand(text: str, environment: Mapping[str, str]) -> str:
    """subPathExpr: `$(NAME)` of the container's environment, `$$` for a dollar. Raises NoSuchMount."""

    def replace(found: re.Match[str]) -> str:
        inner = found.group(1)
        if inner == "$":
            return "$"
        if inner[1:-1] not in environment:
            raise NoSuchMount(
                f'subPathExpr {text!r}: missing value for "{inner[1:-1]}": the container has no such variable'
            )
        return environment[inner[1:-1]]

    return _REFERENCE.sub(replace, text)


def open_inside(volume: Path, path: str) -> int:
    """A descriptor (O_PATH) of `path` in the volume; a directory is made where there is nothing. The caller closes it.

    Raises NoSuchMount, OSError.
    """
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise NoSuchMount(f"subPath {path!r}: use a path relative to the volume, without '..'")
    walk = _Walk(volume, path)
    try:
        return walk.to_end()
    finally:
        walk.close()


class _Walk:
    def __init__(self, volume: Path, path: str) -> None:
        self._path = path
        self._left = _names(path)
        """Names still to go, the next one last."""
        self._links = 0
        self._way = [os.open(volume, os.O_PATH | os.O_CLOEXEC)]
        """Open directories from the volume's root to where we are."""
        self._mode = stat.S_IMODE(os.fstat(self._way[0]).st_mode)

    def close(self) -> None:
        for opened in self._way:
            os.close(opened)

    def to_end(self) -> int:
        while self._left:
            name = self._left.pop()
            if name == "..":
                self._up()
                continue
            found = self._open(name)
            mode = os.fstat(found).st_mode
            if stat.S_ISLNK(mode):
                try:
                    self._follow(os.readlink("", dir_fd=found))
                finally:
                    os.close(found)
                continue
            self._way.append(found)
            if self._left and not stat.S_ISDIR(mode):
                raise NoSuchMount(f"subPath {self._path!r}: {name} is not a directory")
        return self._way.pop() if len(self._way) > 1 else os.dup(self._way[0])

    def _up(self) -> None:
        if len(self._way) == 1:
            raise self._leaves()
        os.close(self._way.pop())

    def _follow(self, target: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise NoSuchMount(f"subPath {self._path!r}: too many symbolic links")
        if target.startswith("/"):
            raise self._leaves()
        self._left += _names(target)

    def _leaves(self) -> NoSuchMount:
        return NoSuchMount(f"subPath {self._path!r}: a symbolic link leads out of the volume")

    def _open(self, name: str) -> int:
        here = self._way[-1]
        try:
            return os.open(name, _HERE, dir_fd=here)
        except FileNotFoundError:
            pass
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=here)
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            try:
                os.fchmod(made, self._mode)  # as the volume itself; the umask has no say
            finally:
                os.close(made)
        return os.open(name, _HERE, dir_fd=here)


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
