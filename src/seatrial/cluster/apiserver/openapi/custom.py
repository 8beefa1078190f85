"""Schemas of custom resources as `/openapi` shows them.

In OpenAPI 3 they stay what their authors wrote; OpenAPI 2 cannot say "nullable", "one of" or "integer or
string", so there such a place becomes one where anything goes. Source: the rules of publishing structural
schemas in the CustomResourceDefinition documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.openapi.definitions import META, REFERENCE, Dialect, Node

if TYPE_CHECKING:
    from seatrial.kube.model.resources import Resource

_NOT_IN_V2 = frozenset(
    {"nullable", "oneOf", "anyOf", "allOf", "not", "default", "example", "externalDocs", "definitions"}
)
_SHAPE = ("type", "format", "properties", "required", "items", "additionalProperties", "enum")
_API_VERSION = "The version of the API this object is written in, as group/version."
_KIND = "The kind of this object, in CamelCase."
_METADATA = "Standard object metadata: name, namespace, labels, annotations and what the server keeps there."


def name(resource: Resource) -> str:
    """`test.sea.v1.Boat` for Boat in sea.test/v1."""
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def list_name(resource: Resource) -> str:
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.list_name])


def definitions(resource: Resource, schema: Node | None, dialect: Dialect) -> dict[str, Node]:
    """The definitions of a custom kind and its list."""
    node = _node(schema or {"x-kubernetes-preserve-unknown-fields": True}, dialect)
    node["type"] = "object"
    if "properties" in node or dialect == "v3" or not node.get("x-kubernetes-preserve-unknown-fields"):
        node["properties"] = {**node.get("properties", {}), **_object_properties(dialect)}
    node["x-kubernetes-group-version-kind"] = [_gvk(resource, resource.kind)]
    return {name(resource): node, list_name(resource): _list(resource, dialect)}


def _gvk(resource: Resource, kind: str) -> dict[str, str]:
    return {"group": resource.group, "kind": kind, "version": resource.version}


def _list(resource: Resource, dialect: Dialect) -> Node:
    prefix = REFERENCE[dialect]
    return {
        "description": f"{resource.list_name} is a list of {resource.kind}.",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_object_properties(dialect),
            "metadata": {"$ref": f"{prefix}{META}ListMeta"},
            "items": {"type": "array", "items": {"$ref": prefix + name(resource)}},
        },
        "x-kubernetes-group-version-kind": [_gvk(resource, resource.list_name)],
    }


def _object_properties(dialect: Dialect) -> dict[str, Node]:
    metadata: Node = {"$ref": f"{REFERENCE[dialect]}{META}ObjectMeta"}
    if dialect == "v3":
        metadata = {"allOf": [metadata]}
    return {
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
        "metadata": {**metadata, "description": _METADATA},
    }


def _node(schema: Node, dialect: Dialect) -> Node:
    node = dict(schema)
    if dialect == "v2":
        node = _for_v2(node)
    if "properties" in node:
        node["properties"] = {key: _node(child, dialect) for key, child in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _node(node[key], dialect)
    if node.get("x-kubernetes-embedded-resource") and not _is_open(node, dialect):
        node["properties"] = {**node.get("properties", {}), **_object_properties(dialect)}
    return node


def _is_open(node: Node, dialect: Dialect) -> bool:
    return dialect == "v2" and bool(node.get("x-kubernetes-preserve-unknown-fields"))


def _for_v2(schema: Node) -> Node:
    node: dict[str, Any] = {key: value for key, value in schema.items() if key not in _NOT_IN_V2}
    if schema.get("x-kubernetes-int-or-string") or schema.get("nullable"):
        return _without(node, *_SHAPE)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return _without(node, "properties", "required", "items", "additionalProperties")
    if node.get("type") == "array" and not isinstance(node.get("items"), dict):
        return _without(node, *_SHAPE)
    return node


def _without(node: Node, *keys: str) -> Node:
    return {key: value for key, value in node.items() if key not in keys}
