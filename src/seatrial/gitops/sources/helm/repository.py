"""HelmRepository: one repository of charts over HTTP. Versions of ranges, files of versions.

<directory>/helm/<repository>/index.yaml, index.json   the index as it came, and what it is asked again with
<directory>/charts/<sha-256>.tgz                       archives, by the digest that the index promises
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import orjson

from seatrial.base.files import write_atomic
from seatrial.gitops.sources.files import SourceFailed, SourceRefused
from seatrial.gitops.sources.helm import archive, index
from seatrial.gitops.sources.helm.archive import ChartFiles
from seatrial.gitops.sources.shared import Shared

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.gitops.api.source import Source
    from seatrial.gitops.sources.address import Address
    from seatrial.gitops.sources.helm.download import Downloads
    from seatrial.gitops.sources.helm.index import ChartVersion, Index

log = logging.getLogger(__name__)

_MOST_OPEN = 16
"""Charts that are held unpacked."""


class HelmRepository:
    def __init__(
        self, directory: Path, address: Address, spelled: str, downloads: Downloads, clock: Clock, *, fresh: float
    ) -> None:
        self.address = address
        self._spelled = spelled
        self._directory = directory / "helm" / address.digest
        self._archives = directory / "charts"
        self._downloads = downloads
        self._index: Shared[Index] = Shared(self._ask, clock, fresh=fresh, seed=address.key)
        self._told: dict[str, str] = {}
        self._files: OrderedDict[tuple[str, str], ChartFiles] = OrderedDict()
        self._turn = asyncio.Lock()

    async def resolve(self, source: Source, *, force: bool = False) -> str:
        """The version of `source.chart` that its `targetRevision` means now. Raises SourceFailed, SourceRefused."""
        return (await self._version(source.chart, source.target_revision.strip(), force=force)).version

    async def poll(self) -> dict[str, str]:
        """Ask for the index now: the newest version of each chart in use whose newest changed. Raises SourceFailed."""
        before = self._index.last
        after = await self._current(force=True)
        if before is None or before is after:
            return {}
        old = before.newest()
        changed: dict[str, str] = {}
        for chart in old:
            versions = await asyncio.to_thread(after.versions, chart)
            if versions != before.versions(chart):
                changed[chart] = versions[0].version if versions else ""
        return changed

    async def open(self, source: Source, version: str) -> ChartFiles:
        """Raises SourceFailed, SourceRefused."""
        key = source.chart, version
        held = self._files.get(key)
        if held is not None:
            self._files.move_to_end(key)
            return held
        async with self._turn:
            if key in self._files:
                return self._files[key]
            everywhere = bool((source.helm or {}).get("passCredentials"))
            content = await self.archive(source.chart, version, everywhere=everywhere)
            what = f"chart {source.chart} {version} of {self.address.url}"
            files = await asyncio.to_thread(_chart_files, content, what, f"{self.address.url}/{source.chart}", version)
            self._files[key] = files
            if len(self._files) > _MOST_OPEN:
                self._files.popitem(last=False)
        return files

    async def archive(self, chart: str, version: str, *, everywhere: bool = False) -> bytes:
        """The archive itself, by an exact version or a range. Raises SourceFailed, SourceRefused."""
        found = await self._version(chart, version)
        cached = self._archives / f"{found.digest}.tgz" if _is_digest(found.digest) else None
        if cached is not None:
            content = await asyncio.to_thread(_read, cached)
            if content is not None and hashlib.sha256(content).hexdigest() == found.digest:
                return content
        content = await self._download(chart, found, everywhere)
        if cached is not None:
            await asyncio.to_thread(_write, cached, content)
        return content

    @property
    def delay(self) -> float:
        return self._index.delay

    async def close(self) -> None:
        await self._index.close()
        self._files.clear()

    # the index

    async def _current(self, *, force: bool = False) -> Index:
        return await self._index.get(force=force)

    async def _version(self, chart: str, wanted: str, *, force: bool = False) -> ChartVersion:
        current = await self._current(force=force)
        found = await asyncio.to_thread(current.find, chart, wanted)
        if found is not None:
            return found
        if not await asyncio.to_thread(current.versions, chart):
            raise SourceFailed(f"repository {self.address.url}: there is no chart {chart!r}")
        raise SourceFailed(
            f"repository {self.address.url}: chart {chart!r} has no version {wanted or '*'!r}: "
            "expected a version, or a range that one of its versions is in (pre-releases only fit a range naming one)"
        )

    async def _ask(self) -> Index:
        """Unchanged content costs an answer of a few bytes, and is the same Index as before."""
        if self._index.last is None:
            kept = await asyncio.to_thread(self._kept)
            if kept is not None:
                self._index.learn(kept)
        url = self.address.url.rstrip("/") + "/index.yaml"
        last = self._index.last
        headers = await asyncio.to_thread(self._conditions) if last is not None else {}
        answer = await self._downloads.get(url, self._spelled, limit=index.LARGEST_INDEX, headers=headers)
        if answer.status == 304 and last is not None:
            return last
        tags = {"url": url, "etag": answer.headers.get("etag"), "last-modified": answer.headers.get("last-modified")}
        return await asyncio.to_thread(self._keep, answer.content, tags)

    def _keep(self, content: bytes, tags: dict[str, str | None]) -> Index:
        self._directory.mkdir(parents=True, exist_ok=True)
        # Without the tags first: a crash between the two writes costs a download, not a wrong index.
        (self._directory / "index.json").unlink(missing_ok=True)
        write_atomic(self._directory / "index.yaml", content)
        write_atomic(self._directory / "index.json", orjson.dumps(tags))
        return index.mapped(self._directory / "index.yaml", self.address.url)

    def _kept(self) -> Index | None:
        try:
            return index.mapped(self._directory / "index.yaml", self.address.url)
        except OSError:
            return None

    def _conditions(self) -> dict[str, str]:
        try:
            tags = orjson.loads((self._directory / "index.json").read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        pairs = {"if-none-match": tags.get("etag"), "if-modified-since": tags.get("last-modified")}
        return {name: value for name, value in pairs.items() if value}

    # archives

    async def _download(self, chart: str, version: ChartVersion, everywhere: bool) -> bytes:
        what = f"chart {chart} {version.version} of {self.address.url}"
        if not version.urls:
            raise SourceRefused(f"{what}: the index names no URL")
        base = self.address.url.rstrip("/") + "/"
        url = urljoin(base, version.urls[0])
        answer = await self._downloads.get(url, self._spelled, limit=archive.LARGEST_ARCHIVE, everywhere=everywhere)
        if version.digest and hashlib.sha256(answer.content).hexdigest() != version.digest:
            raise SourceFailed(f"{what}: the archive is not what the index promises: its SHA-256 differs")
        return answer.content


def _chart_files(content: bytes, what: str, origin: str, version: str) -> ChartFiles:
    return ChartFiles(archive.unpacked(content, what), origin, version)


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
