"""Objects: commits, trees and blobs of one mirror, read without a working copy. Trees are remembered as they were."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import pygit2

from seatrial.gitops.sources.files import SourceFailed, SourceRefused
from seatrial.gitops.sources.git.refs import HEAD, Refs

DIRECTORY, FILE, LINK, MODULE = 0o040000, 0o100000, 0o120000, 0o160000
_KIND = 0o170000
_MOST_TREES = 20_000
_MOST_LINKS = 1_000
_MOST_REMEMBERED = 200_000
_DEEPEST = 128
LARGEST_FILE = 50 << 20


class Node(NamedTuple):
    kind: int
    """DIRECTORY, FILE, LINK or MODULE."""
    id: str


class Objects:
    """Used from any thread. Nothing here ever changes: an object id is its content."""

    def __init__(self, repository: pygit2.Repository, url: str) -> None:
        self._repository = repository
        self._url = url
        self._trees: OrderedDict[str, dict[str, Node]] = OrderedDict()
        self._links: dict[str, tuple[tuple[str, str], ...]] = {}
        self._roots: dict[str, str] = {}

    def has(self, sha: str) -> bool:
        """Whether this commit is here (its trees are then, too)."""
        if sha in self._roots:
            return True
        try:
            return pygit2.Oid(hex=sha) in self._repository
        except (ValueError, pygit2.GitError):
            return False

    def forget_missing(self) -> None:
        """After a fetch: look again at what the directory holds."""
        self._repository.odb.exists(pygit2.Oid(b"\0" * 20))

    def commit(self, sha: str) -> str | None:
        """The full id of the commit that an id, perhaps shortened, perhaps a tag's, means. None if it is not here.

        Raises SourceFailed if it means several, or no commit.
        """
        try:
            found = self._repository.get(pygit2.Oid(hex=sha)) if len(sha) == 40 else self._repository[sha]
        except (KeyError, pygit2.GitError):
            return None
        except ValueError:
            raise SourceFailed(f"repository {self._url}: {sha} is ambiguous: give more of the commit id") from None
        if found is None:
            return None
        try:
            return str(found.peel(pygit2.Commit).id)
        except (pygit2.GitError, ValueError):
            raise SourceFailed(f"repository {self._url}: {sha} is no commit") from None

    def root(self, commit: str) -> str:
        """The tree of a commit. Raises KeyError, pygit2.GitError."""
        found = self._roots.get(commit)
        if found is None:
            if len(self._roots) > _MOST_REMEMBERED:
                self._roots.clear()
            found = self._roots[commit] = str(self._repository[pygit2.Oid(hex=commit)].peel(pygit2.Tree).id)
        return found

    def tree(self, id: str) -> dict[str, Node]:
        """By name, in Git's order. Raises KeyError, pygit2.GitError, SourceRefused."""
        found = self._trees.get(id)
        if found is None:
            found = _entries(self._repository.read(pygit2.Oid(hex=id))[1], self._url)
            self._trees[id] = found
            if len(self._trees) > _MOST_TREES:
                self._trees.popitem(last=False)
        return found

    def blob(self, id: str) -> bytes:
        """Raises KeyError, pygit2.GitError, SourceRefused if it is too large."""
        oid = pygit2.Oid(hex=id)
        size = self._repository.odb.read_header(oid)[1]
        if size > LARGEST_FILE:
            raise SourceRefused(
                f"repository {self._url}: a file of {size >> 20} MiB: at most {LARGEST_FILE >> 20} MiB are read"
            )
        data: bytes = self._repository.read(oid)[1]
        return data

    def links(self, tree: str, depth: int = 0) -> tuple[tuple[str, str], ...]:
        """Every symbolic link below a tree: its path from there, and what it says."""
        known = self._links.get(tree)
        if known is not None:
            return known
        if depth > _DEEPEST:
            raise SourceRefused(f"repository {self._url}: directories nested deeper than {_DEEPEST}")
        found: list[tuple[str, str]] = []
        for name, node in self.tree(tree).items():
            if node.kind == LINK:
                found.append((name, self.blob(node.id).decode(errors="surrogateescape")))
            elif node.kind == DIRECTORY:
                found += [(f"{name}/{path}", target) for path, target in self.links(node.id, depth + 1)]
        if len(found) > _MOST_LINKS:
            raise SourceRefused(f"repository {self._url}: more than {_MOST_LINKS} symbolic links in one directory")
        if len(self._links) > _MOST_REMEMBERED:
            self._links.clear()
        self._links[tree] = tuple(found)
        return self._links[tree]

    def refs(self) -> Refs:
        commits: dict[str, str] = {}
        for name in self._repository.listall_references():
            if name.startswith(("refs/heads/", "refs/tags/")):
                commit = self.commit(str(self._repository.references[name].target))
                if commit is not None:
                    commits[name] = commit
        target = self._repository.references["HEAD"].raw_target
        default = target.decode(errors="replace") if isinstance(target, bytes) else ""
        if default in commits:
            commits[HEAD] = commits[default]
        return Refs(commits, default)

    def set_default(self, branch: str) -> None:
        """What HEAD is at the remote, for `refs` after a restart."""
        if self._repository.references["HEAD"].raw_target != branch.encode():
            self._repository.references.create("HEAD", branch, force=True)


def _entries(data: bytes, url: str) -> dict[str, Node]:
    """A tree object: `<octal mode> <name> NUL <20 bytes>`, again and again."""
    found: dict[str, Node] = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        name = data[space + 1 : end].decode(errors="surrogateescape")
        if name in ("", ".", "..") or "/" in name:
            raise SourceRefused(f"repository {url}: a directory holds the name {name!r}, which leads elsewhere")
        kind = int(data[at:space], 8) & _KIND
        found[name] = Node(kind, data[end + 1 : end + 21].hex())
        at = end + 21
    return found
