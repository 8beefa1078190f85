"""When an answer is what was expected."""

from __future__ import annotations

import json

import pytest

from groundwork.expectation import LONGEST_REASON, UnusableExpectation, check

JSON = {"content-type": "application/json; charset=utf-8"}
ITEM = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("expectation", "status"),
    [
        ({}, 500),
        ({"status": {"in": [200, 201]}}, 201),
        ({"status": {"in": ["2XX"]}}, 204),
        ({"status": {"in": ["2xx"]}}, 204),
        ({"status": {"not_in": ["2XX", "5XX"]}}, 404),
        ({"content_type": ["application/json"]}, 200),
        ({"content_type": ["text/html", "application/*"]}, 200),
        ({"content_type": ["*/*"]}, 200),
        ({"schema": {"200": ITEM}}, 200),
        ({"schema": {"200": {"type": "string"}, "404": ITEM}}, 404),
        ({"schema": {"2XX": ITEM, "default": {"type": "string"}}}, 201),
        ({"schema": {"404": {"type": "string"}}}, 200),
    ],
)
def test_an_answer_as_expected_passes(expectation, status):
    assert check(expectation, status, JSON, b'{"id": 1}').passed


@pytest.mark.parametrize(
    ("expectation", "status", "body", "reason"),
    [
        ({"status": {"in": [200, "3XX"]}}, 500, b"", "status 500, expected 200 or 3XX"),
        ({"status": {"in": []}}, 200, b"", "status 200"),
        ({"status": {"not_in": ["5XX"]}}, 503, b"", "status 503, expected anything but 5XX"),
        ({"content_type": ["text/html"]}, 200, b"", "content type application/json; charset=utf-8, expected text/html"),
        ({"schema": {"200": ITEM}}, 200, b'{"id": "1"}', "body.id against its schema: "),
        ({"schema": {"200": {"items": ITEM}}}, 200, b'[{"id": 1}, {}]', "body[1] against its schema: "),
        ({"schema": {"200": ITEM}}, 200, b"<html>", "the body is not JSON"),
        ({"schema": {"200": ITEM}}, 200, b"\xff", "the body is not JSON"),
        ({"schema": {"200": ITEM}}, 200, b"[" * 100_000, "the body is not JSON"),
        ({"schema": {"200": ITEM}}, 200, b"", "the body is empty"),
        ({"schema": {"2XX": ITEM}}, 201, b"{}", "body against its schema: "),
        ({"schema": {"default": ITEM}}, 201, b"{}", "body against its schema: "),
        ({"schema": {"200": False}}, 200, b"{}", "body against its schema: "),
    ],
)
def test_another_answer_does_not_and_the_reason_is_told(expectation, status, body, reason):
    verdict = check(expectation, status, JSON, body)
    assert not verdict.passed
    assert verdict.reason.startswith(reason)


def test_the_name_of_a_header_is_found_in_any_case_and_its_absence_noticed():
    assert check({"content_type": ["text/plain"]}, 200, {"Content-Type": "text/plain"}, b"").passed
    assert "not given" in check({"content_type": ["*/*"]}, 200, {}, b"").reason


def test_a_reason_is_not_endless():
    verdict = check({"schema": {"200": {"type": "integer"}}}, 200, JSON, json.dumps("x" * 10_000).encode())
    assert len(verdict.reason) <= LONGEST_REASON + 1


@pytest.mark.parametrize("schema", [{"$ref": "http://127.0.0.1:1/x"}, {"type": "nonsense"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_used_is_no_verdict(schema):
    with pytest.raises(UnusableExpectation):
        check({"schema": {"200": schema}}, 200, JSON, b'"x"')


@pytest.mark.timeout(20)
def test_a_pattern_that_is_a_trap_is_not_walked_into():
    check({"schema": {"200": {"pattern": "^(?=(a+)+$)(a+)+$"}}}, 200, JSON, json.dumps("a" * 5000 + "b").encode())
