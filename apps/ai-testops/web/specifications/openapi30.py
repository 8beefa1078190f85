"""OpenAPI 3.0's schema dialect in the words of 3.1, which are JSON Schema's: `nullable`, exclusive bounds."""

from __future__ import annotations

from typing import Any


def upgrade_schemas(document: dict[str, Any]) -> dict[str, Any]:
    return {**_upgrade(document), "openapi": "3.1.0"}


def _upgrade(value: Any, named: bool = False) -> Any:
    """`named`: the keys of this object are names somebody chose, not keywords."""
    if isinstance(value, list):
        return [_upgrade(item) for item in value]
    if not isinstance(value, dict):
        return value
    upgraded = {
        key: item if not named and key in _DATA else _upgrade(item, not named and key in _NAMES)
        for key, item in value.items()
    }
    return upgraded if named else _schema(upgraded)


_NAMES = {"properties", "patternProperties", "schemas", "parameters", "responses", "headers", "paths", "definitions",
          "requestBodies", "securitySchemes", "callbacks", "content", "encoding"}  # fmt: skip
_COMPOSED = {"allOf", "anyOf", "oneOf", "not", "$ref"}
_DATA = {"example", "examples", "default", "enum", "const"}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)
    nullable = schema.pop("nullable", False) is True
    if isinstance(schema.get("$ref"), str):
        schema = {"$ref": schema["$ref"]}  # what stands beside a reference has no meaning in 3.0
    if not nullable:
        return schema
    if isinstance(schema.get("type"), str) and not schema.keys() & _COMPOSED:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
        return schema
    return {"anyOf": [schema, {"type": "null"}]}
