"""Every kind the server serves now: the built-in ones, and those that CustomResourceDefinitions added.

A `Kind` binds a Resource to its schema and to the resource it is stored as (HorizontalPodAutoscaler v1 is stored
as v2, every version of a custom resource as its storage version).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.customresources import definition
from seatrial.cluster.apiserver.kinds import conversion
from seatrial.kube.model import objects, resources
from seatrial.kube.model.schema import builtin, structural
from seatrial.kube.model.schema.types import Type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

_ANYTHING = Type(shape="any", preserve_unknown=True)
_DEPRECATED = {
    "componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
    "endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
"""What users of a built-in kind are warned of at every request."""


@dataclass(slots=True, eq=False)
class Custom:
    """What a CustomResourceDefinition says about one served version."""

    definition: Object
    schema: dict[str, Any]
    validator: structural.Validator | None
    deprecation: str = ""


@dataclass(slots=True, eq=False)
class Kind:
    resource: Resource
    storage: Resource
    custom: Custom | None = None
    _type: Type | None = None

    @property
    def type(self) -> Type:
        """The schema, compiled at first use."""
        if self._type is None:
            self._type = (
                structural.compile(self.custom.schema)
                if self.custom is not None
                else builtin.type_for(self.resource.api_version, self.resource.kind) or _ANYTHING
            )
        return self._type

    @property
    def key(self) -> str:
        """What the store calls it."""
        return self.storage.group_resource

    @property
    def is_stored_as_served(self) -> bool:
        return self.storage.api_version == self.resource.api_version

    def served(self, obj: Object) -> Object:
        """A stored object in this kind's version (the same object where the versions are one)."""
        if obj["apiVersion"] == self.resource.api_version:
            return obj
        if self.custom is not None:
            return {**obj, "apiVersion": self.resource.api_version}
        return conversion.convert(obj, self.resource)

    def stored(self, obj: Object) -> Object:
        """An object of this kind's version in the storage version."""
        if obj["apiVersion"] == self.storage.api_version:
            return obj
        if self.custom is not None:
            return {**obj, "apiVersion": self.storage.api_version}
        return conversion.convert(obj, self.storage)

    @property
    def deprecation(self) -> str:
        """A warning for everyone who uses this kind, or ""."""
        return self.custom.deprecation if self.custom is not None else _DEPRECATED.get(self.key, "")

    def has_subresource(self, name: str) -> bool:
        return self.resource.subresource(name) is not None


class Catalog:
    """Looks kinds up by group, version and plural; changes when a definition does."""

    def __init__(self, computed: Iterable[Resource] = ()) -> None:
        """`computed`: kinds that are asked, not stored, besides those every server has."""
        self._builtin = {_address(r): Kind(r, conversion.storage_resource(r)) for r in resources.builtin()}
        self._builtin |= {_address(r): Kind(r, r) for r in computed}
        self._custom: dict[tuple[str, str, str], Kind] = {}
        self._definitions: dict[str, list[Kind]] = {}
        self._listeners: list[Callable[[], None]] = []

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        address = (group, version, plural)
        return self._builtin.get(address) or self._custom.get(address)

    def has_group_version(self, group: str, version: str) -> bool:
        return any(address[:2] == (group, version) for address in (*self._builtin, *self._custom))

    def by_kind(self, api_version: str, kind: str) -> Kind | None:
        return next((k for k in self.all() if k.resource.api_version == api_version and k.resource.kind == kind), None)

    def of(self, group: str, plural: str) -> Kind | None:
        """Any served version of a group's plural."""
        return next((k for k in self.all() if k.resource.group == group and k.resource.plural == plural), None)

    def all(self) -> Iterable[Kind]:
        yield from self._builtin.values()
        yield from self._custom.values()

    def custom(self) -> list[Kind]:
        return list(self._custom.values())

    def resources(self) -> list[Resource]:
        return [kind.resource for kind in self.all()]

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def serve(self, crds: Iterable[Object]) -> None:
        """Serve what the established ones of these definitions describe, and no other custom resource."""
        served = [crd for crd in crds if definition.is_established(crd)]
        for name in self._definitions.keys() - {objects.name(crd) for crd in served}:
            self.undefine(name)
        for crd in served:
            self.define(crd)

    def define(self, crd: Object) -> None:
        """Serve what an established definition describes, instead of what it described before."""
        self._forget(objects.name(crd))
        served = _custom_kinds(crd)
        self._definitions[objects.name(crd)] = served
        for kind in served:
            self._custom[_address(kind.resource)] = kind
        self._changed()

    def undefine(self, name: str) -> None:
        if self._forget(name):
            self._changed()

    def _forget(self, name: str) -> bool:
        known = self._definitions.pop(name, None)
        for kind in known or []:
            self._custom.pop(_address(kind.resource), None)
        return known is not None

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def _address(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural


def _custom_kinds(crd: Object) -> list[Kind]:
    served = definition.resources(crd)
    versions = {version["name"]: version for version in crd["spec"]["versions"]}
    storage_name = next(name for name, version in versions.items() if version.get("storage"))
    found: list[Kind] = []
    for resource in served:
        version = versions[resource.version]
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        custom = Custom(
            definition=crd,
            schema=schema,
            validator=structural.Validator(schema) if schema else None,
            deprecation=_deprecation(resource, version),
        )
        storage = _with_version(resource, storage_name)
        found.append(Kind(resource, storage, custom))
    return found


def _with_version(resource: Resource, version: str) -> Resource:
    from dataclasses import replace

    return resource if resource.version == version else replace(resource, version=version)


def _deprecation(resource: Resource, version: dict[str, Any]) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{resource.api_version} {resource.kind} is deprecated"
