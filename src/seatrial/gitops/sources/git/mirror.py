"""Mirror: the bare copy of one repository in a directory, as far as it was fetched.

    <directory>/lock      held by this process and by every git it starts, so also by a git that outlives us
    <directory>/git-1     the bare repository; one made anew gets the next number, for libgit2 knows packs by their path
    <directory>/url       for people

Whatever is in there may be thrown away at any moment: it is fetched again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import shutil
from typing import TYPE_CHECKING

import pygit2

from seatrial.base.errors import SeatrialError
from seatrial.gitops.sources.files import SourceFailed
from seatrial.gitops.sources.git.objects import Objects
from seatrial.gitops.sources.git.process import GitFailed
from seatrial.gitops.sources.git.refs import FULL_SHA, Refs

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.gitops.sources.address import Address
    from seatrial.gitops.sources.git.process import Git

log = logging.getLogger(__name__)

LIST_SECONDS = 60.0
FETCH_SECONDS = 600.0
_LOCK_SECONDS = 60.0
_LOCK_STEP = 0.2
_FETCHES_PER_PACKING = 50
_UNREADABLE = (pygit2.GitError, KeyError, ValueError, SeatrialError)
_CORRUPT = re.compile(
    r"corrupt|bad object|loose object|unable to read|not a git repository|inflate|garbage at end|packfile|"
    r"invalid sha1 pointer|did not send all necessary objects|bad config|missing (blob|tree|commit)|broken ref|bad ref",
    re.IGNORECASE,
)


class Mirror:
    def __init__(self, directory: Path, address: Address, spelled: str, git: Git, clock: Clock) -> None:
        self._directory = directory
        self._path = directory / "git-1"
        self._address = address
        self._spelled = spelled
        self._git = git
        self._clock = clock
        self._turn = asyncio.Lock()
        """Of whoever changes the copy."""
        self._lock = -1
        self._objects: Objects | None = None
        self._suspect = False
        self._fetches = 0

    # asking the remote

    async def list_remote(self) -> Refs:
        """Raises SourceFailed."""
        arguments = ["ls-remote", "--symref", "--quiet", "--", self._address.url]
        return Refs.parse(await self._git.run(arguments, self._address, self._spelled, seconds=LIST_SECONDS))

    async def fetch(self, wanted: str) -> None:
        """Bring every branch and tag, and `wanted` if it is still missing then; whoever waited may find it there.

        Raises SourceFailed.
        """
        async with self._turn:
            await self._open()
            if self.has(wanted):
                return
            try:
                await self._fetch(wanted)
            except GitFailed as error:
                if not (self._suspect or _CORRUPT.search(error.detail)):
                    raise
                log.warning("a mirror is broken and made anew", extra={"repository": self._address.url})
                await self._remake()
                await self._fetch(wanted)

    # reading what is here

    async def open(self) -> Objects:
        """The objects of the copy, which may be empty. Raises SourceFailed."""
        if self._objects is None or self._suspect:
            async with self._turn:
                await self._open()
        assert self._objects is not None  # `_open` made it or raised
        return self._objects

    def has(self, sha: str) -> bool:
        return self._objects is not None and self._objects.has(sha)

    def remembered(self) -> Refs:
        """Branches and tags as the last fetch left them."""
        if self._objects is None:
            return Refs({})
        try:
            return self._objects.refs()
        except _UNREADABLE:
            self.distrust()
            return Refs({})

    def remember_default(self, branch: str) -> None:
        """What HEAD is at the remote; only of use after a restart."""
        if self._objects is not None and branch.startswith("refs/heads/"):
            with contextlib.suppress(*_UNREADABLE):
                self._objects.set_default(branch)

    def distrust(self) -> None:
        """An object that should be there could not be read: the next use makes the copy anew."""
        self._suspect = True

    async def close(self) -> None:
        """Let go of the files and the lock, after whoever is at it; the copy stays for the next time."""
        async with self._turn:
            self._objects = None
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    # changing the copy

    async def _open(self) -> None:
        if self._lock < 0:
            await self._take_lock()
            self._path = await asyncio.to_thread(_swept, self._directory)
        if self._suspect:
            await self._remake()
        if self._objects is None:
            try:
                self._objects = await asyncio.to_thread(_opened, self._path, self._address.url)
            except _UNREADABLE:
                await self._remake()

    async def _remake(self) -> None:
        self._objects, self._suspect = None, False
        old = self._path
        self._path = old.with_name(f"git-{_number(old) + 1}")
        await asyncio.to_thread(_remove, old)
        try:
            self._objects = await asyncio.to_thread(_opened, self._path, self._address.url)
        except (pygit2.GitError, OSError) as error:
            raise SourceFailed(f"repository {self._address.url}: no mirror at {self._path}: {error}") from error

    async def _fetch(self, wanted: str) -> None:
        await self._fetch_refs("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", prune=True)
        if FULL_SHA.fullmatch(wanted) and not self.has(wanted):
            # On no branch and no tag: a pull request, or a commit somebody pinned. The ref keeps it from being swept.
            await self._fetch_refs(f"+{wanted}:refs/pinned/{wanted}")
        await self._pack()

    async def _fetch_refs(self, *specs: str, prune: bool = False) -> None:
        arguments = ["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
        arguments += ["--no-recurse-submodules", "--no-show-forced-updates", *(["--prune"] if prune else [])]
        await self._run([*arguments, "--", self._address.url, *specs])
        if self._objects is not None:
            self._objects.forget_missing()

    async def _pack(self) -> None:
        """Each fetch leaves a pack or loose objects. A repacked copy has other files: it is opened anew."""
        self._fetches += 1
        if self._fetches % _FETCHES_PER_PACKING:
            return
        await self._run(["gc", "--quiet"])
        self._objects = await asyncio.to_thread(_opened, self._path, self._address.url)

    async def _run(self, arguments: list[str]) -> None:
        await self._git.run(
            [f"--git-dir={self._path}", *arguments],
            self._address,
            self._spelled,
            seconds=FETCH_SECONDS,
            directory=str(self._path),
            inherit=[self._lock],
        )

    async def _take_lock(self) -> None:
        """A git that outlived its Seatrial holds it until it ends."""
        await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        waited = 0.0
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waited >= _LOCK_SECONDS:
                    os.close(descriptor)
                    raise SourceFailed(
                        f"repository {self._address.url}: its mirror {self._directory} is in use by another process"
                    ) from None
            else:
                self._lock = descriptor
                return
            waited += _LOCK_STEP
            await self._clock.sleep(_LOCK_STEP)


def _opened(path: Path, url: str) -> Objects:
    """Raises pygit2.GitError."""
    if not (path / "HEAD").exists():
        _remove(path)
        pygit2.init_repository(str(path), bare=True, flags=_INIT_FLAGS)
        (path.parent / "url").write_text(f"{url}\n")
    return Objects(pygit2.Repository(str(path), pygit2.enums.RepositoryOpenFlag.NO_SEARCH), url)


_INIT_FLAGS = pygit2.enums.RepositoryInitFlag.MKPATH | pygit2.enums.RepositoryInitFlag.NO_REINIT


def _swept(directory: Path) -> Path:
    """The newest copy without what a killed git left: nobody else can hold it, the lock of the directory is ours."""
    copies = sorted(directory.glob("git-*"), key=_number)
    for old in copies[:-1]:
        _remove(old)
    if not copies:
        return directory / "git-1"
    path = copies[-1]
    for found in [*path.glob("*.lock"), *path.glob("refs/**/*.lock"), *path.glob("objects/**/*.lock")]:
        found.unlink(missing_ok=True)
    for found in [*path.glob("objects/**/tmp_*"), *path.glob("objects/**/.tmp-*")]:
        if found.is_file():
            found.unlink(missing_ok=True)
        else:
            shutil.rmtree(found, ignore_errors=True)
    return path


def _number(path: Path) -> int:
    text = path.name.rpartition("-")[2]
    return int(text) if text.isdigit() else 0


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
