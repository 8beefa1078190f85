"""Custom resources' schemas as Types: pruning, defaulting, CEL detection."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.model.schema import decode, structural

STRING = {"type": "string"}


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def pruned(spec: Any, **properties: Any) -> tuple[Any, list[str]]:
    obj = {"apiVersion": "example.com/v1", "kind": "Widget", "spec": spec}
    problems = decode.prune(obj, structural.compile(schema(**properties)))
    return obj["spec"], problems


def defaulted(spec: Any, **properties: Any) -> Any:
    obj = {"spec": spec}
    structural.apply_defaults(obj, structural.compile(schema(**properties)))
    return obj["spec"]


def test_unknown_fields_are_pruned_and_metadata_is_known() -> None:
    obj: dict[str, Any] = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "a", "labels": {"x": "y"}, "color": "red"},
        "spec": {"size": 1, "colour": "red"},
        "extra": 1,
    }
    problems = decode.prune(obj, structural.compile(schema(size={"type": "integer"})))
    assert sorted(problems) == [
        'unknown field "extra"',
        'unknown field "metadata.color"',
        'unknown field "spec.colour"',
    ]
    assert obj == {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "a", "labels": {"x": "y"}},
        "spec": {"size": 1},
    }


def test_an_object_without_properties_keeps_nothing() -> None:
    assert pruned({"a": {"b": 1}}, a={"type": "object"}) == ({"a": {}}, ['unknown field "spec.a.b"'])


def test_preserved_fields_stay_and_known_ones_among_them_are_pruned() -> None:
    loose = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"strict": {"type": "object", "properties": {"a": STRING}}},
    }
    spec = {"loose": {"x": {"y": None}, "strict": {"a": "1", "b": 2}}}
    assert pruned(spec, loose=loose) == (
        {"loose": {"x": {"y": None}, "strict": {"a": "1"}}},
        ['unknown field "spec.loose.strict.b"'],
    )


def test_an_embedded_resource_keeps_its_type_and_metadata() -> None:
    embedded = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"data": {"type": "object", "additionalProperties": STRING}},
    }
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "x": 1}, "data": {"k": "v"}, "y": 2}
    kept, problems = pruned({"template": value}, template=embedded)
    assert kept == {
        "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    }
    assert sorted(problems) == ['unknown field "spec.template.metadata.x"', 'unknown field "spec.template.y"']


def test_null_is_dropped_unless_nullable_or_unknown_to_the_schema() -> None:
    any_value = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
    spec = {"a": None, "b": None, "m": {"x": None, "y": "1"}, "any": None}
    kept, problems = pruned(
        spec,
        a=STRING,
        b={"type": "string", "nullable": True},
        m={"type": "object", "additionalProperties": STRING},
        any=any_value,
    )
    assert kept == {"b": None, "m": {"y": "1"}, "any": None}
    assert problems == []


def test_defaults_fill_in_nested_objects_lists_and_maps() -> None:
    item = {
        "type": "object",
        "properties": {"protocol": {"type": "string", "default": "TCP"}, "port": {"type": "integer"}},
    }
    properties: dict[str, Any] = {
        "replicas": {"type": "integer", "default": 1},
        "ports": {"type": "array", "items": item},
        "named": {"type": "object", "additionalProperties": item},
        "template": {"type": "object", "default": {}, "properties": {"size": {"type": "string", "default": "s"}}},
        "absent": {"type": "object", "properties": {"never": {"type": "string", "default": "x"}}},
    }
    assert defaulted({"ports": [{"port": 1}], "named": {"a": {}}}, **properties) == {
        "replicas": 1,
        "ports": [{"port": 1, "protocol": "TCP"}],
        "named": {"a": {"protocol": "TCP"}},
        "template": {"size": "s"},
    }


def test_null_takes_the_default_unless_it_is_allowed() -> None:
    assert defaulted(
        {"a": None, "b": None},
        a={"type": "string", "default": "x"},
        b={"type": "string", "default": "x", "nullable": True},
    ) == {"a": "x", "b": None}


def test_objects_do_not_share_a_default() -> None:
    type = structural.compile(schema(list={"type": "array", "items": STRING, "default": ["a"]}))
    first: dict[str, Any] = {"spec": {}}
    second: dict[str, Any] = {"spec": {}}
    structural.apply_defaults(first, type)
    first["spec"]["list"].append("b")
    structural.apply_defaults(second, type)
    assert second == {"spec": {"list": ["a"]}}


def test_list_and_map_types_reach_the_type() -> None:
    type = structural.compile(
        schema(
            ports={
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port"],
                "items": {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]},
            },
            selector={"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": STRING},
            size={"x-kubernetes-int-or-string": True},
        )
    ).fields["spec"]
    ports = type.fields["ports"]
    assert (ports.list_type, ports.list_keys) == ("map", ("port",))
    assert ports.element is not None
    assert ports.element.required == {"port"}
    assert type.fields["selector"].atomic
    assert type.fields["size"].scalar == "int-or-string"


@pytest.mark.parametrize(
    "place",
    [
        lambda rule: {"properties": {"a": rule}},
        lambda rule: {"items": rule},
        lambda rule: {"additionalProperties": rule},
        lambda rule: {"allOf": [{}, {"properties": {"a": rule}}]},
        lambda rule: rule,
    ],
)
def test_cel_rules_are_found_everywhere(place: Any) -> None:
    rule = {"x-kubernetes-validations": [{"rule": "self > 0"}]}
    assert structural.has_cel({"type": "object", "properties": {"spec": place(rule)}})
    assert not structural.has_cel({"type": "object", "properties": {"spec": place({"type": "string"})}})


SCALARS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "string", "default": "d"},
        {"type": "integer"},
        {"type": "string", "nullable": True, "default": "n"},
        {"x-kubernetes-int-or-string": True},
        {"x-kubernetes-preserve-unknown-fields": True},
    ]
)
NAMES = st.sampled_from(["a", "b", "c"])
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(
            lambda properties, keep, default: (
                {"type": "object", "properties": properties}
                | ({"x-kubernetes-preserve-unknown-fields": True} if keep else {})
                | ({"default": {}} if default else {})
            ),
            st.dictionaries(NAMES, inner, max_size=3),
            st.booleans(),
            st.booleans(),
        )
        | st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda values: {"type": "object", "additionalProperties": values}, inner)
    ),
    max_leaves=8,
)
VALUES = st.recursive(
    st.none() | st.integers(0, 2) | st.just("s"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@given(SCHEMAS, VALUES)
def test_pruning_and_defaulting_twice_change_nothing_more(inner: dict[str, Any], value: Any) -> None:
    type = structural.compile({"type": "object", "properties": {"spec": inner}})
    obj = {"spec": value}
    decode.prune(obj, type)
    once = copy.deepcopy(obj)
    assert decode.prune(obj, type) == []
    assert obj == once
    structural.apply_defaults(obj, type)
    filled = copy.deepcopy(obj)
    structural.apply_defaults(obj, type)
    assert obj == filled
    assert decode.prune(obj, type) == []
