"""What must come back from a request, and whether an answer is that. Made by the generators, read by the consumer.

    {"status": {"in": [200, "2XX"]},                  or {"not_in": ["5XX"]}
     "content_type": {"200": ["application/json"]},   or a list, for every status
     "schema": {"200": {...}, "4XX": {...}, "default": {...}}}

Only `status` must be there. Of `schema` and `content_type` the exact status counts before its class before `default`;
a status that is not named there is not looked into. Both sides are hostile: the schema comes from somebody's
description, the body from somebody's server, so size, depth and regular expressions are bounded, and a reference that
leaves the schema is an error and never a request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SCHEMA = 1024 * 1024
MAX_BODY = 5 * 1024 * 1024
MAX_REASON = 500
MAX_DEPTH = 100
_REGEX = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000, size_limit=1024 * 1024, dfa_size_limit=1024 * 1024)


class UnusableSchema(ValueError):
    """Nothing can be judged by this schema; the message says why."""


@dataclass(frozen=True)
class Verdict:
    passed: bool
    reason: str = ""


def check(expectation: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    for judge in (_status, _content_type, _schema):
        if reason := judge(expectation, status, headers, body):
            return Verdict(False, reason)
    return Verdict(True)


def compile_schema(schema: Any, *, formats: bool = False) -> jsonschema_rs.Draft202012Validator:
    """A validator of untrusted values by an untrusted schema."""
    text = json.dumps(schema, sort_keys=True)
    if len(text) > MAX_SCHEMA:
        raise UnusableSchema(f"the schema is larger than {MAX_SCHEMA} characters")
    return _compiled(text, formats)


def error_of(validator: jsonschema_rs.Draft202012Validator, value: Any) -> str:
    """Why the value does not fit; empty when it does."""
    _measure(value)
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        place = "/".join(str(part) for part in error.instance_path)
        return f"at /{place}: {error.message}"[:MAX_REASON]
    except ValueError as error:
        return f"cannot be judged: {error}"[:MAX_REASON]
    return ""


@lru_cache(maxsize=256)
def _compiled(text: str, formats: bool) -> jsonschema_rs.Draft202012Validator:
    schema = json.loads(text)
    _refuse_loops(schema)
    try:
        return jsonschema_rs.Draft202012Validator(
            schema, validate_formats=formats, offline=True, pattern_options=_REGEX
        )
    except (ValueError, jsonschema_rs.ReferencingError, RecursionError) as error:
        raise UnusableSchema(f"the schema cannot be used: {error}"[:MAX_REASON]) from None


# Keywords whose schemas are applied to the very value at hand. A circle of references through them alone never ends.
_SAME_VALUE = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")

# These change what a reference means, and with them a circle would not be seen.
_REBASING = ("$id", "$dynamicRef", "$recursiveRef")


def _refuse_loops(root: Any) -> None:
    done: set[int] = set()

    def follow(schema: Any, open_ones: tuple[int, ...]) -> None:
        if not isinstance(schema, dict):
            return
        if id(schema) in open_ones or len(open_ones) > MAX_DEPTH:
            raise UnusableSchema("the schema cannot be used: it refers to itself without end")
        if id(schema) in done:
            return
        inner = (*open_ones, id(schema))
        for keyword in _SAME_VALUE:
            for part in _applied(root, keyword, schema.get(keyword)):
                follow(part, inner)
        done.add(id(schema))

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            if foreign := [key for key in _REBASING if isinstance(value.get(key), str)]:
                raise UnusableSchema(f"the schema cannot be used: {foreign[0]} is not followed, only $ref to #/...")
            follow(value, ())
            for item in value.values():
                visit(item)
        elif isinstance(value, list):
            for item in value:
                visit(item)

    try:
        visit(root)
    except RecursionError:
        raise UnusableSchema("the schema cannot be used: it is nested too deeply") from None


def _applied(root: Any, keyword: str, value: Any) -> list[Any]:
    if keyword == "$ref":
        return [_target(root, value)] if isinstance(value, str) and value.startswith("#") else []
    if keyword == "dependentSchemas":
        return list(value.values()) if isinstance(value, dict) else []
    return value if isinstance(value, list) else [value]


def _target(root: Any, reference: str) -> Any:
    value = root
    for part in reference.removeprefix("#").split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return None
    return value


def _measure(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise UnusableSchema(f"the value is nested more than {MAX_DEPTH} levels deep")
        level = [
            item
            for part in level
            if isinstance(part, (dict, list))
            for item in (part.values() if isinstance(part, dict) else part)
        ]


def _status(expectation: Mapping[str, Any], status: int, _headers: Mapping[str, str], _body: bytes) -> str:
    wanted = expectation.get("status") or {}
    if "in" in wanted and not any(_covers(entry, status) for entry in wanted["in"]):
        return f"status {status}, {_listed(wanted['in'])} was expected"
    if any(_covers(entry, status) for entry in wanted.get("not_in", [])):
        return f"status {status}, anything but {_listed(wanted['not_in'])} was expected"
    return ""


def _covers(entry: Any, status: int) -> bool:
    text = str(entry).upper()
    return text == str(status) or text == f"{status // 100}XX"


def _listed(entries: Any) -> str:
    return " or ".join(str(entry) for entry in entries)


def _for_status(table: Any, status: int) -> Any:
    if not isinstance(table, dict):
        return None
    for key in (str(status), f"{status // 100}XX", f"{status // 100}xx", "default"):
        if key in table:
            return table[key]
    return None


def media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _content_type(expectation: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes) -> str:
    wanted = _wanted_types(expectation, status)
    if not wanted or not body:
        return ""
    found = _found_type(headers)
    if any(_is_kind(found, media_type(kind)) for kind in wanted):
        return ""
    return f"content type {found[:100] or 'absent'}, {_listed(wanted)} was expected (status {status})"


def _wanted_types(expectation: Mapping[str, Any], status: int) -> list[str]:
    wanted = expectation.get("content_type")
    return (_for_status(wanted, status) if isinstance(wanted, dict) else wanted) or []


def _found_type(headers: Mapping[str, str]) -> str:
    return media_type(next((value for name, value in headers.items() if name.lower() == "content-type"), ""))


def is_json(kind: str) -> bool:
    return kind in {"application/json", "text/json"} or kind.endswith("+json")


def _is_kind(found: str, wanted: str) -> bool:
    if wanted in {found, "*/*"}:
        return True
    return wanted.endswith("/*") and found.startswith(wanted[:-1])


def _schema(expectation: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes) -> str:
    schema = _for_status(expectation.get("schema"), status)
    if schema is None:
        return ""
    if not is_json(_found_type(headers)) and _wanted_types(expectation, status):
        return ""  # the other form of an answer that is described in two, XML say: it has been let through above
    if len(body) > MAX_BODY:
        return f"the body is larger than {MAX_BODY} bytes"
    try:
        value = json.loads(body, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        return f"the body of status {status} is not JSON: {error}"[:MAX_REASON]
    try:
        error = error_of(compile_schema(schema), value)
    except UnusableSchema as unusable:
        return str(unusable)
    return f"the body of status {status} does not match the schema {error}"[:MAX_REASON] if error else ""


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
