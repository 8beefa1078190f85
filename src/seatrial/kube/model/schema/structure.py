"""Whether the schema of a custom resource is structural: one type for each value, so that it can be pruned.

Source: "Specifying a structural schema" and the schema extensions in the documentation of custom resources.
A schema has a structural part (`properties`, `items`, `additionalProperties`) and, under `allOf`, `anyOf`, `oneOf`
and `not`, parts that only restrict values and may not say anything about structure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from seatrial.kube.model.objects import clone
from seatrial.kube.model.schema.decode import prune
from seatrial.kube.model.schema.structural import value_type
from seatrial.kube.model.schema.types import Type
from seatrial.kube.model.schema.validator import Validator, is_pattern
from seatrial.kube.model.status import (
    Cause,
    forbidden_value,
    invalid_value,
    required,
    unsupported_value,
)

Level = Literal["root", "item", "field"]

TYPES = ("array", "boolean", "integer", "number", "object", "string")

_EMBEDDED = "x-kubernetes-embedded-resource"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_LIST_KEYS = "x-kubernetes-list-map-keys"
_LIST_TYPE = "x-kubernetes-list-type"
_MAP_TYPE = "x-kubernetes-map-type"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"

_KEYWORDS: dict[type | tuple[type, ...], tuple[str, ...]] = {
    str: ("type", "format", "pattern", "title", "description", _LIST_TYPE, _MAP_TYPE),
    int: ("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"),
    (int, float): ("maximum", "minimum", "multipleOf"),
    bool: ("exclusiveMaximum", "exclusiveMinimum", "nullable", "uniqueItems", _EMBEDDED, _INT_OR_STRING, _PRESERVE),
    list: ("enum", "required", "allOf", "anyOf", "oneOf", _LIST_KEYS, "x-kubernetes-validations"),
    dict: ("properties", "not"),
}
_NAMES = {str: "a string", int: "an integer", (int, float): "a number", bool: "true or false"}
_UNSUPPORTED = ("$ref", "additionalItems", "definitions", "dependencies", "id", "patternProperties")
_STRUCTURAL_ONLY = (
    "type", "additionalProperties", "default", "title", "description", "nullable", _PRESERVE, _EMBEDDED,
    _INT_OR_STRING, _LIST_KEYS, _LIST_TYPE, _MAP_TYPE, "x-kubernetes-validations",
)  # fmt: skip
_INT_OR_STRING_ANY_OF = [{"type": "integer"}, {"type": "string"}]
_META_FIELDS = ("apiVersion", "kind", "metadata")


def structural_errors(schema: dict[str, Any], path: str) -> list[Cause]:
    """Every rule the schema of a whole resource breaks; `path` is where it stands in its definition."""
    walk = _Structure()
    try:
        walk.node(schema, path, "root")
        if not walk.causes:
            walk.defaults(schema, path)
    except (RecursionError, orjson.JSONEncodeError):
        return [invalid_value(path, "", "is nested too deeply")]
    return walk.causes


@dataclass(slots=True)
class _Structure:
    causes: list[Cause] = field(default_factory=list)

    def forbid(self, path: str, why: str) -> None:
        self.causes.append(forbidden_value(path, why))

    def refuse(self, path: str, value: object, why: str) -> None:
        self.causes.append(invalid_value(path, value, why))

    def require(self, path: str, why: str) -> None:
        self.causes.append(required(path, why))

    # The structural part

    def node(self, schema: Any, path: str, level: Level) -> None:
        if not self.well_formed(schema, path):
            return
        self.type(schema, path, level)
        self.keywords(schema, path)
        self.extensions(schema, path)
        self.list_rules(schema, path)
        if level == "root":
            self.root(schema, path)
        if level == "root" or schema.get(_EMBEDDED):
            self.meta(schema, path)
        self.restrictions(schema, path, schema, path)
        self.children(schema, path)

    def well_formed(self, schema: Any, path: str) -> bool:
        """Whether each keyword has a value of its own type; the rest of the checks rely on it."""
        if not isinstance(schema, dict):
            self.refuse(path, schema, "must be a schema object")
            return False
        before = len(self.causes)
        for kind, names in _KEYWORDS.items():
            for name in names:
                value = schema.get(name)
                if value is not None and not _is(value, kind):
                    expected = _NAMES.get(kind, "a list" if kind is list else "an object")
                    self.refuse(f"{path}.{name}", value, f"must be {expected}")
        for name in ("required", _LIST_KEYS):
            if not all(isinstance(item, str) for item in schema.get(name) or ()):
                self.refuse(f"{path}.{name}", schema[name], "must be a list of strings")
        if not isinstance(schema.get("additionalProperties"), dict | bool | None):
            self.refuse(f"{path}.additionalProperties", schema["additionalProperties"], "must be a schema or boolean")
        return len(self.causes) == before

    def type(self, schema: dict[str, Any], path: str, level: Level) -> None:
        kind = schema.get("type")
        if kind == "null":
            self.forbid(f"{path}.type", "null is no type here: use `nullable: true`")
        elif kind and kind not in TYPES:
            self.causes.append(unsupported_value(f"{path}.type", kind, TYPES))
        elif not kind and not schema.get(_INT_OR_STRING) and not schema.get(_PRESERVE):
            place = {
                "root": "at the root",
                "item": "for specified array items",
                "field": "for specified object fields",
            }[level]
            self.require(f"{path}.type", f"must not be empty {place}")
        if kind == "array" and schema.get("items") is None:
            self.require(f"{path}.items", "must be specified for an array")

    def keywords(self, schema: dict[str, Any], path: str) -> None:
        for name in _UNSUPPORTED:
            if schema.get(name):
                self.forbid(f"{path}.{name}", f"{name} is not supported")
        if schema.get("uniqueItems"):
            self.forbid(f"{path}.uniqueItems", "cannot be true, since it is slow on long lists")
        if schema.get("properties") and schema.get("additionalProperties") not in (None, True):
            self.forbid(f"{path}.additionalProperties", "additionalProperties and properties are mutually exclusive")

    def extensions(self, schema: dict[str, Any], path: str) -> None:
        kind = schema.get("type")
        if schema.get(_PRESERVE) is False:
            self.refuse(f"{path}.{_PRESERVE}", False, "must be true or undefined")
        if schema.get(_INT_OR_STRING):
            for other in (_PRESERVE, _EMBEDDED):
                if schema.get(other):
                    self.refuse(f"{path}.{other}", True, f"must be false if {_INT_OR_STRING} is true")
        if schema.get(_EMBEDDED):
            self.embedded(schema, path)
        if schema.get(_MAP_TYPE):
            if kind != "object":
                self.refuse(f"{path}.type", kind or "", f"must be object if {_MAP_TYPE} is specified")
            if schema[_MAP_TYPE] not in ("atomic", "granular"):
                self.causes.append(unsupported_value(f"{path}.{_MAP_TYPE}", schema[_MAP_TYPE], ["atomic", "granular"]))

    def embedded(self, schema: dict[str, Any], path: str) -> None:
        if schema.get("type") != "object":
            self.refuse(f"{path}.type", schema.get("type") or "", f"must be object if {_EMBEDDED} is true")
        if schema.get("additionalProperties") is not None:
            self.forbid(f"{path}.additionalProperties", f"must not be used if {_EMBEDDED} is set")
        if not schema.get("properties") and not schema.get(_PRESERVE):
            self.require(f"{path}.properties", f"must not be empty if {_EMBEDDED} is true without {_PRESERVE}")

    def root(self, schema: dict[str, Any], path: str) -> None:
        if schema.get("type") and schema["type"] != "object":
            self.refuse(f"{path}.type", schema["type"], "must be object at the root")
        if schema.get("additionalProperties") is not None:
            self.forbid(f"{path}.additionalProperties", "must not be used at the root")
        if schema.get("nullable"):
            self.forbid(f"{path}.nullable", "cannot be true at the root")

    def meta(self, schema: dict[str, Any], path: str) -> None:
        """apiVersion, kind and metadata are every object's: a schema may only restrict names."""
        properties = schema.get("properties") or {}
        for name in ("apiVersion", "kind"):
            if _type(properties.get(name)) not in (None, "string"):
                self.refuse(f"{path}.properties[{name}].type", _type(properties[name]), "must be string")
        metadata, place = properties.get("metadata"), f"{path}.properties[metadata]"
        if not isinstance(metadata, dict):
            return
        if metadata.get("type") != "object":
            self.refuse(f"{place}.type", metadata.get("type") or "", "must be object")
        if schema.get(_EMBEDDED):
            return
        names = {"name", "generateName"}
        rest = set(metadata) - {"type", "properties", "description", "default"}
        if rest or not set(metadata.get("properties") or {}) <= names:
            self.forbid(place, "must not specify anything but name and generateName: metadata is implicitly there")
        for name in _META_FIELDS:
            if _has_default(properties.get(name)):
                self.forbid(f"{path}.properties[{name}]", f"must not have defaults in top-level {name}")

    def children(self, schema: dict[str, Any], path: str) -> None:
        items = schema.get("items")
        if isinstance(items, list):
            self.forbid(f"{path}.items", "items must be a schema object and not an array")
        elif items is not None:
            self.node(items, f"{path}.items", "item")
        for name, child in (schema.get("properties") or {}).items():
            self.node(child, f"{path}.properties[{name}]", "field")
        if isinstance(schema.get("additionalProperties"), dict):
            self.node(schema["additionalProperties"], f"{path}.additionalProperties", "field")

    # Lists

    def list_rules(self, schema: dict[str, Any], path: str) -> None:
        kind, keys = schema.get(_LIST_TYPE), schema.get(_LIST_KEYS)
        if kind and schema.get("type") != "array":
            self.refuse(f"{path}.type", schema.get("type") or "", f"must be array if {_LIST_TYPE} is specified")
        if kind and kind not in ("atomic", "set", "map"):
            self.causes.append(unsupported_value(f"{path}.{_LIST_TYPE}", kind, ["atomic", "set", "map"]))
        if keys and kind != "map":
            self.refuse(f"{path}.{_LIST_TYPE}", kind or "", f"must be map if {_LIST_KEYS} is non-empty")
        if kind == "map" and not keys:
            self.require(f"{path}.{_LIST_KEYS}", f"must not be empty if {_LIST_TYPE} is map")
        items = schema.get("items")
        if isinstance(items, dict) and kind in ("set", "map"):
            if items.get("nullable"):
                self.forbid(f"{path}.items.nullable", f"cannot be nullable when {_LIST_TYPE} is {kind}")
            if kind == "set":
                self.set_items(items, f"{path}.items")
            else:
                self.map_items(items, keys or [], path)

    def set_items(self, items: dict[str, Any], path: str) -> None:
        """Items of a set are compared as a whole, so nothing may own a part of one."""
        why = f"must be atomic as item of a list with {_LIST_TYPE} set"
        if items.get("type") == "array" and items.get(_LIST_TYPE, "atomic") != "atomic":
            self.refuse(f"{path}.{_LIST_TYPE}", items[_LIST_TYPE], why)
        if items.get("type") == "object" and items.get(_MAP_TYPE) != "atomic":
            self.refuse(f"{path}.{_MAP_TYPE}", items.get(_MAP_TYPE), why)

    def map_items(self, items: dict[str, Any], keys: list[str], path: str) -> None:
        if items.get("type") != "object":
            self.refuse(
                f"{path}.items.type", items.get("type") or "", f"must be object if the list's {_LIST_TYPE} is map"
            )
            return
        if len(set(keys)) < len(keys):
            self.refuse(f"{path}.{_LIST_KEYS}", keys, "must not contain duplicate entries")
        properties = items.get("properties") or {}
        for key in keys:
            child = properties.get(key) if isinstance(properties, dict) else None
            if not isinstance(child, dict):
                self.refuse(f"{path}.{_LIST_KEYS}", keys, "entries must all be names of item properties")
            else:
                self.map_key(key, child, items, f"{path}.items.properties[{key}]")

    def map_key(self, key: str, child: dict[str, Any], items: dict[str, Any], path: str) -> None:
        if child.get("type") in ("array", "object"):
            self.refuse(f"{path}.type", child["type"], "must be a scalar type: it is a key of a list map")
        if child.get("nullable"):
            self.forbid(f"{path}.nullable", f"cannot be true: the property is in {_LIST_KEYS}")
        if key not in (items.get("required") or ()) and child.get("default") is None:
            self.require(f"{path}.default", f"a property in {_LIST_KEYS} must be required or have a default")

    # The parts that restrict values

    def restrictions(self, schema: dict[str, Any], path: str, structure: Any, place: str) -> None:
        """`structure` is the structural schema, at `place`, of the values that `schema` restricts."""
        if schema.get("pattern"):
            problem = "must be a regular expression (RE2 syntax: no look-around, no back-references)"
            if not is_pattern(schema["pattern"]):
                self.refuse(f"{path}.pattern", schema["pattern"], problem)
        for name in ("allOf", "anyOf", "oneOf"):
            for index, child in enumerate(schema.get(name) or ()):
                step = f"{path}.{name}[{index}]"
                if name == "anyOf" and schema["anyOf"] == _INT_OR_STRING_ANY_OF:
                    continue
                self.nested(child, step, structure, place, may_name_types=name == "allOf" and index == 0)
        if schema.get("not") is not None:
            self.nested(schema["not"], f"{path}.not", structure, place)

    def nested(self, schema: Any, path: str, structure: Any, place: str, *, may_name_types: bool = False) -> None:
        if not self.well_formed(schema, path):
            return
        if not isinstance(structure, dict):
            self.require(place, f"because it is defined in {path}")
            return
        for name in _STRUCTURAL_ONLY:
            if schema.get(name) not in (None, False, "", []):
                self.forbid(f"{path}.{name}", f"must not be set inside a restriction, only in {place}")
        if not (may_name_types and schema.get("anyOf") == _INT_OR_STRING_ANY_OF):
            self.restrictions(schema, path, structure, place)
        items = schema.get("items")
        if items is not None:
            self.nested(items, f"{path}.items", structure.get("items"), f"{place}.items")
        properties = structure.get("properties") or {}
        for name, child in (schema.get("properties") or {}).items():
            if name == "metadata":
                self.forbid(f"{path}.properties[metadata]", "must not be specified inside a restriction")
            self.nested(child, f"{path}.properties[{name}]", properties.get(name), f"{place}.properties[{name}]")

    # Defaults

    def defaults(self, schema: dict[str, Any], path: str) -> None:
        """Each default must be a value the schema accepts, without unknown fields."""
        if schema.get("default") is not None:
            self.default(schema, f"{path}.default")
        if schema.get("items"):
            self.defaults(schema["items"], f"{path}.items")
        for name, child in (schema.get("properties") or {}).items():
            self.defaults(child, f"{path}.properties[{name}]")

    def default(self, schema: dict[str, Any], path: str) -> None:
        holder = Type(shape="struct", fields={"value": value_type(schema)})
        if prune(clone({"value": schema["default"]}), holder):
            self.refuse(path, schema["default"], "must not have unknown fields")
        self.causes += Validator(schema).validate_value(schema["default"], path)


def _is(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _type(schema: object) -> object:
    return schema.get("type") if isinstance(schema, dict) else None


def _has_default(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    if schema.get("default") is not None:
        return True
    children = (schema.get("items"), *(schema.get("properties") or {}).values())
    return any(_has_default(child) for child in children)
