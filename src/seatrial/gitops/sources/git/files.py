"""GitFiles: a commit as Files.

Links are followed as a file system would follow them in a checkout, but never out of the repository. Submodules are not
fetched: where one is, nothing is listed, and a way into it is refused.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pygit2

from seatrial.gitops.sources.files import Entry, SourceFailed, SourceRefused
from seatrial.gitops.sources.git.objects import DIRECTORY, FILE, LINK, MODULE, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seatrial.gitops.sources.git.objects import Objects

_MOST_LINKS_ON_A_WAY = 40
"""As Linux: more is a loop."""
_MOST_FILES = 100_000
_LONGEST_PATH = 4096


class _Found(NamedTuple):
    node: Node
    way: tuple[str, ...]
    """Where it really is, all links followed."""


class _Budget:
    left = _MOST_FILES


class GitFiles:
    """Reads commit `revision` of `objects`; `distrust` is called when an object that must be there cannot be read."""

    def __init__(self, objects: Objects, origin: str, revision: str, distrust: Callable[[], None]) -> None:
        self._objects = objects
        self._origin = origin
        self._revision = revision
        self._distrust = distrust
        self._entries: dict[str, Entry | None] = {}
        with self._reading():
            self._root = objects.root(revision)

    @property
    def origin(self) -> str:
        return self._origin

    @property
    def revision(self) -> str:
        return self._revision

    def reads(self, objects: Objects) -> bool:
        """False after the mirror was made anew."""
        return self._objects is objects

    def entry(self, path: str) -> Entry | None:
        if path not in self._entries:
            with self._reading():
                found = self._find(path)
                self._entries[path] = None if found is None else self._entry(_clean(path), found)
        return self._entries[path]

    def read(self, path: str) -> bytes:
        with self._reading():
            found = self._find(path)
            if found is None:
                raise FileNotFoundError(f"{self._origin}: there is no {path!r} at {self._revision}")
            if found.node.kind == DIRECTORY:
                raise IsADirectoryError(f"{self._origin}: {path!r} is a directory at {self._revision}")
            return self._objects.blob(found.node.id)

    def list(self, path: str) -> list[Entry]:
        with self._reading():
            return [self._entry(child, found) for child, found in self._children(path, self._directory(path))]

    def walk(self, path: str) -> Iterator[Entry]:
        with self._reading():
            start = self._find(path)
            if start is None:
                raise FileNotFoundError(f"{self._origin}: there is no {path!r} at {self._revision}")
        budget = _Budget()
        yield from self._walk(_clean(path), start, (), budget)

    # the way to a path

    def _find(self, path: str) -> _Found | None:
        """None: nothing there. Raises SourceRefused for a way out, into a submodule, or round in circles."""
        if len(path) > _LONGEST_PATH or path.startswith("/") or "\0" in path:
            raise self._refused(path, "is not a path inside the repository")
        nodes = [Node(DIRECTORY, self._root)]
        way: list[str] = []
        rest = path.split("/")[::-1]
        links = 0
        while rest:
            name = rest.pop()
            if name in ("", "."):
                continue
            if nodes[-1].kind != DIRECTORY:
                return None
            if name == "..":
                if not way:
                    raise self._refused(path, "leads out of the repository")
                way.pop()
                nodes.pop()
                continue
            node = self._objects.tree(nodes[-1].id).get(name)
            if node is None:
                return None
            if node.kind == MODULE:
                raise self._refused(path, "is in a submodule, and submodules are not fetched: commit the files instead")
            if node.kind == LINK:
                links += 1
                if links > _MOST_LINKS_ON_A_WAY:
                    raise self._refused(path, "is a loop of symbolic links")
                rest += self._target(path, node)[::-1]
                continue
            way.append(name)
            nodes.append(node)
        return _Found(nodes[-1], tuple(way))

    def _target(self, path: str, node: Node) -> Sequence[str]:
        target = self._objects.blob(node.id).decode(errors="surrogateescape")
        if target.startswith("/") or len(target) > _LONGEST_PATH or "\0" in target:
            raise self._refused(path, "is a symbolic link that leads out of the repository")
        return target.split("/")

    def _directory(self, path: str) -> _Found:
        found = self._find(path)
        if found is None:
            raise FileNotFoundError(f"{self._origin}: there is no {path!r} at {self._revision}")
        if found.node.kind != DIRECTORY:
            raise NotADirectoryError(f"{self._origin}: {path!r} is a file at {self._revision}")
        return found

    def _children(self, path: str, directory: _Found) -> Iterator[tuple[str, _Found]]:
        """By name. Links that lead to nothing are not there, as they are not for who opens them."""
        prefix = _clean(path)
        for name, node in sorted(self._objects.tree(directory.node.id).items()):
            child = f"{prefix}/{name}" if prefix else name
            if node.kind in (FILE, DIRECTORY):
                yield child, _Found(node, (*directory.way, name))
            elif node.kind == LINK:
                found = self._find("/".join((*directory.way, name)))
                if found is not None:
                    yield child, found

    def _walk(self, path: str, found: _Found, above: tuple[tuple[str, ...], ...], budget: _Budget) -> Iterator[Entry]:
        """In the order of the paths as strings: a directory `a` comes where `a/` stands."""
        budget.left -= 1
        if budget.left < 0:
            raise self._refused(path, f"belongs to more than {_MOST_FILES} files")
        if found.node.kind != DIRECTORY:
            yield Entry(path, "file", found.node.id)
            return
        if found.way in above:
            raise self._refused(path, "is a symbolic link to a directory it is in")
        with self._reading():
            children = list(self._children(path, found))
        children.sort(key=lambda child: child[0] + "/" if child[1].node.kind == DIRECTORY else child[0])
        for child, below in children:
            yield from self._walk(child, below, (*above, found.way), budget)

    # what identifies it

    def _entry(self, path: str, found: _Found) -> Entry:
        if found.node.kind == DIRECTORY:
            return Entry(path, "directory", self._directory_id(found))
        return Entry(path, "file", found.node.id)

    def _directory_id(self, found: _Found) -> str:
        """The tree's id; with links out of the directory, what they lead to belongs to it."""
        outward = [link for link in self._objects.links(found.node.id) if _leaves(*link)]
        if not outward:
            return found.node.id
        digest = hashlib.sha256(found.node.id.encode())
        for link, _ in outward:
            digest.update(f"\0{link}\0{self._target_id('/'.join((*found.way, link)))}".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _target_id(self, path: str) -> str:
        try:
            target = self._find(path)
        except SourceRefused:
            return "refused"
        if target is None:
            return "nothing"
        if target.node.kind == DIRECTORY and self._objects.links(target.node.id):
            return self._root  # links behind links: whatever changes may matter
        return target.node.id

    # errors

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, ValueError, pygit2.GitError) as error:
            self._distrust()
            raise SourceFailed(
                f"{self._origin}: an object of {self._revision} could not be read; the mirror is fetched anew",
                detail=str(error),
            ) from error

    def _refused(self, path: str, why: str) -> SourceRefused:
        return SourceRefused(f"{self._origin} at {self._revision[:10]}: {path[:200]!r} {why}")


def _clean(path: str) -> str:
    """Without `.`, `..` and empty parts. Only called for what `_find` found."""
    if path and "/." not in f"/{path}" and "//" not in path and path[-1] != "/":
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _leaves(link: str, target: str) -> bool:
    """Whether a link, by its text, leads out of the directory it is looked at from. In doubt it does."""
    depth = link.count("/")
    downward = False
    for part in target.split("/"):
        if part == "..":
            depth -= 1
            if downward or depth < 0:
                return True
        elif part not in ("", "."):
            depth += 1
            downward = True
    return target.startswith("/")
