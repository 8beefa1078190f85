"""The schema of every built-in kind, made from the definitions the `kubernetes-validate` package carries.

The first question reads the file (1.8 MB) and compiles all of it in a few milliseconds; descriptions and the
parsed JSON are dropped afterwards, so that what stays is a graph of about four thousand nodes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from seatrial.kube.model.objects import join_api_version
from seatrial.kube.model.schema.required import missing
from seatrial.kube.model.schema.types import Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.status import Cause

VERSION = "v1.37.0-local"
"""The folder of the package that matches the Kubernetes version served."""

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"

_ANYTHING = (
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    # Unions of a schema with a boolean, a list or strings: nothing to merge or prune along.
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
)
_UNIONS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
}
_KEY_DEFAULTS = (
    # Ports are keyed by number and protocol; the definitions mention the protocol's default only in prose.
    ("io.k8s.api.core.v1.ContainerPort", "protocol", "TCP"),
    ("io.k8s.api.core.v1.ServicePort", "protocol", "TCP"),
)


class _Definitions(NamedTuple):
    by_name: dict[str, Type]
    by_kind: dict[tuple[str, str], Type]


def type_for(api_version: str, kind: str) -> Type | None:
    """The schema of a built-in kind, or None if Kubernetes has no such kind."""
    return _definitions().by_kind.get((api_version, kind))


def type_named(name: str) -> Type:
    """The schema of a definition, by its full name. Raises KeyError."""
    return _definitions().by_name[name]


def validate(obj: Object, api_version: str, kind: str) -> list[Cause]:
    """What the schema alone finds missing in an object that is already type-checked."""
    type = type_for(api_version, kind)
    return missing(obj, type) if type is not None else []


def definitions_path() -> Path:
    """The file all of this is read from. (Importing the package would cost a validator nobody needs.)"""
    spec = find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the package kubernetes-validate is not installed: run `pip install kubernetes-validate`")
    return Path(spec.submodule_search_locations[0], "kubernetes-json-schema", VERSION, "_definitions.json")


@cache
def _definitions() -> _Definitions:
    raw: dict[str, dict[str, Any]] = orjson.loads(definitions_path().read_bytes())["$defs"]
    types = _compile_all(raw)
    by_kind = {
        (join_api_version(gvk["group"], gvk["version"]), gvk["kind"]): types[name]
        for name, node in raw.items()
        for gvk in node.get("x-kubernetes-group-version-kind", ())
    }
    return _Definitions(types, by_kind)


def _compile_all(raw: Mapping[str, dict[str, Any]]) -> dict[str, Type]:
    """Two passes, because definitions refer to each other: first every node, then what is inside."""
    types = {name: _definition(name, node) for name, node in raw.items()}
    for name, node in raw.items():
        for key, child in node.get("properties", {}).items():
            types[name].fields[key] = _node(child, types)
    for name, key, default in _KEY_DEFAULTS:
        fields = types[name].fields
        fields[key] = replace(fields[key], default=default, has_default=True)
    return types


def _definition(name: str, node: dict[str, Any]) -> Type:
    """A definition's own node, its fields still empty."""
    if name in _ANYTHING:
        return Type(shape="any", name=name, preserve_unknown=True)
    if name in _UNIONS:
        return Type(shape="scalar", scalar=_UNIONS[name], name=name)
    if _json_type(node) == "string":
        return Type(shape="scalar", scalar="string", format=node.get("format", ""), name=name)
    return Type(
        shape="struct",
        name=name,
        required=frozenset(node.get("required", ())),
        atomic=node.get("x-kubernetes-map-type") == "atomic",
    )


def _node(node: dict[str, Any], types: Mapping[str, Type]) -> Type:
    """The node of one field, list item or map value."""
    if "$ref" in node:
        return _reference(node, types)
    shape = _json_type(node)
    if shape == "array":
        return Type(
            shape="list",
            element=_node(node["items"], types),
            list_type=node.get("x-kubernetes-list-type", "atomic"),
            list_keys=tuple(node.get("x-kubernetes-list-map-keys", ())),
            merge_key=node.get("x-kubernetes-patch-merge-key", ""),
            patch_strategy=_strategy(node),
        )
    if shape == "object":
        return Type(
            shape="map",
            element=_node(node["additionalProperties"], types),
            atomic=node.get("x-kubernetes-map-type") == "atomic",
            patch_strategy=_strategy(node),
        )
    return _scalar(shape, node.get("format", ""))


def _reference(node: dict[str, Any], types: Mapping[str, Type]) -> Type:
    """The definition itself, or a copy (that shares its fields) where the field adds its own merge rules."""
    target = types[node["$ref"].removeprefix("#/$defs/")]
    strategy, atomic = _strategy(node), node.get("x-kubernetes-map-type") == "atomic"
    if not strategy and atomic <= target.atomic:
        return target
    return replace(target, patch_strategy=strategy, atomic=atomic or target.atomic)


@cache
def _scalar(kind: str, format_: str) -> Type:
    """One shared node for each of the half dozen scalar types."""
    plain = {"string": str, "boolean": bool}.get(kind) if not format_ else None
    return Type(shape="scalar", scalar=kind, format=format_, plain=plain)


def _strategy(node: dict[str, Any]) -> frozenset[str]:
    return frozenset(filter(None, node.get("x-kubernetes-patch-strategy", "").split(",")))


def _json_type(node: dict[str, Any]) -> str:
    """`["string", "null"]` and `"string"` are the same here: null always means unset."""
    given: str | list[str] = node.get("type", "")
    return given if isinstance(given, str) else given[0]
