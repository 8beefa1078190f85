"""Custom resources against their schema, with the messages kubectl's users know."""

from __future__ import annotations

import time
from typing import Any

import pytest

from seatrial.kube.model.schema import formats
from seatrial.kube.model.schema.validator import Validator


def problems(value: Any, schema: dict[str, Any], required: list[str] | None = None) -> list[str]:
    whole = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"x": schema}, "required": required or []}},
    }
    return [str(cause) for cause in Validator(whole).validate({"spec": value})]


def of(value: Any, schema: dict[str, Any]) -> list[str]:
    return problems({"x": value}, schema)


STRING = {"type": "string"}
INT = {"type": "integer"}


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        ("a", INT, 'spec.x: Invalid value: "string": spec.x in body must be of type integer: "string"'),
        (1.5, INT, 'spec.x: Invalid value: "number": spec.x in body must be of type integer: "number"'),
        (None, STRING, 'spec.x: Invalid value: "null": spec.x in body must be of type string: "null"'),
        ([], {"type": "object"}, 'spec.x: Invalid value: "array": spec.x in body must be of type object: "array"'),
        (
            True,
            {"x-kubernetes-int-or-string": True},
            'spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean"',
        ),
        (
            "c",
            {"type": "string", "enum": ["b", "a"]},
            'spec.x: Unsupported value: "c": supported values: "b", "a"',
        ),
        (3, {"type": "integer", "enum": [1, 2]}, 'spec.x: Unsupported value: 3: supported values: "1", "2"'),
        (6, {**INT, "maximum": 5}, "spec.x: Invalid value: 6: spec.x in body should be less than or equal to 5"),
        (
            5,
            {**INT, "maximum": 5, "exclusiveMaximum": True},
            "spec.x: Invalid value: 5: spec.x in body should be less than 5",
        ),
        (0, {**INT, "minimum": 1.0}, "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1"),
        (
            1,
            {**INT, "minimum": 1, "exclusiveMinimum": True},
            "spec.x: Invalid value: 1: spec.x in body should be greater than 1",
        ),
        (3, {**INT, "multipleOf": 2}, "spec.x: Invalid value: 3: spec.x in body should be a multiple of 2"),
        (
            2**31,
            {**INT, "format": "int32"},
            "spec.x: Invalid value: 2147483648: spec.x in body should be less than or equal to 2147483647",
        ),
        ("b", {**STRING, "pattern": "^a$"}, "spec.x: Invalid value: \"b\": spec.x in body should match '^a$'"),
        (
            "",
            {**STRING, "minLength": 1},
            'spec.x: Invalid value: "": spec.x in body should be at least 1 chars long',
        ),
        ("abc", {**STRING, "maxLength": 2}, "spec.x: Too long: may not be more than 2 bytes"),
        ([1, 2], {"type": "array", "maxItems": 1, "items": INT}, "spec.x: Too many: 2: must have at most 1 item"),
        (
            [],
            {"type": "array", "minItems": 1, "items": INT},
            "spec.x: Invalid value: 0: spec.x in body should have at least 1 items",
        ),
        (
            {},
            {"type": "object", "minProperties": 1},
            "spec.x: Invalid value: 0: spec.x in body should have at least 1 properties",
        ),
        (
            {"a": "1", "b": "2"},
            {"type": "object", "maxProperties": 1, "additionalProperties": STRING},
            "spec.x: Too many: 2: must have at most 1 item",
        ),
        (
            [{}, {"n": 1}],
            {"type": "array", "items": {"type": "object", "properties": {"n": STRING}}},
            'spec.x[1].n: Invalid value: "integer": spec.x[1].n in body must be of type string: "integer"',
        ),
        (
            {"k": {"y": 1}},
            {"type": "object", "additionalProperties": {"type": "object", "required": ["z"]}},
            "spec.x.k.z: Required value",
        ),
        (
            "nope",
            {**STRING, "format": "ipv4"},
            'spec.x: Invalid value: "nope": spec.x in body must be of type ipv4: "nope"',
        ),
        (
            "a",
            {"type": "string", "anyOf": [{"minLength": 2}, {"pattern": "^b"}]},
            'spec.x: Invalid value: "": "spec.x" must validate at least one schema (anyOf)',
        ),
        (
            "a",
            {"type": "string", "oneOf": [{"minLength": 1}, {"pattern": "^a"}]},
            'spec.x: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). '
            "Found 2 valid alternatives",
        ),
        (
            "a",
            {"type": "string", "not": {"minLength": 1}},
            'spec.x: Invalid value: "": "spec.x" must not validate the schema (not)',
        ),
        (
            ["a", "b", "a", "a"],
            {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
            'spec.x[2]: Duplicate value: "a"',
        ),
        (
            [{"k": 1, "v": 1}, {"k": 1, "v": 2}],
            {
                "type": "array",
                "items": {"type": "object"},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
            },
            'spec.x[1]: Duplicate value: {"k":1}',
        ),
    ],
)
def test_a_broken_rule_is_told_as_the_api_server_tells_it(value: Any, schema: dict[str, Any], expected: str) -> None:
    assert of(value, schema) == [expected]


def test_a_missing_field_is_required() -> None:
    assert problems({}, STRING, ["x"]) == ["spec.x: Required value"]
    assert [str(cause) for cause in Validator({"type": "object", "required": ["spec"]}).validate({})] == [
        "spec: Required value"
    ]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (None, {"type": "string", "nullable": True}),
        (None, {"type": "string", "nullable": True, "enum": ["a"]}),
        (None, {"type": "object", "nullable": True, "not": {"required": ["a"]}}),
        (1.0, INT),
        (1, {"x-kubernetes-int-or-string": True}),
        ("50%", {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("x", {**STRING, "format": "unheard-of"}),
        ("x", {"x-kubernetes-preserve-unknown-fields": True}),
        ("2026-01-01T00:00:00Z", {**STRING, "format": "date-time"}),
        ({"unknown": 1}, {"type": "object", "properties": {}}),
    ],
)
def test_what_the_schema_allows_passes(value: Any, schema: dict[str, Any]) -> None:
    assert of(value, schema) == []


def test_causes_have_the_reasons_clients_look_at() -> None:
    schema = {"type": "object", "required": ["b"], "properties": {"a": INT, "c": {**STRING, "maxLength": 1}}}
    causes = Validator(schema).validate({"a": "x", "c": "xx"})
    assert {(cause.field, cause.reason) for cause in causes} == {
        ("a", "FieldValueTypeInvalid"),
        ("b", "FieldValueRequired"),
        ("c", "FieldValueTooLong"),
    }


def test_a_hostile_pattern_takes_no_time() -> None:
    started = time.monotonic()
    assert of("a" * 50_000 + "!", {**STRING, "pattern": "^(a+)+$"})
    assert time.monotonic() - started < 1


def test_a_hundred_problems_are_enough() -> None:
    assert len(of(["x"] * 500, {"type": "array", "items": INT})) == 100


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "fe80::1", "10.0.0.1"),
        ("cidr", "10.0.0.1/24", "10.0.0.1"),
        ("mac", "00:1a:2B:3c:4d:5e", "00:1a"),
        ("uri", "https://example.com/x", "example.com"),
        ("uri", "/path", "http://exa mple"),
        ("email", "a@example.com", "example.com"),
        ("hostname", "a-b.example.com", "-a.example.com"),
        ("uuid", "7C1AB3A2-7f4e-4b2c-9d8c-1a2b3c4d5e6f", "7c1ab3a2"),
        ("uuid4", "7c1ab3a2-7f4e-4b2c-9d8c-1a2b3c4d5e6f", "7c1ab3a2-7f4e-1b2c-9d8c-1a2b3c4d5e6f"),
        ("byte", "aGk=", "aGk"),
        ("date", "2026-02-28", "2026-02-30"),
        ("datetime", "2026-01-01T00:00:00.5+02:00", "2026-01-01"),
        ("duration", "1h30m", "soon"),
        ("duration", "3 days", "3 dogs"),
        ("isbn10", "0321751043", "0321751044"),
        ("isbn13", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("rgbcolor", "rgb(255, 0,10)", "rgb(256,0,0)"),
        ("k8s-short-name", "web-1", "Web"),
        ("k8s-long-name", "web.example.com", "web..com"),
    ],
)
def test_formats_know_good_from_bad(name: str, good: str, bad: str) -> None:
    check = formats.STRING_FORMATS[formats.string_format(name)]
    assert check(good)
    assert not check(bad)


def test_an_object_too_deep_to_check_is_invalid_and_not_a_crash() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"a": deep}
    causes = Validator({"type": "object", "properties": {"a": STRING}}).validate(deep)
    assert [cause.reason for cause in causes] == ["FieldValueInvalid"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "maxLength": -1}, ""),
        ({"type": "string", "minLength": -1}, ""),
        ({"type": "array", "maxItems": -1}, []),
        ({"type": "object", "minProperties": -1}, {}),
        ({"type": "integer", "multipleOf": 0}, 1),
        ({"type": "number", "multipleOf": -1.5}, 1),
        ({"type": "object", "required": ["a", "a"]}, {"a": 1}),
        ({"type": "string", "enum": []}, "a"),
    ],
)
def test_a_schema_that_json_schema_would_refuse_is_read_kindly(schema: dict[str, Any], value: Any) -> None:
    assert Validator(schema).validate_value(value) == []
