"""Checks a custom resource against its definition's schema, in the words of the API server.

The OpenAPI v3 schema is translated to JSON Schema and compiled by jsonschema-rs (whose regular expressions run in
linear time, as Go's do) when the first object comes. Uniqueness in lists of type set and map is checked here.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model import status
from seatrial.kube.model.schema import formats
from seatrial.kube.model.status import MAX_CAUSES, Cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import jsonschema_rs

    from seatrial.kube.model.objects import Object

_COUNTS = ("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties")
_COPIED = ("pattern", "uniqueItems")
_LOGIC = ("allOf", "anyOf", "oneOf")
_INTEGER_BITS = {"int32": 31, "int64": 63}
_TEXTS = {
    "minLength": "should be at least {limit} chars long",
    "minItems": "should have at least {limit} items",
    "minProperties": "should have at least {limit} properties",
    "pattern": "should match '{limit}'",
    "multipleOf": "should be a multiple of {limit}",
    "maximum": "should be less than or equal to {limit}",
    "exclusiveMaximum": "should be less than {limit}",
    "minimum": "should be greater than or equal to {limit}",
    "exclusiveMinimum": "should be greater than {limit}",
}


class Validator:
    """One served version's rules."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    def validate(self, obj: Object) -> list[Cause]:
        """Every rule the object breaks (the first hundred)."""
        return self.validate_value(obj)

    def validate_value(self, value: object, path: str = "") -> list[Cause]:
        """The same for a part of an object (a default, for instance) that stands at `path`."""
        causes: list[Cause] = []
        compiled = self._compiled
        try:
            if not compiled.is_valid(value):
                causes += self._causes(value, path)
            if self._has_keyed_lists:
                causes += _duplicates(value, self._schema, path)
        except (RecursionError, ValueError, orjson.JSONEncodeError):
            # jsonschema-rs and orjson print no more than about 250 levels.
            return [Cause("FieldValueInvalid", "Invalid value: the object is nested too deeply", path)]
        return causes[:MAX_CAUSES]

    @cached_property
    def _compiled(self) -> jsonschema_rs.Draft7Validator:
        return _compiled(translate(self._schema))

    @cached_property
    def _has_keyed_lists(self) -> bool:
        return _has_keyed_lists(self._schema)

    def _causes(self, value: object, path: str) -> list[Cause]:
        causes: list[Cause] = []
        for error in self._compiled.iter_errors(value):
            causes += _cause(error, path)
            if len(causes) >= MAX_CAUSES:
                break
        return causes


@lru_cache(maxsize=4096)
def is_pattern(text: str) -> bool:
    """Whether a regular expression can be used. Compiling one may take 0.1 s, and definitions are checked often."""
    try:
        _compiled({"pattern": text})
    except ValueError:
        return False
    return True


def translate(schema: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI v3 as Kubernetes uses it, as JSON Schema, which is stricter about what a schema may say."""
    found = {key: schema[key] for key in _COPIED if schema.get(key) is not None}
    found |= {key: max(0, schema[key]) for key in _COUNTS if schema.get(key) is not None}
    if schema.get("required"):
        found["required"] = list(dict.fromkeys(schema["required"]))
    if (schema.get("multipleOf") or 0) > 0:
        found["multipleOf"] = schema["multipleOf"]
    kind = schema.get("type")
    types = ["integer", "string"] if schema.get("x-kubernetes-int-or-string") else [kind] if kind else []
    _bounds(schema, types, found)
    if types in ([], ["string"]) and formats.string_format(schema.get("format") or ""):
        found["format"] = formats.string_format(schema["format"])
    if schema.get("enum"):
        found["enum"] = [*schema["enum"], None] if schema.get("nullable") else schema["enum"]
    if types:
        found["type"] = [*types, "null"] if schema.get("nullable") else types
    return found | _children(schema)


def _bounds(schema: Mapping[str, Any], types: list[Any], found: dict[str, Any]) -> None:
    for name in ("maximum", "minimum"):
        exclusive = "exclusive" + name.capitalize()
        if schema.get(name) is not None:
            found[exclusive if schema.get(exclusive) else name] = schema[name]
    bits = _INTEGER_BITS.get(schema.get("format") or "") if types == ["integer"] else None
    if bits is not None:
        found.setdefault("maximum", 2**bits - 1)
        found.setdefault("minimum", -(2**bits))


def _children(schema: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if schema.get("properties"):
        found["properties"] = {name: translate(child) for name, child in schema["properties"].items()}
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        found["additionalProperties"] = translate(values)
    if isinstance(schema.get("items"), dict):
        found["items"] = translate(schema["items"])
    for name in _LOGIC:
        if schema.get(name):
            found[name] = [translate(child) for child in schema[name]]
    if schema.get("not") is not None:
        found["not"] = translate(schema["not"])
    return found


def _compiled(schema: dict[str, Any]) -> jsonschema_rs.Draft7Validator:
    # Imported here: it costs 40 ms and 8 MB, and only who has custom resources needs it.
    import jsonschema_rs

    return jsonschema_rs.Draft7Validator(
        schema,
        formats=formats.STRING_FORMATS,
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),
        offline=True,
    )


def _cause(error: jsonschema_rs.ValidationError, root: str) -> list[Cause]:
    kind: Any = error.kind
    value: Any = error.instance
    name, limit = kind.name, kind.value
    path = _path(error.instance_path, root)
    if name == "required":
        return [status.required(f"{path}.{limit}".lstrip("."))]
    if name == "type":
        return [_wrong_type(path, value, limit)]
    if name == "enum":
        return [_unsupported(path, value, limit)]
    if name == "maxLength":
        return [Cause("FieldValueTooLong", f"Too long: may not be more than {_count(limit, 'byte')}", path)]
    if name in ("maxItems", "maxProperties"):
        given = f"Too many: {len(value)}: must have at most {_count(limit, 'item')}"
        return [Cause("FieldValueTooMany", given, path)]
    if name == "format":
        detail = f'{path} in body must be of type {limit}: "{value}"'
        return [Cause("FieldValueTypeInvalid", f"Invalid value: {_json(value)}: {detail}", path)]
    if name in _TEXTS:
        shown = len(value) if name in ("minItems", "minProperties") else value
        return [status.invalid_value(path, shown, f"{path} in body {_TEXTS[name].format(limit=_number(limit))}")]
    return _logic(name, path, value, kind)


def _logic(name: str, path: str, value: object, kind: Any) -> list[Cause]:
    if value is None:
        return []  # null is either allowed, whatever else the schema says, or has the wrong type
    if name == "anyOf":
        detail = "must validate at least one schema (anyOf)"
    elif name == "oneOf":
        valid = sum(not errors for errors in kind.value)
        found = f"Found {valid} valid alternatives" if valid else "Found none valid"
        detail = f"must validate one and only one schema (oneOf). {found}"
    elif name == "not":
        detail = "must not validate the schema (not)"
    else:
        detail = "is not allowed"
    return [status.invalid_value(path, "", f'"{path}" {detail}')]


def _wrong_type(path: str, value: object, types: list[str]) -> Cause:
    given = _type_name(value)
    wanted = ",".join(name for name in types if name != "null")
    detail = f'{path} in body must be of type {wanted}: "{given}"'
    return Cause("FieldValueTypeInvalid", f'Invalid value: "{given}": {detail}', path)


def _unsupported(path: str, value: object, options: list[Any]) -> Cause:
    shown = (f'"{item}"' if isinstance(item, str) else f'"{_json(item)}"' for item in options if item is not None)
    text = f"Unsupported value: {_json(value)}: supported values: {', '.join(shown)}"
    return Cause("FieldValueNotSupported", text, path)


def _path(steps: list[str | int], root: str) -> str:
    path = root
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _number(limit: object) -> object:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode()


def _has_keyed_lists(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        return True
    children = [schema.get("items"), schema.get("additionalProperties"), *(schema.get("properties") or {}).values()]
    return any(_has_keyed_lists(child) for child in children)


def _duplicates(value: object, schema: object, path: str) -> Iterator[Cause]:
    """Items that are there twice in lists of type set, keys that are there twice in lists of type map."""
    if not isinstance(schema, dict):
        return
    if isinstance(value, dict):
        properties, values = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, item in value.items():
            if key in properties:
                yield from _duplicates(item, properties[key], f"{path}.{key}" if path else key)
            elif values:
                yield from _duplicates(item, values, f"{path}[{key}]")
    elif isinstance(value, list):
        yield from _repeated(value, schema, path)
        for index, item in enumerate(value):
            yield from _duplicates(item, schema.get("items"), f"{path}[{index}]")


def _repeated(items: list[Any], schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    keys = schema.get("x-kubernetes-list-map-keys") or []
    seen: dict[bytes, int] = {}
    for index, item in enumerate(items):
        identity = item
        if kind == "map":
            identity = {key: item[key] for key in keys if key in item} if isinstance(item, dict) else {}
        text = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            yield status.duplicate_value(f"{path}[{index}]", identity)
