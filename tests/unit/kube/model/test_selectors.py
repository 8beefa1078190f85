"""Selectors: text, objects and maps mean the same thing everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.model.selectors import (
    FieldRequirement,
    LabelSelector,
    from_map,
    from_object,
    parse_field_selector,
    parse_label_selector,
)
from seatrial.kube.model.status import StatusError


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "b"}, True),
        ("a=b", {"a": "c"}, False),
        ("a=b", {}, False),
        ("a=", {"a": ""}, True),
        ("a=", {}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a in (b, c)", {"a": "c"}, True),
        ("a in (b,c)", {}, False),
        ("a notin (b,c)", {}, True),
        ("a notin (b,c)", {"a": "b"}, False),
        ("a in (,)", {"a": ""}, True),
        ("a in ()", {"a": ""}, True),
        ("a", {"a": ""}, True),
        ("a", {}, False),
        ("!a", {}, True),
        ("! a", {"a": "x"}, False),
        ("a>1", {"a": "2"}, True),
        ("a>1", {"a": "1"}, False),
        ("a<10", {"a": "-3"}, True),
        ("a<10", {"a": "9"}, True),
        ("a<10", {"a": "many"}, False),
        ("a=b,c!=d,e in (x,y),!f,g>1", {"a": "b", "e": "y", "g": "5"}, True),
        ("a=b,c!=d,e in (x,y),!f,g>1", {"a": "b", "e": "y", "g": "5", "f": ""}, False),
        ("app.kubernetes.io/name=web", {"app.kubernetes.io/name": "web"}, True),
        (" a = b , c = d ", {"a": "b", "c": "d"}, True),
        ("in in (in,notin)", {"in": "notin"}, True),
        ("a,", {"a": "1"}, None),
    ],
)
def test_label_selector_text(text: str, labels: dict[str, str], expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(StatusError):
            parse_label_selector(text)
        return
    assert parse_label_selector(text).matches(labels) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a>b", "the value must be an integer"),
        ("-a=b", 'Invalid value: "-a": name part must consist of alphanumeric characters'),
        ("a=b%c", 'Invalid value: "b%c": a valid label must be an empty string or consist of'),
        ("A/b=c", "prefix part a lowercase RFC 1123 subdomain must"),
        ("a=" + "b" * 64, "no more than 63 bytes"),
    ],
)
def test_bad_label_selector_text_is_a_400_that_names_the_place(text: str, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse_label_selector(text)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert message in caught.value.message


def test_no_selector_object_matches_nothing_and_an_empty_one_everything() -> None:
    assert not from_object(None).matches({})
    assert not from_object(None).is_empty
    assert from_object({}).matches({"a": "b"})
    assert from_object({}).is_empty


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"b": "1", "a": "2"}}, "a=2,b=1"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}]}, "a in (x,y)"),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]}, "a notin (x)"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, "a"),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist", "values": None}]}, "!a"),
    ],
)
def test_a_selector_object_reads_as_text(selector: dict[str, Any], text: str) -> None:
    assert str(from_object(selector)) == text
    assert from_object(selector) == parse_label_selector(text)


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "Near"},
        {"key": "a", "operator": "In", "values": []},
        {"key": "a", "operator": "Exists", "values": ["x"]},
    ],
)
def test_an_invalid_expression_is_a_value_error(expression: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"operator|values"):
        from_object({"matchExpressions": [expression]})


def test_a_map_demands_each_label() -> None:
    assert from_map({"a": "1", "b": "2"}).matches({"a": "1", "b": "2", "c": "3"})
    assert not from_map({"a": "1", "b": "2"}).matches({"a": "1"})
    assert from_map(None).is_empty


keys = st.sampled_from(["a", "app", "example.com/b"])
values = st.from_regex(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,6})?[A-Za-z0-9]", fullmatch=True)
expressions = st.one_of(
    st.fixed_dictionaries(
        {
            "key": keys,
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(values, min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries({"key": keys, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
selectors = st.builds(
    lambda labels, items: from_object({"matchLabels": labels, "matchExpressions": items}),
    st.dictionaries(keys, values, max_size=2),
    st.lists(expressions, max_size=3),
)
label_sets = st.dictionaries(keys, values)


@given(selectors)
def test_text_of_a_selector_parses_to_the_same_selector(selector: LabelSelector) -> None:
    assert parse_label_selector(str(selector)) == selector


@given(keys, st.lists(values, min_size=1), label_sets)
def test_in_and_notin_are_opposites(key: str, allowed: list[str], labels: dict[str, str]) -> None:
    listed = ",".join(allowed)
    inside = parse_label_selector(f"{key} in ({listed})").matches(labels)
    assert parse_label_selector(f"{key} notin ({listed})").matches(labels) is not inside


@given(st.text(max_size=30))
def test_any_text_parses_or_is_a_400(text: str) -> None:
    for parse in (parse_label_selector, parse_field_selector):
        try:
            parse(text)
        except StatusError as error:
            assert error.code == 400


def test_field_selector_terms() -> None:
    selector = parse_field_selector("metadata.name=web,status.phase!=Failed,spec.nodeName==n1,")
    assert selector.requirements == (
        FieldRequirement("metadata.name", "=", "web"),
        FieldRequirement("status.phase", "!=", "Failed"),
        FieldRequirement("spec.nodeName", "=", "n1"),
    )


def test_field_selector_matches_what_the_getter_says() -> None:
    fields = {"metadata.name": "web", "status.phase": "Running"}
    assert parse_field_selector("metadata.name=web,status.phase!=Failed").matches(lambda path: fields.get(path))
    assert not parse_field_selector("metadata.name!=web").matches(lambda path: fields.get(path))


def test_an_absent_field_is_the_empty_string() -> None:
    assert parse_field_selector("spec.nodeName=").matches(lambda path: None)
    assert not parse_field_selector("spec.nodeName!=").matches(lambda path: None)


@given(st.text(alphabet="ab,=\\", max_size=8))
def test_escaped_field_values_come_back(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    selector = parse_field_selector(f"a={escaped}")
    assert selector.requirements == (FieldRequirement("a", "=", value),)
    assert parse_field_selector(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metadata.name", "can't understand 'metadata.name'"),
        ("a=b=c", "unescaped character in value"),
        ("a=b\\c", "invalid escape sequence"),
        ("a=b\\", "invalid escape sequence"),
    ],
)
def test_bad_field_selector_text_is_a_400(text: str, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse_field_selector(text)
    assert caught.value.code == 400
    assert message in caught.value.message
