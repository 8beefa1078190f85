"""A schema of the description, cut out so that it stands alone: what a validator and an expectation need.

Every reference becomes one to the schema's own `$defs`; properties that only the other side sends are taken out.
"""

from __future__ import annotations

from typing import Any

from groundwork.expectation import UnusableSchema, compile_schema, error_of
from specifications.document import InvalidSpecification, resolve

REQUEST, RESPONSE = "request", "response"
MAX_PARTS = 20_000
_NAMES = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_DATA = {"enum", "const", "default", "example", "examples", "required", "dependentRequired"}
_DROPPED = {"$id", "$schema", "$anchor", "$dynamicAnchor", "$dynamicRef", "$comment", "xml", "externalDocs",
            "discriminator", "description", "title", "$defs", "definitions"}  # fmt: skip


class Unbuildable(ValueError):
    """No value for this schema can be made and proven; the message says why."""


def standalone(document: dict[str, Any], schema: Any, direction: str) -> dict[str, Any]:
    return _Cut(document, direction).whole(schema)


class _Cut:
    def __init__(self, document: dict[str, Any], direction: str) -> None:
        self._document = document
        self._hidden = "readOnly" if direction == REQUEST else "writeOnly"
        self._request = direction == REQUEST
        self._names: dict[str, str] = {}
        self._parts = 0

    def whole(self, schema: Any) -> dict[str, Any]:
        cut = self._cut(schema)
        if not isinstance(cut, dict):
            cut = {} if cut is not False else {"not": {}}
        definitions: dict[str, Any] = {}
        while missing := [reference for reference, name in self._names.items() if name not in definitions]:
            for reference in missing:
                definitions[self._names[reference]] = self._cut(_target(self._document, reference))
        return {**cut, "$defs": definitions} if definitions else cut

    def _cut(self, schema: Any) -> Any:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise UnusableSchema(f"the schema has more than {MAX_PARTS} parts")
        if isinstance(schema, list):
            return [self._cut(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        cut: dict[str, Any] = {}
        for keyword, value in schema.items():
            if keyword == "$ref" and isinstance(value, str):
                cut[keyword] = "#/$defs/" + self._names.setdefault(value, f"d{len(self._names)}")
            elif keyword in _DATA:
                cut[keyword] = value
            elif keyword in _NAMES and isinstance(value, dict) and keyword not in _DROPPED:
                cut[keyword] = {name: self._cut(item) for name, item in value.items()}
            elif keyword not in _DROPPED:
                cut[keyword] = self._cut(value)
        return self._hide(cut, schema)

    def _hide(self, cut: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return cut
        hidden = {name for name, item in properties.items() if self._is_hidden(item)}
        if hidden and isinstance(cut.get("required"), list):
            cut["required"] = [name for name in cut["required"] if name not in hidden]
        if self._request:
            cut["properties"] = {name: item for name, item in cut["properties"].items() if name not in hidden}
        return cut

    def _is_hidden(self, item: Any) -> bool:
        item = _target(self._document, item["$ref"]) if isinstance(item, dict) and "$ref" in item else item
        return isinstance(item, dict) and item.get(self._hidden) is True


def _target(document: dict[str, Any], reference: str) -> Any:
    try:
        return resolve(document, {"$ref": reference})
    except InvalidSpecification as error:
        raise UnusableSchema(str(error)) from None


def fits(schema: dict[str, Any], value: Any, *, formats: bool = False) -> bool:
    return not error_of(_validator(schema, formats), value)


# The same schema is asked about hundreds of times: even its text is not to be made anew. It is kept beside its
# validator so that its id stays its own.
_VALIDATORS: dict[tuple[int, bool], tuple[Any, Any]] = {}
MAX_VALIDATORS = 500


def _validator(schema: Any, formats: bool) -> Any:
    key = (id(schema), formats)
    if (found := _VALIDATORS.get(key)) is not None:
        return found[1]
    validator = compile_schema(schema, formats=formats)
    if len(_VALIDATORS) >= MAX_VALIDATORS:
        _VALIDATORS.clear()
    _VALIDATORS[key] = (schema, validator)
    return validator


class Reader:
    """Reads one standalone schema: what applies to a value, with references followed and `allOf` merged."""

    def __init__(self, root: dict[str, Any]) -> None:
        compile_schema(root)  # refuses what cannot be used, circles among it, before anything here follows them
        self.root = root

    def part(self, schema: Any) -> dict[str, Any]:
        """The schema as one that can be compiled by itself."""
        if not isinstance(schema, dict):
            return {} if schema is not False else {"not": {}}
        return {**schema, "$defs": self.root["$defs"]} if "$defs" in self.root else schema

    def flat(self, schema: Any, value: Any = Unbuildable, branch: int = 0) -> dict[str, Any]:
        """With a value, the branches of anyOf and oneOf are those that hold for it; else the `branch`th."""
        if schema is False:
            raise Unbuildable("no value is allowed")
        if not isinstance(schema, dict):
            return {}
        merged = {key: item for key, item in schema.items() if key not in {"$ref", "allOf", "anyOf", "oneOf", "$defs"}}
        parts = list(schema.get("allOf") or [])
        if "$ref" in schema:
            parts.append(self.root.get("$defs", {}).get(schema["$ref"].removeprefix("#/$defs/")))
        choices = [schema[keyword] for keyword in ("anyOf", "oneOf") if schema.get(keyword)]
        parts += [self._choose(options, value, branch) for options in choices]
        for part in parts:
            merged = _merge(merged, self.flat(part, value, branch))
        return merged

    def _choose(self, options: list[Any], value: Any, branch: int) -> Any:
        if value is not Unbuildable:
            return next((option for option in options if fits(self.part(option), value)), {})
        real = [option for option in options if option != {"type": "null"}] or options
        return real[branch % len(real)]


_TIGHTER = {
    "minimum": max, "exclusiveMinimum": max, "minLength": max, "minItems": max, "minProperties": max,
    "maximum": min, "exclusiveMaximum": min, "maxLength": min, "maxItems": min, "maxProperties": min,
}  # fmt: skip


def _merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = {**other, **one}
    for keyword in one.keys() & other.keys():
        mine, theirs = one[keyword], other[keyword]
        if keyword == "properties":
            both = {name: {"allOf": [mine[name], theirs[name]]} for name in mine.keys() & theirs.keys()}
            merged[keyword] = {**theirs, **mine, **both}
        elif keyword == "required":
            merged[keyword] = [*mine, *(name for name in theirs if name not in mine)]
        elif keyword == "enum":
            merged[keyword] = [item for item in mine if item in theirs]
        elif keyword == "type":
            merged[keyword] = _common_types(mine, theirs)
        elif keyword in _TIGHTER:
            merged[keyword] = _TIGHTER[keyword](mine, theirs)
    return merged


def types_of(schema: dict[str, Any]) -> list[str]:
    kind = schema.get("type")
    if kind is None:
        return []
    return list(kind) if isinstance(kind, list) else [kind]


def _common_types(one: Any, other: Any) -> list[str]:
    mine, theirs = types_of({"type": one}), types_of({"type": other})
    common = [kind for kind in mine if kind in theirs or (kind == "integer" and "number" in theirs)]
    return common or [kind for kind in theirs if kind == "integer" and "number" in mine]
