"""Valid values are proven valid, values at the edges too, and each mutation is one thing that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from generation.mutations import places, replaced, spoiled
from generation.schemas import Unbuildable, fits
from generation.values import Builder, edges

NO_TEXT = '{"not": "a text"} instead of a string'
LINK = {"$ref": "#/$defs/node"}
ENDLESS = {**LINK, "$defs": {"node": {"type": "object", "required": ["next"], "properties": {"next": LINK}}}}
SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "string"},
    {"type": "string", "minLength": 3, "maxLength": 3},
    {"type": "string", "maxLength": 0},
    {"type": "string", "minLength": 300},
    {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
    {"type": "string", "pattern": "^[a-z]+$", "minLength": 12},
    *({"type": "string", "format": name} for name in ("date", "date-time", "email", "uuid", "ipv4", "ipv6", "uri")),
    {"type": "string", "format": "email", "minLength": 40},
    {"type": "string", "format": "unheard-of"},
    {"type": "integer"},
    {"type": "integer", "minimum": 5},
    {"type": "integer", "maximum": -5},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "minimum": 0.5, "maximum": 1.5},
    {"type": "integer", "multipleOf": 7, "minimum": 20},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "minimum": 0.25, "maximum": 0.3},
    {"type": "number", "multipleOf": 0.5},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["null", "integer"]},
    {"const": {"a": 1}},
    {"enum": ["a", 5]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "maxItems": 0},
    {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "boolean"}, "minItems": 3},
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "minProperties": 3},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    {"allOf": [{"properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"type": "integer"}}, "required": ["a"]}]},
    {"allOf": [{"type": "integer"}, {"type": "number", "minimum": 3}, {"maximum": 4, "minimum": 1}]},
    {"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]},
    {"oneOf": [{"type": "integer", "minimum": 9}, {"type": "string"}]},
    {"anyOf": [{"type": "null"}, {"type": "string", "minLength": 2}]},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer", "minimum": 4}}},
    {**LINK, "$defs": {"node": {"type": "object", "properties": {"next": LINK, "n": {"type": "integer"}}}}},
    {"type": "integer", "example": 42},
    {"type": "integer", "example": "wrong", "minimum": 3},
    {"type": "string", "examples": ["one", "two"]},
    {"properties": {"a": {"default": 7, "type": "integer"}}, "required": ["a"]},
]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_a_typical_value_is_valid(schema: dict[str, Any], full: bool) -> None:
    value = Builder(schema, 1).typical(full=full)

    assert fits(schema, value, formats=True)
    assert value == Builder(schema, 1).typical(full=full)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"not": {}}, "no value was found"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "no value is allowed"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no value was found"),
        ({"type": "string", "minLength": 10**6}, "it wants 1000000 characters"),
        ({"type": "array", "minItems": 10**6}, "it wants 1000000 items"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}, "not enough different items"),
        ({"type": "string", "pattern": "^a$", "minLength": 3}, "no value of its pattern and length"),
        (ENDLESS, "its schema has no end"),
        ({"enum": [5], "type": "string"}, "no value was found"),
    ],
)
def test_what_has_no_value_is_said_to_have_none(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unbuildable, match=reason):
        Builder(schema, 1).typical(full=True)


@pytest.mark.parametrize("schema", [{}, {"type": "string", "maxLength": 0}, {"type": "null"}])
def test_a_part_of_a_path_is_not_empty(schema: dict[str, Any]) -> None:
    try:
        assert Builder(schema, 1).typical(full=True, nonempty=True) not in ("", None)
    except Unbuildable:
        assert schema


def edge_values(schema: dict[str, Any]) -> dict[str, Any]:
    builder = Builder(schema, 1)
    return dict(edges(builder, schema, builder.typical(full=True)))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, [1, 9]),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 9}, [2, 8]),
        ({"type": "string", "minLength": 2, "maxLength": 4}, ["sa", "samp"]),
        ({"type": "string", "pattern": "^[a-z]{2,4}$", "minLength": 2, "maxLength": 4}, ["aa", "aaaa"]),
        ({"type": "string", "maxLength": 10**7}, []),
        ({"type": "string", "minLength": 2, "pattern": "^a{3}$"}, []),
        ({"enum": ["a", "b", "c"]}, ["a", "c"]),
        ({"type": "boolean"}, [False, True]),
        ({"type": ["integer", "null"], "minimum": 3}, [None, 3]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, [[1], [1, 1]]),
        ({"type": "array", "maxItems": 10**7}, []),
        ({"type": "object"}, []),
    ],
)
def test_the_edges_of_what_is_allowed(schema: dict[str, Any], expected: list[Any]) -> None:
    found = edge_values(schema)

    assert list(found.values()) == expected
    assert all(fits(schema, value, formats=True) for value in found.values())


def test_an_edge_of_a_format_is_left_where_the_format_has_no_room() -> None:
    assert edge_values({"type": "string", "format": "uuid", "maxLength": 50}) == {}
    assert list(edge_values({"type": "string", "format": "email", "maxLength": 30}).values()) == [
        "a" * 18 + "@example.com"
    ]


def mutations(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    return {
        label: changed for label, changed in spoiled(Builder(schema, 1), schema, value) if not fits(schema, changed)
    }


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 9},
            9,
            {"below the least value 1": 0, "above the greatest value 9": 10, "a fraction instead of an integer": 8.5},
        ),
        ({"type": "number", "exclusiveMinimum": 0}, 1, {"the exclusive minimum itself, 0": 0}),
        ({"type": "number", "exclusiveMaximum": 5}, 1, {"the exclusive maximum itself, 5": 5}),
        (
            {"type": "integer", "multipleOf": 5, "minimum": 7, "maximum": 23},
            10,
            {"below the least value 7": 5, "above the greatest value 23": 25, "not a multiple of 5": 12.5},
        ),
        (
            {"type": "string", "minLength": 2, "maxLength": 3},
            "ab",
            {"shorter than the least length 2": "a", "longer than the greatest length 3": "abab"},
        ),
        (
            {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"},
            "ab",
            {"shorter than the least length 2": "a", "longer than the greatest length 3": "aaaa"},
        ),
        ({"type": "string", "pattern": "^[a-z]+$"}, "ab", {"against the pattern": "ab\n!"}),
        ({"type": "string", "enum": ["a"]}, "a", {"a value outside the enumeration": "not-in-the-enumeration"}),
        ({"type": "integer", "enum": [1, 2]}, 1, {"a value outside the enumeration": 3}),
        ({"const": "a"}, "a", {"a value outside the enumeration": "not-in-the-enumeration"}),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3, "uniqueItems": True},
            [1, 2],
            {"fewer than 2 items": [1], "more than 3 items": [1, 2, 0, 3], "an item twice": [1, 2, 1]},
        ),
        (
            {"type": "array", "items": {"type": "integer"}, "maxItems": 2, "uniqueItems": True},
            [1, 2],
            {"an item twice": [1, 1]},
        ),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {}}, "additionalProperties": False},
            {"a": 1},
            {
                "without the required 'a'": {},
                "with a property that is not described": {"a": 1, "unexpected_property": "unexpected"},
            },
        ),
        (
            {"type": "string"},
            "a",
            {'{"not": "a text"} instead of a string': {"not": "a text"}, "null, which is not allowed": None},
        ),
        ({"type": "array"}, [], {'"not-a-list" instead of an array': "not-a-list"}),
        ({"type": "boolean"}, True, {'"not-a-boolean" instead of a boolean': "not-a-boolean"}),
    ],
)
def test_one_thing_is_wrong(schema: dict[str, Any], value: Any, expected: dict[str, Any]) -> None:
    found = mutations(schema, value)

    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("schema", "value"),
    [({}, "a"), ({"type": ["string", "null"]}, None), ({"type": "object", "additionalProperties": True}, {"a": 1})],
)
def test_where_everything_is_allowed_nothing_is_spoiled_but_the_type(schema: dict[str, Any], value: Any) -> None:
    no_object = '"not-an-object" instead of an object'
    assert set(mutations(schema, value)) <= {NO_TEXT, no_object, "null, which is not allowed"}


def test_every_part_of_a_value_is_visited_with_its_schema() -> None:
    schema = {
        "properties": {"list": {"items": {"$ref": "#/$defs/n"}}, "pair": {"prefixItems": [{}], "items": {"const": 2}}},
        "$defs": {"n": {"type": "integer"}},
    }
    builder = Builder(schema, 1)

    found = {at: part for at, _, part in places(builder.reader, schema, {"list": [5], "pair": [1, 2], "other": 3})}

    assert found == {
        (): {"list": [5], "pair": [1, 2], "other": 3},
        ("list",): [5],
        ("list", 0): 5,
        ("pair",): [1, 2],
        ("pair", 1): 2,
    }


def test_a_branch_that_holds_is_the_one_that_is_read() -> None:
    schema = {"oneOf": [{"type": "integer", "maximum": 3}, {"type": "string", "maxLength": 4}]}

    assert mutations(schema, "abc")["longer than the greatest length 4"] == "abcab"
    assert mutations(schema, 2)["above the greatest value 3"] == 4


def test_a_value_replaced_leaves_the_old_one_as_it_was() -> None:
    value = {"a": [{"b": 1}, 2]}

    assert replaced(value, ("a", 0, "b"), 5) == {"a": [{"b": 5}, 2]}
    assert value == {"a": [{"b": 1}, 2]}
    assert replaced(value, (), None) is None
