"""An API that keeps to its description, but reads requests as generously as frameworks do, gets no alarm.

It is written from the standard alone: it knows nothing of how the generator writes a request.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema_rs
import pytest

from generation import Case, generate
from groundwork.expectation import check

STRINGS = {"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 1, "maxItems": 3}
NUMBERS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "uniqueItems": True, "maxItems": 4}
RANGE = {
    "type": "object",
    "required": ["low"],
    "properties": {"low": {"type": "integer", "minimum": 1}, "high": {"type": "number", "maximum": 9.5}},
    "additionalProperties": False,
}
PLAIN: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "minLength": 1, "maxLength": 5},
    {"type": "string", "pattern": "^[a-z]{2}-[0-9]+$"},
    {"type": "string", "format": "date"},
    {"type": "string", "enum": ["one", "two", "3"]},
    {"type": ["string", "null"], "maxLength": 4},
    {"type": "integer", "minimum": -3, "maximum": 40},
    {"type": "integer", "multipleOf": 6, "minimum": 7},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "boolean"},
    {"enum": [1, 2, 5]},
    {"oneOf": [{"type": "integer", "minimum": 100}, {"type": "string", "pattern": "^x"}]},
]
NESTED: list[dict[str, Any]] = [
    RANGE,
    {"type": "object", "required": ["tags", "range"], "properties": {"tags": STRINGS, "range": RANGE, "ids": NUMBERS}},
    {"type": "array", "items": RANGE, "minItems": 1},
    {"allOf": [RANGE | {"additionalProperties": True}, {"required": ["name"], "properties": {"name": PLAIN[2]}}]},
    {"type": "object", "properties": {"size": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, "minProperties": 1},
]


def styles() -> list[dict[str, Any]]:
    found = [{"in": place, "schema": schema} for place in ("query", "path", "header", "cookie") for schema in PLAIN]
    for schema in (STRINGS, NUMBERS, RANGE):
        found += [{"in": "query", "schema": schema, "explode": explode} for explode in (True, False)]
    found += [{"in": place, "schema": schema} for place in ("path", "header") for schema in (STRINGS, NUMBERS, RANGE)]
    found += [{"in": "path", "schema": RANGE, "explode": True}]
    found += [{"in": "query", "schema": RANGE, "style": "deepObject", "explode": True}]
    found += [{"in": "query", "schema": NUMBERS, "style": "pipeDelimited", "explode": False}]
    found += [{"in": "query", "content": {"application/json": {"schema": RANGE}}, "schema": RANGE}]
    return found


class Api:
    """One operation with one parameter or body."""

    def __init__(self, parameter: dict[str, Any] | None = None, body: dict[str, Any] | None = None) -> None:
        self._parameter = parameter
        self._body = body
        self.path = "/a/{p}" if parameter and parameter["in"] == "path" else "/a"
        operation: dict[str, Any] = {"responses": {"200": {"description": "fine"}, "404": {"description": "lost"}}}
        if parameter:
            shown = {key: item for key, item in parameter.items() if key != "schema" or "content" not in parameter}
            operation["parameters"] = [
                shown | {"name": "p", "required": self.path != "/a" or parameter.get("required")}
            ]
        if body:
            operation["requestBody"] = body
        info = {"title": "a", "version": "1"}
        self.document = {"openapi": "3.1.0", "info": info, "paths": {self.path: {"post": operation}}}

    def status(self, case: Case) -> int:
        try:
            return 200 if self._accepts(case) else 400
        except (ValueError, KeyError):
            return 400

    def _accepts(self, case: Case) -> bool:
        if self._body:
            return self._accepts_body(case)
        assert self._parameter is not None
        schema = self._parameter["schema"]
        value = self._read(case, schema)
        if value is None:
            return not self._parameter.get("required") and self.path == "/a"
        return any(jsonschema_rs.is_valid(schema, way) for way in (value, generous(schema, value)))

    def _read(self, case: Case, schema: dict[str, Any]) -> Any:
        assert self._parameter is not None
        url = urlsplit(case.path)
        match self._parameter["in"]:
            case "query":
                return self._read_query(url.query, schema)
            case "path":
                return split(url.path.removeprefix("/a/"), schema, self._parameter.get("explode", False))
            case "header":
                text = case.headers.get("p")
            case "cookie":
                text = dict(part.split("=", 1) for part in case.headers.get("Cookie", "").split("; ") if part).get("p")
        return None if text is None else split(text, schema, False)

    def _read_query(self, query: str, schema: dict[str, Any]) -> Any:
        assert self._parameter is not None
        pairs = parse_qsl(query, keep_blank_values=True)
        explode = self._parameter.get("explode", self._parameter.get("style", "form") == "form")
        if "content" in self._parameter:
            return json.loads(dict(pairs)["p"]) or "nothing" if pairs else None
        if schema.get("type") == "object" and self._parameter.get("style") == "deepObject":
            return {name[2:-1]: text for name, text in pairs if name.startswith("p[")} or None
        if schema.get("type") == "object" and explode:
            return {name: text for name, text in pairs if name in schema["properties"]} or None
        texts = [text for name, text in pairs if name == "p"]
        if not texts:
            return None
        if schema.get("type") == "array" and explode:
            return texts
        raw = [part.partition("=")[2] for part in query.split("&") if part.startswith("p=")][-1]
        return split(raw, schema, False, "|" if self._parameter.get("style") == "pipeDelimited" else ",")

    def _accepts_body(self, case: Case) -> bool:
        assert self._body is not None
        if case.body is None:
            return not self._body["required"]
        kind, media = next(iter(self._body["content"].items()))
        if kind == "application/json":
            value = json.loads(case.body)
        else:
            value = {}
            for name, text in parse_qsl(case.body, keep_blank_values=True):
                value.setdefault(name, []).append(text)
            value = {name: item if is_list(media["schema"], name) else item[-1] for name, item in value.items()}
        return any(jsonschema_rs.is_valid(media["schema"], way) for way in (value, generous(media["schema"], value)))


def is_list(schema: dict[str, Any], name: str) -> bool:
    return schema["properties"].get(name, {}).get("type") == "array"


def split(text: str, schema: dict[str, Any], explode: bool, joint: str = ",") -> Any:
    if schema.get("type") == "array":
        return [unquote(part) for part in text.split(joint)]
    if schema.get("type") == "object" and explode:
        return {unquote(name): unquote(item) for name, item in (part.split("=") for part in text.split(","))}
    if schema.get("type") == "object":
        parts = [unquote(part) for part in text.split(",")]
        return dict(zip(parts[::2], parts[1::2], strict=True))
    return unquote(text)


def generous(schema: Any, value: Any) -> Any:
    """As frameworks have it: texts become what the schema asks for, numbers become texts."""
    if isinstance(value, list):
        return [generous(schema.get("items", {}), item) for item in value]
    if isinstance(value, dict):
        known = {}
        for part in (schema, *schema.get("allOf", [])):
            known.update(part.get("properties", {}))
        return {name: generous(known.get(name, {}), item) for name, item in value.items()}
    kind = schema.get("type")
    if kind == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or value in schema.get("enum", []):
        return value
    if kind == "boolean" and value.lower() in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        return value.lower() in {"true", "1", "yes", "on"}
    try:
        if kind == "integer":
            return int(value)
        return float(value) if kind == "number" or "enum" in schema or "oneOf" in schema else value
    except ValueError:
        return value


def alarms(api: Api, seed: int) -> list[str]:
    generated = generate(api.document, seed=seed)
    assert generated.cases, generated.notes
    verdicts = [(case, check(case.expectation, api.status(case), {}, b"")) for case in generated.cases]
    return [
        f"{case.title}: {case.path} {case.headers} {case.body}: {it.reason}" for case, it in verdicts if not it.passed
    ]


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("parameter", styles(), ids=str)
def test_a_parameter_of_any_style(parameter: dict[str, Any], required: bool) -> None:
    for seed in (1, 2):
        assert not alarms(Api(parameter=parameter | {"required": required}), seed)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("schema", PLAIN + NESTED, ids=str)
def test_a_body_of_json(schema: dict[str, Any], required: bool) -> None:
    for seed in (1, 2, 3):
        body = {"required": required, "content": {"application/json": {"schema": schema}}}
        assert not alarms(Api(body=body), seed)


@pytest.mark.parametrize("required", [True, False])
def test_a_form(required: bool) -> None:
    properties = {f"p{number}": schema for number, schema in enumerate([*PLAIN, STRINGS, NUMBERS])}
    schema = {"type": "object", "required": ["p0", "p6"], "properties": properties}
    for seed in (1, 2, 3):
        body = {"required": required, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}
        assert not alarms(Api(body=body), seed)
