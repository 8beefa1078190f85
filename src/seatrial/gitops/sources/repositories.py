"""Repositories: every repository in use, asked for news once each. Revisions of sources, and the files at them.

The controller says with `use` which sources its Applications have; nothing else is polled. A ref or a chart that moved
is told by `on_change`, whoever noticed it: the poll, or `refresh` after a webhook.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from typing import TYPE_CHECKING, Protocol

from seatrial.base.errors import SeatrialError
from seatrial.base.tasks import TaskGroup
from seatrial.gitops.api import repositoryurl
from seatrial.gitops.sources.address import Address
from seatrial.gitops.sources.files import SourceFailed
from seatrial.gitops.sources.git.process import Git
from seatrial.gitops.sources.git.repository import GitRepository
from seatrial.gitops.sources.helm import dependencies
from seatrial.gitops.sources.helm.download import Downloads
from seatrial.gitops.sources.helm.repository import HelmRepository
from seatrial.gitops.sources.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.gitops.api.repositories import Credential
    from seatrial.gitops.api.source import Source
    from seatrial.gitops.sources.files import Files
    from seatrial.gitops.sources.helm.dependencies import Dependency

log = logging.getLogger(__name__)

PERIOD_SECONDS = 180.0
_JITTER = 0.1
"""Repositories are spread over a tenth of the period, each at its own place."""


class Repository(Protocol):
    address: Address

    async def resolve(self, source: Source, *, force: bool = False) -> str: ...

    async def poll(self) -> dict[str, str]: ...

    async def close(self) -> None: ...

    @property
    def delay(self) -> float: ...


class Repositories:
    """`on_change(url, {ref: commit})`: "" for a ref that is gone; of a Helm repository, {chart: newest version}.
    Compare its URL by `repositoryurl.same`.

    `credentials`, `trust` and `environment` are asked at each use: a Secret changed is in force at once.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        credentials: Callable[[str], Credential | None] = lambda _url: None,
        *,
        trust: Callable[[], Trust] = Trust,
        environment: Mapping[str, str] | None = None,
        on_change: Callable[[str, Mapping[str, str]], None] = lambda _url, _moved: None,
        period: float = PERIOD_SECONDS,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._on_change = on_change
        self._period = period
        self.git = Git(credentials, trust, environment or {})
        self.downloads = Downloads(credentials, trust)
        self._known: dict[tuple[str, str], GitRepository | HelmRepository] = {}
        self._used: set[tuple[str, str]] = set()
        self._polls: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._tasks: TaskGroup | None = None

    # reading

    async def resolve(self, source: Source, *, force: bool = False) -> str:
        """The commit, or the chart's version, that the source means now. `force` asks the remote first.

        Raises SourceFailed, SourceRefused.
        """
        return await self._of(source).resolve(source, force=force)

    async def open(self, source: Source, revision: str) -> Files:
        """`revision` is what `resolve` gave. Raises SourceFailed, SourceRefused."""
        repository = self._of(source)
        if isinstance(repository, HelmRepository):
            return await repository.open(source, revision)
        return await repository.open(revision)

    async def dependencies(self, files: Files, path: str) -> list[Dependency]:
        """What the chart at `path` names in its Chart.yaml and does not bring. Raises SourceFailed, SourceRefused."""
        return await dependencies.missing(files, path, self._helm)

    # keeping up

    def every(self, seconds: float) -> None:
        """Poll with this period from the next time on."""
        self._period = seconds

    def use(self, sources: Iterable[Source]) -> None:
        """Exactly these are polled from now on; mirrors of the others are closed, and kept on disk."""
        wanted: dict[tuple[str, str], Source] = {}
        for source in sources:
            try:
                wanted.setdefault(_key(source), source)
            except SeatrialError:
                continue  # said by `resolve`, to the Application that has it
        self._used = set(wanted)
        for source in wanted.values():
            self._of(source)
        if self._tasks is None:
            return
        for key in self._polls.keys() - self._used:
            self._polls.pop(key).cancel()
            self._tasks.start("close a repository", self._drop(key))
        for key in self._used - self._polls.keys():
            self._polls[key] = self._tasks.start(f"poll {self._known[key].address.url}", self._poll(key))

    async def refresh(self, url: str) -> None:
        """Ask now, whatever the period says; `on_change` follows if something moved. Failures are logged."""
        found = [known for key, known in self._known.items() if repositoryurl.same(known.address.url, url)]
        await asyncio.gather(*(self._check(repository) for repository in found))

    async def run(self) -> None:
        """Poll until cancelled; then close everything."""
        async with TaskGroup() as self._tasks:
            try:
                for key in self._used:
                    self._polls[key] = self._tasks.start(f"poll {self._known[key].address.url}", self._poll(key))
                await asyncio.get_running_loop().create_future()
            finally:
                self._polls.clear()
                tasks, self._tasks = self._tasks, None
                await tasks.close()

    async def close(self) -> None:
        for key in list(self._known):
            await self._drop(key, also_used=True)
        await self.downloads.close()

    # inside

    def _of(self, source: Source) -> GitRepository | HelmRepository:
        key = _key(source)
        found = self._known.get(key)
        if found is None:
            address = Address.of(source.repo_url)
            fresh = self._period * (1 + 2 * _JITTER)
            if source.chart:
                found = HelmRepository(
                    self._directory, address, source.repo_url, self.downloads, self._clock, fresh=fresh
                )
            else:
                found = GitRepository(self._directory, address, source.repo_url, self.git, self._clock, fresh=fresh)
            self._known[key] = found
        return found

    def _helm(self, source: Source) -> HelmRepository:
        found = self._of(source)
        assert isinstance(found, HelmRepository)  # `source.chart` is set
        return found

    async def _poll(self, key: tuple[str, str]) -> None:
        spread = zlib.crc32(key[1].encode()) / 2**32
        delay = self._period * spread  # what `resolve` learned at the start is fresh as long
        while True:
            await self._clock.sleep(delay)
            repository = self._known[key]
            await self._check(repository)
            delay = repository.delay or self._period * (1 + _JITTER * spread)

    async def _check(self, repository: Repository) -> None:
        try:
            moved = await repository.poll()
        except SeatrialError as error:
            log.warning("a repository could not be asked", extra={"error": error.message})
            return
        if moved:
            self._on_change(repository.address.url, moved)

    async def _drop(self, key: tuple[str, str], *, also_used: bool = False) -> None:
        if key in self._used and not also_used:
            return
        found = self._known.pop(key, None)
        if found is not None:
            await found.close()


def _key(source: Source) -> tuple[str, str]:
    """Raises SourceRefused."""
    if source.repo_url.startswith("oci://"):
        raise SourceFailed(f"repository {source.repo_url[:200]!r}: OCI registries are not supported as sources")
    return ("helm" if source.chart else "git"), Address.of(source.repo_url).key
