"""What is read of a bare repository without a checkout. Blocks: call it in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pygit2

from seatrial.base.errors import Terminal
from seatrial.pipeline.gitserver.repositories import NO_COMMIT
from seatrial.pipeline.workflow.file import DIRECTORY, LARGEST

if TYPE_CHECKING:
    from pathlib import Path

_MOST_PATHS = 3000
"""Changed files that are looked at: beyond, a push is large enough to be taken for code."""
_MOST_WORKFLOWS = 100


class CommitUnknown(Terminal):
    reason = "CommitUnknown"


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    message: str
    author: str

    @property
    def title(self) -> str:
        return self.message.strip().split("\n", 1)[0][:200]


class Commits:
    def __init__(self, repository: Path) -> None:
        self._repository = pygit2.Repository(str(repository))

    def resolve(self, name: str) -> str:
        """The commit of a branch, tag or commit id. Raises CommitUnknown."""
        return str(self._commit(name).id)

    def read(self, name: str) -> Commit:
        """Raises CommitUnknown."""
        found = self._commit(name)
        return Commit(str(found.id), found.message, found.author.name)

    def workflows(self, name: str) -> dict[str, bytes]:
        """Path and content of each workflow file. Raises CommitUnknown."""
        try:
            folder = self._commit(name).tree / DIRECTORY
        except KeyError:
            return {}
        if not isinstance(folder, pygit2.Tree):
            return {}
        found = {}
        for entry in list(folder)[:_MOST_WORKFLOWS]:
            if isinstance(entry, pygit2.Blob) and (entry.name or "").endswith((".yml", ".yaml")):
                found[f"{DIRECTORY}/{entry.name}"] = entry.data if entry.size <= LARGEST else b"x" * (LARGEST + 1)
        return found

    def changed(self, before: str, after: str) -> list[str]:
        """Paths that differ; for a new branch, since it left the default branch. Raises CommitUnknown."""
        new = self._commit(after)
        old = self._base(before, new)
        diff = new.tree.diff_to_tree(swap=True) if old is None else old.tree.diff_to_tree(new.tree)
        paths: dict[str, None] = {}
        for delta in diff.deltas:
            paths |= {delta.old_file.path: None, delta.new_file.path: None}
            if len(paths) >= _MOST_PATHS:
                break
        return list(paths)

    def _base(self, before: str, new: pygit2.Commit) -> pygit2.Commit | None:
        if before != NO_COMMIT:
            try:
                return self._commit(before)
            except CommitUnknown:  # a forced push may have left it behind
                return None
        try:
            default = self._repository.head.peel(pygit2.Commit)
        except pygit2.GitError:
            return None
        if default.id == new.id:
            return None
        shared = self._repository.merge_base(default.id, new.id)
        return self._commit(str(shared)) if shared is not None else None

    def _commit(self, name: str) -> pygit2.Commit:
        try:
            return self._repository.revparse_single(name).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError):
            raise CommitUnknown(f"there is no commit '{name}'") from None
