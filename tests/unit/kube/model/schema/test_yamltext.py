"""YAML bodies and duplicate JSON keys."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.model.schema import decode, duplicates
from seatrial.kube.model.status import StatusError


def value(spelled: str) -> Any:
    return decode.load_yaml(f"x: {spelled}\n".encode())["x"]


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("hello", "hello"),
        ('"1"', "1"),
        ("1", 1),
        ("-7", -7),
        ("0777", 511),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1.0", 1),
        ("1e3", 1000),
        ("18446744073709551616", 1.8446744073709552e19),
        ("yes", True),
        ("n", False),
        ("OFF", False),
        ("~", None),
        ("", None),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("12:30", "12:30"),
        ("1.2.3", "1.2.3"),
        ("0o", "0o"),
        ("!!str 5", "5"),
        ("!!binary aGVsbG8=", "hello"),
        ("|\n  a\n  b", "a\nb\n"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_plain_values_have_the_types_of_yaml_1_1(spelled: str, expected: object) -> None:
    found = value(spelled)
    assert found == expected
    assert type(found) is type(expected)


def test_keys_become_strings() -> None:
    assert decode.load_yaml(b"1: a\ntrue: b\n'on': c\n") == {"1": "a", "true": "b", "on": "c"}


def test_merge_keys_fill_in_what_is_missing() -> None:
    body = b"base: &b {a: 1, b: 2}\nx:\n  <<: *b\n  b: 3\n"
    assert decode.load_yaml(body)["x"] == {"a": 1, "b": 3}


def test_an_alias_is_a_copy() -> None:
    loaded = decode.load_yaml(b"a: &x [1]\nb: *x\n")
    loaded["a"].append(2)
    assert loaded["b"] == [1]


def test_json_is_yaml() -> None:
    assert decode.load_yaml(b'{"a": {"b": [1, null, "x"]}}') == {"a": {"b": [1, None, "x"]}}


def test_only_the_first_document_counts() -> None:
    assert decode.load_yaml(b"a: 1\n---\nb: 2\n") == {"a": 1}


def test_duplicate_keys_are_reported_with_their_line() -> None:
    found: list[str] = []
    assert decode.load_yaml(b"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", found) == {"a": 3, "b": {"c": 2}}
    assert found == ['line 4: key "c" already set in map', 'line 5: key "a" already set in map']


def alias_bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    "body",
    [
        alias_bomb(),
        b"a: &a [*a]",
        b"a: *missing",
        b"[" * 100_000,
        b"a: " * 3 + b"1",
        b"{a: 1",
        b"a: \xff\xfe",
        b"a: .inf",
        b"{[1]: 2}",
        b"<<: 1",
        b"- 1",
        b"hello",
        b"",
        b"a: !!binary '*'",
        b"a: &x 1\nb: {<<: [*x]}",
    ],
)
def test_bad_yaml_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(StatusError) as raised:
        decode.load_yaml(body)
    assert raised.value.code == 400


@given(st.text(max_size=60))
def test_any_text_is_an_object_or_a_bad_request(body: str) -> None:
    try:
        loaded = decode.load_yaml(body.encode())
    except StatusError as error:
        assert error.code == 400
    else:
        orjson.dumps(loaded)


def test_duplicate_json_keys_are_named_with_their_path() -> None:
    body = b'{"a": 1, "spec": {"replicas": 1, "replicas": 2, "list": [{}, {"x": 1, "x": 2}]}, "a": 2}'
    assert decode.duplicate_fields(body) == [
        'duplicate field "a"',
        'duplicate field "spec.replicas"',
        'duplicate field "spec.list[1].x"',
    ]


def test_duplicates_hidden_by_escapes_are_found() -> None:
    body = rb'{"a": "\u003a\u003A", "b": 1, "b": 2, "c": 1, "c": 2}'
    assert decode.duplicate_fields(body) == ['duplicate field "b"', 'duplicate field "c"']


def test_a_parsed_body_need_not_be_parsed_again() -> None:
    body = b'{"a:b": "::", "c": {"d": 1.0e5}}'
    assert decode.duplicate_fields(body, orjson.loads(body)) == []


def test_many_duplicates_are_reported_in_part() -> None:
    body = b"{" + b",".join(b'"k%d": 1, "k%d": 2' % (n, n) for n in range(500)) + b"}"
    assert len(decode.duplicate_fields(body)) == duplicates.MAX_DUPLICATES


KEYS = st.text(alphabet='ab:"\\é', max_size=2)


@given(st.recursive(st.text(alphabet=':a"\\', max_size=4) | st.floats(-9, 9), lambda s: st.dictionaries(KEYS, s)))
def test_a_body_without_duplicates_has_none(document: object) -> None:
    assert decode.duplicate_fields(orjson.dumps({"x": document})) == []


def test_a_body_too_deep_to_print_is_a_bad_request() -> None:
    with pytest.raises(StatusError, match="nested too deeply"):
        decode.duplicate_fields(b'{"a":' * 500 + b"1" + b"}" * 500)
