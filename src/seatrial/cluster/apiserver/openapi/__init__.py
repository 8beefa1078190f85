"""`/openapi/v2` and `/openapi/v3`: what kubectl's `explain` and validation, and Argo-style clients, read.

Built when first asked for and kept as encoded bytes only. Documents are put together from parts (`parts`): for
OpenAPI 2 all built-in kinds are one part and each custom group version is another, so that a new definition
costs what it adds; for OpenAPI 3 each group version is a document of its own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

import orjson

from seatrial.cluster.apiserver.openapi import documents, gnostic
from seatrial.cluster.apiserver.openapi.parts import Part
from seatrial.kube.model import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from seatrial.cluster.apiserver.openapi.definitions import Node
    from seatrial.cluster.apiserver.openapi.parts import Custom
    from seatrial.kube.model.resources import Resource

JSON = "application/json"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PROTOBUF_ASKED = frozenset({V2_PROTOBUF, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"})
_V3_ROOT = "/openapi/v3"


class CustomSchema(Protocol):
    @property
    def schema(self) -> Node: ...


class CustomKind(Protocol):
    @property
    def resource(self) -> Resource: ...
    @property
    def custom(self) -> CustomSchema | None: ...


class Catalog(Protocol):
    """What is served beyond the built-in kinds, and when that changes."""

    def custom(self) -> Sequence[CustomKind]: ...
    def on_change(self, listener: Callable[[], None]) -> None: ...


class OpenAPI:
    def __init__(self, catalog: Catalog | None = None) -> None:
        self._catalog = catalog
        self._builtin = Part((), ())
        self._custom: dict[str, Part] = {}
        """What each group version adds to the OpenAPI 2 document."""
        self._v3: dict[str, Part] = {}
        """The OpenAPI 3 documents by path, `apis/apps/v1`."""
        self._is_current = False
        if catalog is not None:
            catalog.on_change(self._changed)

    def _changed(self) -> None:
        self._is_current = False

    def set_custom(self, customs: Iterable[Custom]) -> None:
        """Publish these custom kinds instead of those before; what has not changed is not built again."""
        if not self._builtin.resources:
            self._builtin = Part(resources.builtin(), ())
        self._is_current = True
        grouped: dict[str, list[Custom]] = {}
        for found in customs:
            grouped.setdefault(_gv_path(found[0]), []).append(found)
        builtin: dict[str, list[Resource]] = {}
        for resource in self._builtin.resources:
            builtin.setdefault(_gv_path(resource), []).append(resource)
        self._custom = {path: _kept(self._custom.get(path), (), tuple(members)) for path, members in grouped.items()}
        self._v3 = {
            path: _kept(self._v3.get(path), tuple(builtin.get(path, ())), tuple(grouped.get(path, ())))
            for path in (*builtin, *(path for path in grouped if path not in builtin))
        }

    def answer(self, path: str, accept: str, _query: Mapping[str, str]) -> tuple[bytes, str, str] | None:
        """The document at `path` with its content type and ETag; None if there is none."""
        if path == "/openapi/v2":
            if _asks_for_protobuf(accept):
                return self.v2_protobuf(), V2_PROTOBUF, self.v2_etag("protobuf")
            return self.v2_json(), JSON, self.v2_etag("json")
        if path == _V3_ROOT:
            index = self.v3_index()
            return index, JSON, _etag(index)
        found = self._part(path.removeprefix(f"{_V3_ROOT}/"))
        return (found.v3, JSON, f'"{found.fingerprint}"') if found is not None else None

    def v2_json(self) -> bytes:
        parts = [part.v2_json for part in self._v2_parts()]
        frame = orjson.dumps(documents.v2_frame())[:-1]
        paths, definitions = (b",".join(members) for members in zip(*parts, strict=True))
        return b"".join((frame, b',"paths":{', paths, b'},"definitions":{', definitions, b"}}"))

    def v2_protobuf(self) -> bytes:
        parts = [part.v2_protobuf for part in self._v2_parts()]
        paths, definitions = (b"".join(members) for members in zip(*parts, strict=True))
        return gnostic.document(documents.v2_frame(), paths, definitions)

    def v2_etag(self, form: str) -> str:
        return _etag("\0".join((form, *(part.fingerprint for part in self._v2_parts()))).encode())

    def v3_index(self) -> bytes:
        """Where each group version's document is; the hash lets clients keep it for as long as it is the same."""
        self._update()
        paths = {
            path: {"serverRelativeURL": f"{_V3_ROOT}/{path}?hash={part.fingerprint}"} for path, part in self._v3.items()
        }
        return orjson.dumps({"paths": paths})

    def v3_document(self, path: str) -> bytes | None:
        """The document of a group version such as `apis/apps/v1`."""
        found = self._part(path)
        return found.v3 if found is not None else None

    def _part(self, path: str) -> Part | None:
        self._update()
        return self._v3.get(path)

    def _v2_parts(self) -> list[Part]:
        self._update()
        return [self._builtin, *self._custom.values()]

    def _update(self) -> None:
        if not self._is_current:
            kinds = self._catalog.custom() if self._catalog is not None else ()
            self.set_custom((kind.resource, kind.custom.schema if kind.custom else None) for kind in kinds)


def _kept(before: Part | None, builtin: tuple[Resource, ...], customs: tuple[Custom, ...]) -> Part:
    return before if before is not None and before.is_of(builtin, customs) else Part(builtin, customs)


def _gv_path(resource: Resource) -> str:
    """`api/v1`, `apis/apps/v1`."""
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def _asks_for_protobuf(accept: str) -> bool:
    """The first media type we have wins."""
    for wanted in accept.split(","):
        media = wanted.partition(";")[0].strip()
        if media in _V2_PROTOBUF_ASKED:
            return True
        if media in (JSON, "application/*", "*/*"):
            return False
    return False


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'
