"""What an answer must be, and the reason when it is not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from groundwork import expectation
from groundwork.expectation import UnusableSchema, check, compile_schema, error_of

JSON = {"Content-Type": "application/json; charset=utf-8"}
ITEM = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


def reason(wanted: dict[str, Any], status: int = 200, headers: dict[str, str] = JSON, body: bytes = b"") -> str:
    verdict = check(wanted, status, headers, body)
    assert verdict.passed is not bool(verdict.reason)
    return verdict.reason


@pytest.mark.parametrize(
    ("wanted", "status", "passed"),
    [
        ({"in": [200, 201]}, 201, True),
        ({"in": [200]}, 201, False),
        ({"in": ["2XX"]}, 299, True),
        ({"in": ["2xx"]}, 204, True),
        ({"in": ["4XX"]}, 500, False),
        ({"in": ["200"]}, 200, True),
        ({"in": []}, 200, False),
        ({"not_in": ["5XX"]}, 404, True),
        ({"not_in": ["5XX"]}, 503, False),
        ({"not_in": [404]}, 404, False),
        ({}, 500, True),
    ],
)
def test_the_status(wanted: dict[str, Any], status: int, passed: bool) -> None:
    assert check({"status": wanted}, status, {}, b"").passed is passed


def test_a_wrong_status_is_told() -> None:
    assert reason({"status": {"in": [200, "3XX"]}}, 500) == "status 500, 200 or 3XX was expected"
    assert reason({"status": {"not_in": ["5XX"]}}, 500) == "status 500, anything but 5XX was expected"


@pytest.mark.parametrize(
    ("wanted", "found", "passed"),
    [
        (["application/json"], "application/json; charset=utf-8", True),
        (["application/json"], "Application/JSON", True),
        (["application/json"], "text/html", False),
        (["application/json"], None, False),
        (["text/*"], "text/html", True),
        (["text/*"], "application/json", False),
        (["*/*"], "anything/at-all", True),
        ({"200": ["text/plain"], "2XX": ["text/html"]}, "text/plain", True),
        ({"201": ["text/plain"], "2XX": ["text/html"]}, "text/plain", False),
        ({"2xx": ["text/html"]}, "text/plain", False),
        ({"default": ["text/html"]}, "text/plain", False),
        ({"404": ["text/html"]}, "text/plain", True),
    ],
)
def test_the_content_type(wanted: Any, found: str | None, passed: bool) -> None:
    headers = {"content-TYPE": found} if found else {}

    assert check({"status": {}, "content_type": wanted}, 200, headers, b"x").passed is passed


def test_an_empty_answer_needs_no_content_type() -> None:
    assert check({"status": {}, "content_type": ["application/json"]}, 200, {}, b"").passed


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"id": 1}', ""),
        (b'{"id": 1.0}', ""),
        (b'{"id": "1"}', "does not match the schema at /id"),
        (b"{}", 'does not match the schema at /: "id" is a required property'),
        (b'{"id": NaN}', "is not JSON: NaN is not JSON"),
        (b"", "is not JSON"),
        (b"<html>", "is not JSON"),
        (b"\xff\xfe\xfa", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_the_body(body: bytes, said: str) -> None:
    found = reason({"status": {}, "schema": {"200": ITEM}}, body=body)

    assert said in found if said else not found


@pytest.mark.parametrize(
    ("key", "judged"), [("200", True), ("2XX", True), ("default", True), ("404", False), ("4XX", False)]
)
def test_the_schema_of_the_status_counts(key: str, judged: bool) -> None:
    assert check({"status": {}, "schema": {key: ITEM}}, 200, JSON, b"{}").passed is not judged


def test_the_other_form_of_an_answer_is_let_through() -> None:
    wanted = {"status": {}, "schema": {"200": ITEM}, "content_type": {"200": ["application/json", "application/xml"]}}

    assert check(wanted, 200, {"Content-Type": "application/xml"}, b"<item/>").passed
    assert not check(wanted, 200, {"Content-Type": "application/json"}, b"<item/>").passed


def test_json_of_another_name_is_json() -> None:
    wanted = {"status": {}, "schema": {"400": ITEM}, "content_type": {"400": ["application/problem+json"]}}

    assert not check(wanted, 400, {"Content-Type": "application/problem+json"}, b"{}").passed


def test_a_large_body_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectation, "MAX_BODY", 10)

    assert "larger than 10 bytes" in reason({"status": {}, "schema": {"200": {}}}, body=b"1" * 11)


def test_a_body_nested_too_deeply_is_not_judged() -> None:
    body = b"[" * 200 + b"]" * 200

    assert "nested more than" in reason({"status": {}, "schema": {"200": {}}}, body=body)


def test_a_reason_is_of_bounded_length() -> None:
    body = json.dumps({"id": "x" * 100_000}).encode()

    assert len(reason({"status": {}, "schema": {"200": ITEM}}, body=body)) <= 500


def test_a_schema_that_refers_to_elsewhere_is_an_error_and_no_request() -> None:
    for reference in ("http://127.0.0.1:1/a.json", "file:///etc/passwd", "other.json"):
        assert "cannot be used" in reason({"status": {}, "schema": {"200": {"$ref": reference}}}, body=b"1")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"dependentSchemas": {"x": {"$ref": "#"}}},
        {"oneOf": [{"$ref": "#/oneOf/0"}]},
    ],
)
def test_a_circle_without_end_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(UnusableSchema, match="refers to itself without end"):
        compile_schema(schema)


def test_a_tree_may_refer_to_itself() -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}

    assert not error_of(compile_schema(tree), {"children": [{"children": []}]})
    assert "/children/0/children" in error_of(compile_schema(tree), {"children": [{"children": 5}]})


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "http://a/"},
        {"properties": {"a": {"$dynamicRef": "#a"}}},
        {"type": "file"},
        {"pattern": "("},
        {"$ref": "#/$defs/none"},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(UnusableSchema, match="cannot be used"):
        compile_schema(schema)


def test_a_schema_too_large_or_too_deep_is_refused() -> None:
    with pytest.raises(UnusableSchema, match="larger than"):
        compile_schema({"enum": ["x" * expectation.MAX_SCHEMA]})
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"properties": {"a": deep}}
    chain = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(200)}
    with pytest.raises(UnusableSchema):
        compile_schema({"$ref": "#/$defs/d0", "$defs": {**chain, "d200": {}}})


def test_a_pattern_made_to_take_for_ever_does_not() -> None:
    started = time.monotonic()

    wanted = {"status": {}, "schema": {"200": {"type": "string", "pattern": r"^(a+)+(?=x)\1$"}}}
    found = reason(wanted, body=json.dumps("a" * 5000 + "!").encode())

    assert found
    assert time.monotonic() - started < 5


def test_formats_are_looked_at_only_when_asked_for() -> None:
    schema = {"type": "string", "format": "date"}

    assert not error_of(compile_schema(schema), "yesterday")
    assert error_of(compile_schema(schema, formats=True), "yesterday")
