"""Dependencies: charts that a chart names and does not bring in `charts/`, in its lock's versions if it has one."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from seatrial.base import yamldepth
from seatrial.gitops.api.source import Source
from seatrial.gitops.sources import semver
from seatrial.gitops.sources.files import SourceRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.gitops.sources.files import Files
    from seatrial.gitops.sources.helm.repository import HelmRepository

_MOST = 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Dependency:
    """Either an archive, to be put as `charts/<file>`, or a directory of the same Files (`file://`)."""

    name: str
    version: str
    archive: bytes = field(default=b"", repr=False)
    path: str = ""

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.tgz"


async def missing(files: Files, chart: str, repository: Callable[[Source], HelmRepository]) -> list[Dependency]:
    """Of the chart at path `chart`. `repository` is asked only for what is not there. Raises SourceFailed,
    SourceRefused."""
    wanted = _named(files, chart)
    if not wanted:
        return []
    locked = _locked(files, chart)
    found: list[Dependency] = []
    for entry in wanted:
        name, version, url = (_text(entry, key, files, chart) for key in ("name", "version", "repository"))
        if _is_brought(files, chart, name, version):
            continue
        if not url:
            raise _refused(files, chart, f"{name}: it is not in charts/, and no repository is named")
        if url.startswith("file://"):
            found.append(_local(files, chart, name, url.removeprefix("file://")))
        else:
            found.append(
                await _fetched(files, chart, name, locked.get((name, url.rstrip("/")), version), url, repository)
            )
    return found


async def _fetched(
    files: Files, chart: str, name: str, version: str, url: str, repository: Callable[[Source], HelmRepository]
) -> Dependency:
    if not url.startswith(("http://", "https://")):
        kind = "aliases of repositories" if url.startswith(("@", "alias:")) else "repositories of this kind"
        raise _refused(files, chart, f"{name}: {url[:200]!r}: {kind} are not supported: expected https:// or file://")
    source = Source(url, chart=name, target_revision=version)
    asked = repository(source)
    exact = await asked.resolve(source)
    return Dependency(name, exact, archive=await asked.archive(name, exact))


def _local(files: Files, chart: str, name: str, target: str) -> Dependency:
    path = posixpath.normpath(posixpath.join(chart, target))
    if target.startswith("/") or path == ".." or path.startswith("../"):
        raise _refused(files, chart, f"{name}: file://{target[:200]} leads out of the repository")
    path = "" if path == "." else path
    metadata = _yaml(files, posixpath.join(path, "Chart.yaml"))
    if metadata is None:
        raise _refused(files, chart, f"{name}: there is no chart at file://{target[:200]}")
    return Dependency(name, str(metadata.get("version") or ""), path=path)


def _named(files: Files, chart: str) -> list[dict[str, Any]]:
    """`dependencies` of Chart.yaml, or of requirements.yaml before version 2 of charts."""
    metadata = _yaml(files, posixpath.join(chart, "Chart.yaml")) or {}
    entries = metadata.get("dependencies")
    if entries is None and metadata.get("apiVersion") in (None, "v1"):
        entries = (_yaml(files, posixpath.join(chart, "requirements.yaml")) or {}).get("dependencies")
    if not isinstance(entries, list | None) or len(entries or ()) > _MOST:
        raise _refused(files, chart, f"expected a list of at most {_MOST}")
    if not all(isinstance(entry, dict) for entry in entries or ()):
        raise _refused(files, chart, "expected objects with name, version and repository")
    return entries or []


def _locked(files: Files, chart: str) -> dict[tuple[str, str], str]:
    """(name, repository) -> version."""
    for name in ("Chart.lock", "requirements.lock"):
        lock = _yaml(files, posixpath.join(chart, name))
        entries = (lock or {}).get("dependencies")
        if isinstance(entries, list):
            return {
                (str(entry.get("name")), str(entry.get("repository") or "").rstrip("/")): str(
                    entry.get("version") or ""
                )
                for entry in entries
                if isinstance(entry, dict)
            }
    return {}


def _is_brought(files: Files, chart: str, name: str, version: str) -> bool:
    """As a directory of that name, or an archive of it in a version that fits."""
    charts = posixpath.join(chart, "charts")
    if files.entry(posixpath.join(charts, name, "Chart.yaml")) is not None:
        return True
    directory = files.entry(charts)
    if directory is None or directory.kind != "directory":
        return False
    for entry in files.list(charts):
        file = entry.path.rpartition("/")[2]
        if entry.kind == "file" and file.startswith(f"{name}-") and file.endswith(".tgz"):
            found = semver.parsed(file[len(name) + 1 : -len(".tgz")])
            if found is not None and (not version or _fits(found, version)):
                return True
    return False


def _fits(found: semver.Version, wanted: str) -> bool:
    try:
        return found == semver.parsed(wanted) or semver.Range(wanted).matches(found)
    except ValueError:
        return False


def _text(entry: dict[str, Any], key: str, files: Files, chart: str) -> str:
    value = entry.get(key)
    text = "" if value is None else str(value)
    if key == "name" and (not text or "/" in text or text.startswith(".")):
        raise _refused(files, chart, f"{text[:200]!r} is not a name of a chart")
    return text


def _yaml(files: Files, path: str) -> dict[str, Any] | None:
    """None if there is none. Raises SourceRefused."""
    if files.entry(path) is None:
        return None
    try:
        content = files.read(path)
        yamldepth.check(content)
        loaded = yaml.load(content, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError, IsADirectoryError) as error:
        raise SourceRefused(f"{files.origin}: {path} is not YAML: {str(error)[:200]}") from None
    if not isinstance(loaded, dict | None):
        raise SourceRefused(f"{files.origin}: {path}: expected an object")
    return loaded or {}


def _refused(files: Files, chart: str, why: str) -> SourceRefused:
    return SourceRefused(f"{files.origin} at {files.revision[:10]}: dependencies of the chart {chart or '.'}: {why}")
