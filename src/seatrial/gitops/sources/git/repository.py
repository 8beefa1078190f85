"""GitRepository: one repository as sources use it. Revisions of names, files of revisions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from seatrial.gitops.sources.files import SourceFailed
from seatrial.gitops.sources.git.files import GitFiles
from seatrial.gitops.sources.git.mirror import Mirror
from seatrial.gitops.sources.git.process import GitFailed
from seatrial.gitops.sources.git.refs import FULL_SHA, SHORT_SHA, Refs
from seatrial.gitops.sources.shared import Shared

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.gitops.api.source import Source
    from seatrial.gitops.sources.address import Address
    from seatrial.gitops.sources.git.objects import Objects
    from seatrial.gitops.sources.git.process import Git

_NO_SUCH_COMMIT = re.compile(r"not our ref|couldn't find remote ref|unadvertised object")
_MOST_OPEN = 64
"""Revisions of one repository that are held ready."""


class GitRepository:
    def __init__(
        self, directory: Path, address: Address, spelled: str, git: Git, clock: Clock, *, fresh: float
    ) -> None:
        self.address = address
        self._mirror = Mirror(directory / "git" / address.digest, address, spelled, git, clock)
        self._refs: Shared[Refs] = Shared(self._ask, clock, fresh=fresh, seed=address.key)
        self._files: dict[str, GitFiles] = {}
        self._answers: tuple[Refs | None, dict[tuple[str, str], str | None]] = (None, {})

    async def resolve(self, source: Source, *, force: bool = False) -> str:
        """The commit a source's `targetRevision` means now. Raises SourceFailed."""
        revision = source.target_revision.strip()
        if FULL_SHA.fullmatch(revision):
            return await self._pinned(revision.lower())
        refs = await self.refs(force=force)
        found = self._find(refs, revision, str(source.spec.get("tagPrefix") or ""))
        if found is None and SHORT_SHA.fullmatch(revision):
            found = await self._shortened(revision.lower())
        if found is None:
            raise self._unknown(revision, refs)
        return found

    async def refs(self, *, force: bool = False) -> Refs:
        return await self._refs.get(force=force)

    async def poll(self) -> dict[str, str]:
        """Ask the remote now: what moved since the last time it answered. Raises SourceFailed."""
        before = self._refs.last
        after = await self.refs(force=True)
        return {} if before is None or before is after else after.moved_from(before)

    async def open(self, revision: str) -> GitFiles:
        """Raises SourceFailed."""
        objects = await self._mirror.open()
        held = self._files.get(revision)
        if held is not None and held.reads(objects):
            return held
        if not objects.has(revision):
            objects = await self._fetched(revision)
        files = GitFiles(objects, self.address.url, revision, self._mirror.distrust)
        self._files.pop(revision, None)
        while len(self._files) >= _MOST_OPEN:
            self._files.pop(next(iter(self._files)))
        self._files[revision] = files
        return files

    @property
    def delay(self) -> float:
        return self._refs.delay

    async def close(self) -> None:
        await self._refs.close()
        self._files.clear()
        await self._mirror.close()

    async def _ask(self) -> Refs:
        if self._refs.last is None:
            await self._mirror.open()
            remembered = self._mirror.remembered()
            if remembered.commits:
                self._refs.learn(remembered)
        return await self._mirror.list_remote()

    def _find(self, refs: Refs, revision: str, tag_prefix: str) -> str | None:
        """Many Applications ask the same; a range among thousands of tags is not looked for each time."""
        if self._answers[0] is not refs:
            self._answers = (refs, {})
        known = self._answers[1]
        if (revision, tag_prefix) not in known:
            known[revision, tag_prefix] = refs.find(revision, tag_prefix)
        return known[revision, tag_prefix]

    async def _pinned(self, sha: str) -> str:
        objects = await self._mirror.open()
        commit = objects.commit(sha)
        if commit is None:
            commit = (await self._fetched(sha)).commit(sha)
        if commit is None:
            raise self._unknown(sha, None)
        return commit

    async def _shortened(self, text: str) -> str | None:
        """Only a copy of everything can tell what a shortened id means."""
        objects = await self._mirror.open()
        commit = objects.commit(text)
        if commit is None:
            await self._mirror.fetch(text)
            commit = (await self._mirror.open()).commit(text)
        return commit

    async def _fetched(self, sha: str) -> Objects:
        try:
            await self._mirror.fetch(sha)
        except GitFailed as error:
            if _NO_SUCH_COMMIT.search(error.detail):
                raise self._unknown(sha, None) from error
            raise
        objects = await self._mirror.open()
        if self._refs.last is not None:
            self._mirror.remember_default(self._refs.last.default)
        if not objects.has(sha):
            raise self._unknown(sha, None)
        return objects

    def _unknown(self, revision: str, refs: Refs | None) -> SourceFailed:
        text = f"repository {self.address.url}: there is no revision {revision or 'HEAD'!r}"
        if refs is not None and not refs.commits:
            return SourceFailed(f"{text}: the repository is empty")
        return SourceFailed(f"{text}: expected a branch, a tag, a range of tags or a commit")
