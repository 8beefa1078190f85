"""A Kustomize source: the files that its kustomization reaches, and the Application's settings edited into it.

Kustomize gets a directory with exactly these files. What would be fetched from elsewhere is refused.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.gitops.render import documents, kustomizeedit
from seatrial.gitops.render.documents import BadDocument
from seatrial.gitops.render.job import Kustomize
from seatrial.gitops.render.request import RenderFailed
from seatrial.gitops.render.sourcetype import KUSTOMIZATIONS, normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seatrial.gitops.render.environment import Environment
    from seatrial.gitops.render.reading import Recorded
    from seatrial.gitops.render.sourcetype import Settled

_MOST_FILES = 10_000
_LARGEST = 50 << 20
_LARGEST_KUSTOMIZATION = 1 << 20
_LONGEST_WAY = 50
_REMOTE = re.compile(
    r"^(?:[a-z0-9+.-]+::|[a-z][a-z0-9+.-]*://|git@|github\.com[/:]|[^/]*\?ref=)|\?(?:ref|version|timeout)="
)
_TARGETS = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators")
_CONFIGURING = frozenset(("generators", "transformers", "validators"))
_PATCHES = ("patches", "patchesJson6902", "replacements")


def job(
    settled: Settled,
    files: Recorded,
    environment: Environment,
    unsealed: Callable[[bytes, str], bytes],
    binary: str,
) -> Kustomize:
    """Raises RenderFailed, SourceRefused."""
    closure = _Closure(files, unsealed)
    name, kustomization = closure.kustomization(settled.path)
    components = kustomizeedit.components(settled.settings)
    if settled.settings.get("ignoreMissingComponents"):
        components = [each for each in components if closure.is_kustomization(_joined(settled.path, each))]
    edited = kustomizeedit.edited(kustomization, settled.settings, components, environment.substituted)
    closure.put(name, files.read(name) if edited == kustomization else orjson.dumps(edited))
    closure.follow(settled.path, edited, 0)
    return Kustomize(tuple(closure.found.items()), settled.path, binary)


class _Closure:
    def __init__(self, files: Recorded, unsealed: Callable[[bytes, str], bytes]) -> None:
        self._files = files
        self._unsealed = unsealed
        self._visited: set[str] = set()
        self._size = 0
        self.found: dict[str, bytes] = {}

    def kustomization(self, path: str) -> tuple[str, dict[str, Any]]:
        """The file's path and content."""
        present = [place for name in KUSTOMIZATIONS if self._is_file(place := posixpath.join(path, name))]
        if len(present) != 1:
            found = "several" if present else "none"
            raise RenderFailed(f"{path or '.'}: expected one of {', '.join(KUSTOMIZATIONS)}, found {found}")
        content = self._files.read(present[0])
        if len(content) > _LARGEST_KUSTOMIZATION:
            raise RenderFailed(f"{present[0]} is larger than {_LARGEST_KUSTOMIZATION >> 20} MiB")
        try:
            parsed = documents.single(content)
        except BadDocument as error:
            raise RenderFailed(f"{present[0]}: {error}") from None
        if not isinstance(parsed, dict | None):
            raise RenderFailed(f"{present[0]}: expected an object")
        return present[0], parsed or {}

    def is_kustomization(self, path: str) -> bool:
        return any(self._is_file(posixpath.join(path, name)) for name in KUSTOMIZATIONS)

    def put(self, path: str, content: bytes) -> None:
        self._size += len(content)
        if self._size > _LARGEST or len(self.found) >= _MOST_FILES:
            raise RenderFailed(f"kustomize: more than {_LARGEST >> 20} MiB or {_MOST_FILES} files belong to it")
        self.found[path] = content

    def follow(self, path: str, kustomization: dict[str, Any], depth: int) -> None:
        """Everything that a kustomization at `path` names."""
        if depth > _LONGEST_WAY:
            raise RenderFailed(f"{path or '.'}: kustomizations name each other in circles, or {_LONGEST_WAY} deep")
        self._visited.add(path)
        if kustomization.get("helmCharts") or kustomization.get("helmChartInflationGenerator"):
            raise RenderFailed(
                f"{path or '.'}: helmCharts are not inflated: give the chart a source of its own with `helm:`"
            )
        for field in _TARGETS:
            for target in _texts(kustomization.get(field)):
                self._target(path, target, field, depth)
        for name in _named_files(kustomization):
            self._file(path, name)

    def _target(self, path: str, target: str, field: str, depth: int) -> None:
        if "\n" in target:  # YAML itself, in place of a file's name
            self._configured(path, target.encode())
            return
        place = self._place(path, target)
        entry = self._files.entry(place) if place is not None else None
        if entry is None or place is None:
            if _REMOTE.search(target):
                raise RenderFailed(
                    f"{path or '.'}: {field}: {target[:200]!r} is remote: remote bases are not fetched: "
                    "commit its files, or give it a source of its own"
                )
            return  # kustomize says what is missing, and why it looked for it
        if entry.kind == "file":
            content = self._read(place)
            if field in _CONFIGURING:
                self._configured(path, content)
            return
        if place not in self._visited:
            name, kustomization = self.kustomization(place)
            self.put(name, self._files.read(name))
            self.follow(place, kustomization, depth + 1)

    def _configured(self, path: str, content: bytes) -> None:
        """The configuration of a generator or transformer names files as a kustomization does."""
        if len(content) > _LARGEST_KUSTOMIZATION:
            raise RenderFailed(f"{path or '.'}: a configuration larger than {_LARGEST_KUSTOMIZATION >> 20} MiB")
        try:
            for document in documents.documents(content):
                if isinstance(document, dict):
                    for name in _named_files({"configMapGenerator": [document], "patches": [document]}):
                        self._file(path, name)
        except BadDocument:
            return

    def _file(self, path: str, name: str) -> None:
        place = self._place(path, name)
        if place is not None and self._is_file(place):
            self._read(place)

    def _read(self, place: str) -> bytes:
        if place not in self.found:
            self.put(place, self._unsealed(self._files.read(place), place))
        return self.found[place]

    def _place(self, path: str, target: str) -> str | None:
        """None: kustomize itself refuses it."""
        if target.startswith("/") or "://" in target or "\0" in target or len(target) > 4096:
            return None
        joined = _joined(path, target)
        if joined == ".." or joined.startswith("../"):
            raise RenderFailed(f"{path or '.'}: {target[:200]!r} leads out of the repository")
        return joined

    def _is_file(self, path: str) -> bool:
        entry = self._files.entry(path)
        return entry is not None and entry.kind == "file"


def _joined(path: str, target: str) -> str:
    return normal(posixpath.join(path, target))


def _named_files(kustomization: dict[str, Any]) -> Iterator[str]:
    for field in _PATCHES:
        for entry in _objects(kustomization.get(field)):
            yield from _texts([entry.get("path")])
    yield from (name for name in _texts(kustomization.get("patchesStrategicMerge")) if "\n" not in name)
    for generator in ("configMapGenerator", "secretGenerator"):
        for entry in _objects(kustomization.get(generator)):
            yield from (name.rpartition("=")[2] for name in _texts(entry.get("files")))
            yield from _texts([*_list(entry.get("envs")), entry.get("env")])
    openapi = kustomization.get("openapi")
    if isinstance(openapi, dict):
        yield from _texts([openapi.get("path")])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str) and item]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]
