"""Index: which versions of which charts a Helm repository has, and where.

Large repositories have indexes of tens of megabytes, and an Application wants one chart of them. An index written by
Helm is cut at its charts without being parsed, and only the wanted chart's part is; any other form is parsed whole.
"""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from seatrial.base import yamldepth
from seatrial.gitops.sources import semver
from seatrial.gitops.sources.files import SourceRefused

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_INDEX = 128 << 20
_LARGEST_WHOLE = 16 << 20
"""Of YAML that has to be parsed in one piece: some 30 s and 1 GB."""
_MOST_VERSIONS = 20_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENTRIES = re.compile(rb"^entries:[ \t]*(?:#[^\n]*)?\r?\n", re.MULTILINE)
_TOP = re.compile(rb"^[^\s#-]", re.MULTILINE)
_CHART = re.compile(rb"^  ([^\s#\-'\"][^\n]*?|'[^'\n]+'|\"[^\"\\\n]+\"):[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ChartVersion:
    version: str
    urls: tuple[str, ...]
    digest: str
    """SHA-256 in hex; "" if the index names none."""


def mapped(path: Path, url: str) -> Index:
    """Of a file: tens of megabytes that need not be in memory. Raises OSError."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return Index(b"", url)
        return Index(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), url)


class Index:
    def __init__(self, content: bytes | mmap.mmap, url: str) -> None:
        """Raises SourceRefused when it is read and is no index."""
        self._content = content
        self._url = url
        self._charts: dict[str, tuple[ChartVersion, ...]] = {}

    def versions(self, chart: str) -> tuple[ChartVersion, ...]:
        """The newest first; versions that are none are left out, as Helm does. Empty: no such chart."""
        found = self._charts.get(chart)
        if found is None:
            found = self._charts[chart] = _ordered(self._entries(chart), self._url, chart)
        return found

    def newest(self) -> dict[str, str]:
        """Of the charts looked at so far: what polling compares."""
        return {chart: versions[0].version if versions else "" for chart, versions in self._charts.items()}

    def find(self, chart: str, wanted: str) -> ChartVersion | None:
        """By its exact text, else the newest within a range; "" is the newest release."""
        versions = self.versions(chart)
        for version in versions:
            if version.version == wanted:
                return version
        exact = semver.parsed(wanted)
        if exact is not None:
            return next((one for one in versions if semver.parsed(one.version) == exact), None)
        try:
            within = semver.Range(wanted or "*")
        except ValueError:
            return None
        best = within.highest(version.version for version in versions)
        return next((one for one in versions if one.version == best), None)

    def _entries(self, chart: str) -> Any:
        parts = self._parts
        if parts is None:
            return self._whole.get(chart)
        if chart not in parts:
            return None
        start, end = parts[chart]
        try:
            return next(iter(self._load(self._content[start:end]).values()))
        except (SourceRefused, AttributeError, StopIteration):  # an alias of another part, perhaps
            return self._whole.get(chart)

    @cached_property
    def _parts(self) -> dict[str, tuple[int, int]] | None:
        """Where each chart begins and ends; None if it is not in the form that Helm writes."""
        head = _ENTRIES.search(self._content)
        if self._content[:64].lstrip()[:1] == b"{" or head is None:
            return None
        tail = _TOP.search(self._content, head.end())
        end = tail.start() if tail else len(self._content)
        marks = list(_CHART.finditer(self._content, head.end(), end))
        if not marks:
            return None
        starts = [mark.start() for mark in marks] + [end]
        names = [mark[1].strip(b"'\"").decode(errors="replace") for mark in marks]
        return {name: (starts[number], starts[number + 1]) for number, name in enumerate(names)}

    @cached_property
    def _whole(self) -> dict[str, Any]:
        if self._content[:64].lstrip()[:1] == b"{":
            try:
                loaded = orjson.loads(self._content[:])
            except orjson.JSONDecodeError as error:
                raise SourceRefused(f"{self._url} is not JSON: {error}") from None
        elif len(self._content) > _LARGEST_WHOLE:
            raise SourceRefused(f"{self._url} is not in the form Helm writes, and larger than 16 MiB")
        else:
            loaded = self._load(self._content[:])
        entries = loaded.get("entries") if isinstance(loaded, dict) else None
        if not isinstance(entries, dict):
            raise SourceRefused(f"{self._url} is no index of a Helm repository: `entries` is missing")
        return entries

    def _load(self, content: bytes) -> Any:
        try:
            yamldepth.check(content)
            return yaml.load(content, Loader=_LOADER)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise SourceRefused(f"{self._url} is not YAML: {str(error).splitlines()[0]}") from None


def _ordered(entries: Any, url: str, chart: str) -> tuple[ChartVersion, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list) or len(entries) > _MOST_VERSIONS:
        raise SourceRefused(f"{url}: entries.{chart}: expected a list of at most {_MOST_VERSIONS} versions")
    found: list[tuple[semver.Version, ChartVersion]] = []
    for entry in entries:
        if isinstance(entry, dict) and (version := semver.parsed(str(entry.get("version") or ""))) is not None:
            urls = tuple(one for one in entry.get("urls") or () if isinstance(one, str))
            digest = str(entry.get("digest") or "").removeprefix("sha256:").lower()
            found.append((version, ChartVersion(version.text, urls, digest)))
    found.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(version for _, version in found)
