"""A Part is some resources and what documents say about them, encoded when first needed and kept as bytes."""

from __future__ import annotations

import hashlib
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver.openapi import custom, documents, gnostic, operations
from seatrial.cluster.apiserver.openapi.definitions import META, Definitions
from seatrial.kube.model.schema import builtin

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.cluster.apiserver.openapi.definitions import Dialect, Node
    from seatrial.cluster.apiserver.openapi.operations import Path
    from seatrial.kube.model.resources import Resource

    Custom = tuple[Resource, Node | None]
    """A custom kind in one version, and its openAPIV3Schema."""

_ALWAYS = tuple(META + kind for kind in ("DeleteOptions", "ListMeta", "ObjectMeta", "Patch", "Status", "WatchEvent"))
"""Definitions that clients expect beside whatever kinds there are."""
_SCALE = {("autoscaling", "v1", "Scale"): "io.k8s.api.autoscaling.v1.Scale"}
"""The only built-in kind that a custom resource's operations refer to."""


class Part:
    def __init__(self, resources: tuple[Resource, ...], customs: tuple[Custom, ...]) -> None:
        self.resources = resources
        self.customs = customs

    def is_of(self, resources: tuple[Resource, ...], customs: tuple[Custom, ...]) -> bool:
        return self.resources == resources and self.customs == customs

    @cached_property
    def fingerprint(self) -> str:
        """Differs when the documents do. Made of what they are made of, so that no document need be built."""
        schemas = orjson.dumps([schema for _, schema in self.customs])
        named = repr((self.resources, [resource for resource, _ in self.customs]))
        return hashlib.sha256(b"\0".join((_source(), named.encode(), schemas))).hexdigest()

    @cached_property
    def v3(self) -> bytes:
        """The whole OpenAPI 3 document of these resources."""
        packaged = Definitions()
        paths = self._paths(packaged)
        own = self._custom_definitions("v3")
        schemas = packaged.render(_referred(paths) - own.keys(), "v3") | own
        return orjson.dumps(
            {
                **documents.v3_frame(),
                "paths": {path.path: documents.v3_path(path) for path in paths},
                "components": {"schemas": schemas, "securitySchemes": documents.SECURITY},
            }
        )

    @cached_property
    def v2_json(self) -> tuple[bytes, bytes]:
        """The members of `paths` and of `definitions`, without braces."""
        return self._v2(lambda _section, entries: orjson.dumps(entries)[1:-1])

    @cached_property
    def v2_protobuf(self) -> tuple[bytes, bytes]:
        return self._v2(gnostic.named)

    def _v2(self, encode: Callable[[str, dict[str, Any]], bytes]) -> tuple[bytes, bytes]:
        packaged = Definitions() if self.resources else None
        paths = self._paths(packaged)
        shown = self._custom_definitions("v2")
        if packaged is not None:
            shown |= packaged.render(_referred(paths) - shown.keys(), "v2")
        items = {path.path: documents.v2_path(path) for path in paths}
        return encode("paths", items), encode("definitions", shown)

    def _paths(self, packaged: Definitions | None) -> list[Path]:
        names = dict(_SCALE)
        for resource, _ in self.customs:
            names[resource.group, resource.version, resource.kind] = custom.name(resource)
            names[resource.group, resource.version, resource.list_name] = custom.list_name(resource)

        def naming(group: str, version: str, kind: str) -> str:
            return names.get((group, version, kind)) or (packaged.name(group, version, kind) if packaged else "")

        built_in = [path for resource in self.resources for path in operations.paths(resource, naming)]
        return built_in + [
            path for resource, _ in self.customs for path in operations.paths(resource, naming, is_custom=True)
        ]

    def _custom_definitions(self, dialect: Dialect) -> dict[str, Node]:
        return {
            name: node
            for resource, schema in self.customs
            for name, node in custom.definitions(resource, schema, dialect).items()
        }


def _referred(paths: list[Path]) -> set[str]:
    found = {name for path in paths for operation in path.operations for name in (operation.body, operation.answer)}
    return (found | set(_ALWAYS)) - {""}


@cache
def _source() -> bytes:
    """Stands for the code that writes the documents and the definitions it starts from."""
    code = sorted(
        (entry.name, entry.read_bytes())
        for entry in files("seatrial.cluster.apiserver.openapi").iterdir()
        if entry.name.endswith(".py")
    )
    return hashlib.sha256(repr((documents.INFO, builtin.VERSION, code)).encode()).digest()
