"""Refs: what a repository's names point to, and how a `targetRevision` becomes one of them. Nothing is asked here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.gitops.sources import semver

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL_SHA = re.compile(r"[0-9A-Fa-f]{40}")
SHORT_SHA = re.compile(r"[0-9A-Fa-f]{7,39}")
HEAD = "HEAD"
_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_PEELED = "^{}"


@dataclass(frozen=True, slots=True)
class Refs:
    commits: Mapping[str, str]
    """By full name (`HEAD` too): the commit, also behind an annotated tag."""
    default: str = ""
    """The branch HEAD is, as `refs/heads/main`; "" if it is none."""

    @classmethod
    def parse(cls, listing: bytes) -> Refs:
        """Of `git ls-remote --symref`. Lines of another form are passed over."""
        commits: dict[str, str] = {}
        default = ""
        for line in listing.decode(errors="replace").splitlines():
            value, _, name = line.partition("\t")
            if value.startswith("ref: ") and name == HEAD:
                default = value.removeprefix("ref: ")
            elif FULL_SHA.fullmatch(value):
                commits[name.removesuffix(_PEELED)] = value  # the peeled line comes after the tag's own
        return cls(commits, default)

    def find(self, revision: str, tag_prefix: str = "") -> str | None:
        """The commit a name, a range of versions or "" means; None if nothing has that name.

        As Argo CD: a range is looked for among the tags before it is taken for a name. Of a tag and a branch of one
        name the tag is meant, as in Git.
        """
        name = self._of_range(revision, tag_prefix) or (tag_prefix + revision)
        for candidate in _candidates(name or HEAD):
            if candidate in self.commits:
                return self.commits[candidate]
        return None

    def moved_from(self, before: Refs) -> dict[str, str]:
        """Names that point elsewhere than before; "" for those that are gone."""
        moved = {name: sha for name, sha in self.commits.items() if before.commits.get(name) != sha}
        return moved | {name: "" for name in before.commits if name not in self.commits}

    @property
    def tags(self) -> list[str]:
        return [name.removeprefix(_TAGS) for name in self.commits if name.startswith(_TAGS)]

    def _of_range(self, revision: str, tag_prefix: str) -> str | None:
        wanted = semver.range_of(revision) if revision else None
        if wanted is None:
            return None
        best = wanted.highest(tag.removeprefix(tag_prefix) for tag in self.tags if tag.startswith(tag_prefix))
        return None if best is None else f"{_TAGS}{tag_prefix}{best}"


def _candidates(name: str) -> tuple[str, ...]:
    if name == HEAD or name.startswith("refs/"):
        return (name,)
    return (_TAGS + name, _HEADS + name, f"refs/{name}")
