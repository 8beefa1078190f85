"""The rules of structural schemas."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model.schema.structure import structural_errors

STRING = {"type": "string"}
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def at_root(**keywords: Any) -> list[str]:
    return [cause.field for cause in structural_errors({"type": "object", **keywords}, "s")]


def of(schema: Any) -> list[str]:
    """The fields complained about, below the property x."""
    found = at_root(properties={"x": schema})
    assert all(field.startswith("s.properties[x]") for field in found)
    return [field.removeprefix("s.properties[x]").removeprefix(".") for field in found]


def a_list(kind: str, items: Any, keys: list[str] | None = None) -> dict[str, Any]:
    found = {"type": "array", "x-kubernetes-list-type": kind, "items": items}
    return found | ({"x-kubernetes-list-map-keys": keys} if keys is not None else {})


KEYED = {"type": "object", "properties": {"k": STRING}, "required": ["k"]}


@pytest.mark.parametrize(
    "schema",
    [
        STRING,
        {"type": "array", "items": STRING},
        {"type": "object", "additionalProperties": STRING},
        {"type": "object", "properties": {"a": STRING}, "additionalProperties": True},
        {"x-kubernetes-int-or-string": True},
        {"x-kubernetes-int-or-string": True, "anyOf": INT_OR_STRING},
        {"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": INT_OR_STRING}, {"pattern": "^a"}]},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "properties": {"a": STRING}, "anyOf": [{"required": ["a"]}]},
        {"type": "object", "properties": {"a": STRING}, "not": {"properties": {"a": {"pattern": "^b"}}}},
        a_list("map", KEYED, ["k"]),
        a_list("map", {"type": "object", "properties": {"k": {"type": "string", "default": "x"}}}, ["k"]),
        a_list("set", STRING),
        a_list("set", {"type": "object", "x-kubernetes-map-type": "atomic"}),
        {"type": "integer", "default": 1, "minimum": 1},
        {"type": "object", "default": {"a": "1"}, "properties": {"a": STRING}},
        {"type": "string", "nullable": True, "pattern": r"^\d+(\.\d+)?$"},
        {"type": "object", "properties": {"type": STRING, "items": STRING, "$ref": STRING}},
    ],
)
def test_a_structural_schema_is_accepted(schema: Any) -> None:
    assert of(schema) == []


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({}, "type"),
        ({"type": "text"}, "type"),
        ({"type": "null"}, "type"),
        ({"type": ["string"]}, "type"),
        ("string", ""),
        ({"type": "array"}, "items"),
        ({"type": "array", "items": [STRING]}, "items"),
        ({"type": "array", "items": {}}, "items.type"),
        ({"type": "object", "properties": {"a": STRING}, "additionalProperties": STRING}, "additionalProperties"),
        ({"type": "object", "additionalProperties": {}}, "additionalProperties.type"),
        ({"type": "object", "properties": 1}, "properties"),
        ({"type": "object", "required": [1]}, "required"),
        ({"type": "string", "maxLength": "1"}, "maxLength"),
        ({"type": "string", "nullable": 1}, "nullable"),
        ({**STRING, "$ref": "#/x"}, "$ref"),
        ({**STRING, "definitions": {"a": {}}}, "definitions"),
        ({**STRING, "patternProperties": {"a": {}}}, "patternProperties"),
        ({"type": "array", "items": STRING, "uniqueItems": True}, "uniqueItems"),
        ({**STRING, "pattern": "("}, "pattern"),
        ({**STRING, "x-kubernetes-preserve-unknown-fields": False}, "x-kubernetes-preserve-unknown-fields"),
        (
            {"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True},
            "x-kubernetes-preserve-unknown-fields",
        ),
        ({"type": "object", "x-kubernetes-embedded-resource": True}, "properties"),
        (
            {"type": "string", "x-kubernetes-embedded-resource": True, "properties": {"a": STRING}},
            "type",
        ),
        ({"type": "string", "anyOf": [{"type": "string"}]}, "anyOf[0].type"),
        ({"type": "string", "allOf": [{"default": "x"}]}, "allOf[0].default"),
        ({"type": "object", "oneOf": [{"properties": {"a": {"minLength": 1}}}]}, "properties[a]"),
        ({"type": "object", "not": {"additionalProperties": {}}}, "not.additionalProperties"),
        ({"type": "string", "anyOf": [{"pattern": "["}]}, "anyOf[0].pattern"),
        ({**STRING, "x-kubernetes-list-type": "set"}, "type"),
        (a_list("bag", STRING), "x-kubernetes-list-type"),
        (a_list("map", KEYED), "x-kubernetes-list-map-keys"),
        (a_list("set", STRING, ["k"]), "x-kubernetes-list-type"),
        (a_list("map", STRING, ["k"]), "items.type"),
        (a_list("map", KEYED, ["z"]), "x-kubernetes-list-map-keys"),
        (a_list("map", KEYED, ["k", "k"]), "x-kubernetes-list-map-keys"),
        (a_list("map", {**KEYED, "required": []}, ["k"]), "items.properties[k].default"),
        (a_list("map", {**KEYED, "nullable": True}, ["k"]), "items.nullable"),
        (a_list("set", {"type": "object"}), "items.x-kubernetes-map-type"),
        ({**STRING, "x-kubernetes-map-type": "atomic"}, "type"),
        ({"type": "object", "x-kubernetes-map-type": "loose"}, "x-kubernetes-map-type"),
        ({"type": "integer", "default": "x"}, "default"),
        ({"type": "integer", "default": 0, "minimum": 1}, "default"),
        ({"type": "object", "default": {"b": 1}, "properties": {"a": STRING}}, "default"),
        ({"type": "object", "default": {"a": 1}, "properties": {"a": STRING}}, "default.a"),
    ],
)
def test_a_broken_rule_names_the_field(schema: Any, field: str) -> None:
    assert of(schema) == [field]


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        ({"type": "array", "items": STRING}, "s.type"),
        ({"type": ""}, "s.type"),
        ({"additionalProperties": STRING}, "s.additionalProperties"),
        ({"nullable": True}, "s.nullable"),
        ({"properties": {"kind": {"type": "integer"}}}, "s.properties[kind].type"),
        ({"properties": {"metadata": STRING}}, "s.properties[metadata].type"),
        (
            {"properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}},
            "s.properties[metadata]",
        ),
        (
            {"properties": {"metadata": {"type": "object", "properties": {"name": {**STRING, "default": "x"}}}}},
            "s.properties[metadata]",
        ),
        ({"anyOf": [{"properties": {"metadata": {}}}]}, "s.anyOf[0].properties[metadata]"),
    ],
)
def test_the_root_has_rules_of_its_own(keywords: dict[str, Any], field: str) -> None:
    assert field in at_root(**keywords)


def test_names_may_be_restricted() -> None:
    metadata = {"type": "object", "properties": {"name": {**STRING, "maxLength": 10}}}
    assert at_root(properties={"metadata": metadata}) == []


def test_a_schema_nested_without_end_is_an_error_and_not_a_crash() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(2000):
        deep = {"type": "object", "properties": {"a": deep}}
    assert [cause.field for cause in structural_errors(deep, "s")] == ["s"]
