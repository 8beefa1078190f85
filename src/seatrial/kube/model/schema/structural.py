"""The schema of a custom resource: from a definition's OpenAPI v3 to a Type, and its defaults.

`structure` says whether a schema may be used at all, `validator` checks objects against it; pruning is `decode`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model import status
from seatrial.kube.model.schema import builtin
from seatrial.kube.model.schema.types import Type
from seatrial.kube.model.schema.validator import Validator

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

__all__ = ["Validator", "apply_defaults", "compile", "has_cel", "value_type"]

_TOO_DEEP = "the schema or the object is nested too deeply"
_SUBSCHEMAS = ("items", "not", "additionalProperties")
_SUBSCHEMA_LISTS = ("allOf", "anyOf", "oneOf")


def compile(schema: dict[str, Any]) -> Type:
    """The Type of a whole resource: what the schema says, with the metadata every object has."""
    try:
        return _resource(schema)
    except RecursionError:
        raise status.bad_request(_TOO_DEEP) from None


def apply_defaults(obj: Object, type: Type) -> None:
    """Fill in, in place, what is not there and has a default; null counts as not there unless it is allowed."""
    try:
        _fill(obj, type)
    except RecursionError:
        raise status.bad_request(_TOO_DEEP) from None


def has_cel(schema: object) -> bool:
    """Whether the schema has validation rules in CEL anywhere, which are not evaluated."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        if node.get("x-kubernetes-validations"):
            return True
        waiting += [node.get(key) for key in _SUBSCHEMAS]
        waiting += [item for key in _SUBSCHEMA_LISTS for item in node.get(key) or ()]
        waiting += (node.get("properties") or {}).values()
    return False


def _resource(schema: dict[str, Any]) -> Type:
    """A struct that is a whole object: at the root, or embedded in another."""
    declared = _struct(schema)
    meta = builtin.type_named(builtin.OBJECT_META)
    text = Type(shape="scalar", scalar="string", plain=str)
    fields = {**declared.fields, "apiVersion": text, "kind": text, "metadata": meta}
    defaulted = tuple(name for name in declared.defaulted if name not in ("apiVersion", "kind", "metadata"))
    return replace(declared, fields=fields, defaulted=defaulted, embedded=True)


def value_type(schema: dict[str, Any]) -> Type:
    """The Type of one value inside a resource."""
    node = _shaped(schema)
    node.nullable = bool(schema.get("nullable"))
    if schema.get("default") is not None:
        node.default, node.has_default = schema["default"], True
    return node


def _shaped(schema: dict[str, Any]) -> Type:
    kind = schema.get("type")
    preserves = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if schema.get("x-kubernetes-int-or-string"):
        return Type(shape="scalar", scalar="int-or-string")
    if schema.get("x-kubernetes-embedded-resource"):
        return _resource(schema)
    if kind == "object" or (not kind and schema.get("properties")):
        return _object(schema)
    if kind == "array":
        return _list(schema, preserves)
    if kind in ("string", "integer", "number", "boolean"):
        return _scalar(kind, schema.get("format", ""))
    return Type(shape="any", preserve_unknown=True)


def _object(schema: dict[str, Any]) -> Type:
    values = schema.get("additionalProperties")
    if schema.get("properties") or values is None or values is False:
        return _struct(schema)
    element = (
        value_type(values) if isinstance(values, dict) else Type(shape="any", preserve_unknown=True, nullable=True)
    )
    return Type(shape="map", element=element, atomic=_is_atomic(schema))


def _struct(schema: dict[str, Any]) -> Type:
    fields = {name: value_type(child) for name, child in (schema.get("properties") or {}).items()}
    # `additionalProperties: true` beside properties says what a struct without pruning says.
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties") is True
    return Type(
        shape="struct",
        fields=fields,
        required=frozenset(schema.get("required") or ()),
        atomic=_is_atomic(schema),
        preserve_unknown=bool(keeps),
        defaulted=tuple(name for name, child in fields.items() if child.has_default),
    )


def _list(schema: dict[str, Any], preserves: bool) -> Type:
    element = value_type(schema.get("items") or {})
    if preserves and element.shape == "struct":
        element = replace(element, preserve_unknown=True)
    return Type(
        shape="list",
        element=element,
        list_type=schema.get("x-kubernetes-list-type") or "atomic",
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
    )


def _scalar(kind: str, format_: str) -> Type:
    return Type(shape="scalar", scalar=kind, format=format_)


def _is_atomic(schema: dict[str, Any]) -> bool:
    return schema.get("x-kubernetes-map-type") == "atomic"


def _fill(value: Any, type: Type) -> None:
    if isinstance(value, dict):
        if type.shape == "struct":
            _fill_struct(value, type)
        elif type.shape == "map" and type.element is not None:
            for key, item in value.items():
                value[key] = _filled(item, type.element)
    elif isinstance(value, list) and type.shape == "list" and type.element is not None:
        for index, item in enumerate(value):
            value[index] = _filled(item, type.element)


def _fill_struct(value: dict[str, Any], type: Type) -> None:
    for name in type.defaulted:
        child = type.fields[name]
        if name not in value or (value[name] is None and not child.nullable):
            value[name] = _copy(child.default)
    for key, item in value.items():
        if item.__class__ is dict or item.__class__ is list:
            child_or_none = type.fields.get(key)
            # Metadata is the server's, and its type is shared with the built-in kinds.
            if child_or_none is not None and not (type.embedded and key == "metadata"):
                _fill(item, child_or_none)


def _filled(item: Any, element: Type) -> Any:
    if item is None and element.has_default and not element.nullable:
        item = _copy(element.default)
    _fill(item, element)
    return item


def _copy(default: Any) -> Any:
    return orjson.loads(orjson.dumps(default)) if isinstance(default, dict | list) else default
