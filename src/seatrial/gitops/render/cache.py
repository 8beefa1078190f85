"""The render cache: what came out, by the settings and by everything that was read for it (see `reading`).

A commit is no part of the key: one that changes nothing an Application reads is a hit. This is the part in memory,
bounded and in the order of use, for the event loop only; `cachefiles` is the part on disk.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import SeatrialError
from seatrial.gitops.render.reading import Note, holds
from seatrial.gitops.render.request import Manifests

if TYPE_CHECKING:
    from seatrial.gitops.render.request import Request

VERSION = 1
"""Of what is kept: another one is a miss."""
MOST_VARIANTS = 4
"""Of the same settings: a branch that goes back and forth, a rollback."""
LARGEST = 64 << 20
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Kept:
    notes: tuple[Note, ...]
    source_type: str
    commands: tuple[str, ...]
    objects: bytes

    @property
    def key(self) -> str:
        return digest([tuple(note) for note in self.notes])

    @property
    def size(self) -> int:
        return len(self.objects) + 300 * len(self.notes)

    def manifests(self) -> Manifests:
        return Manifests(tuple(orjson.loads(self.objects)), self.source_type, self.commands)  # type: ignore[arg-type]


class Cache:
    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._size = 0
        self._variants: dict[str, dict[str, Kept]] = {}
        """By settings, then by notes; the newest last."""
        self._used: OrderedDict[tuple[str, str], None] = OrderedDict()

    def find(self, settings: str, request: Request) -> Kept | None:
        for key, kept in reversed(self._variants.get(settings, {}).items()):
            if _holds(kept, request):
                self._used.move_to_end((settings, key))
                return kept
        return None

    def keys(self, settings: str) -> frozenset[str]:
        return frozenset(self._variants.get(settings, ()))

    def put(self, settings: str, kept: Kept) -> None:
        key = kept.key
        if key in self._variants.get(settings, ()):
            self._drop(settings, key)
        variants = self._variants.setdefault(settings, {})
        variants[key] = kept
        self._used[settings, key] = None
        self._size += kept.size
        if len(variants) > MOST_VARIANTS:
            self._drop(settings, next(iter(variants)))
        while self._size > self._largest and len(self._used) > 1:
            self._drop(*next(iter(self._used)))

    def forget(self, settings: str) -> None:
        for key in self.keys(settings):
            self._drop(settings, key)

    def _drop(self, settings: str, key: str) -> None:
        variants = self._variants[settings]
        self._size -= variants.pop(key).size
        del self._used[settings, key]
        if not variants:
            del self._variants[settings]


def settings_of(request: Request, tools: str) -> str:
    """A digest of everything but the files, the revision and the cluster: those are notes. `tools`: their versions."""
    source = request.source
    return digest(
        [
            VERSION, tools, source.repo_url, source.path, source.chart, source.target_revision,
            [source.spec.get(name, getattr(source, name, None)) for name in ("helm", "kustomize", "directory")],
            request.application, request.namespace, request.project, request.files.origin,
            [(name, files.origin) for name, files in sorted(request.references.items())],
        ]
    )  # fmt: skip


def _holds(kept: Kept, request: Request) -> bool:
    try:
        return holds(kept.notes, request)
    except (SeatrialError, OSError):
        return False


def digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_plain)).hexdigest()[:_DIGEST]


def _plain(value: Any) -> Any:
    """Mappings and other views that JSON does not know."""
    return dict(value) if hasattr(value, "keys") else str(value)
