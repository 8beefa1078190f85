"""Values written as a request, in every style of OpenAPI, and read back as a server would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generation.operations import Operation, operations
from generation.requests import ABSENT, Content, body_fits, encode, parameter_fits
from generation.schemas import Unbuildable


def operation(path: str = "/a", method: str = "post", **source: Any) -> Operation:
    answers = {"200": {"content": {"application/json": {}, "text/plain": {}}}}
    item = {method: {"responses": answers} | source}
    [found], notes = operations({"openapi": "3.1.0", "info": {}, "paths": {path: item}})
    assert notes == []
    return found


def with_parameter(value: Any, path: str = "/a", **parameter: Any) -> tuple[str, dict[str, str], str | None]:
    source = {"name": "p", "in": "query", "schema": {}} | parameter
    made = operation(path, parameters=[source])
    return encode(made, Content({(source["in"], "p"): value}))


OBJECT = {"x": 1, "y": "b c"}


@pytest.mark.parametrize(
    ("parameter", "value", "path"),
    [
        ({}, "a b&c=d/é", "/a?p=a%20b%26c%3Dd%2F%C3%A9"),
        ({}, True, "/a?p=true"),
        ({}, 1.5, "/a?p=1.5"),
        ({}, ["a", "b"], "/a?p=a&p=b"),
        ({"explode": False}, ["a", "b,c"], "/a?p=a,b%2Cc"),
        ({"style": "spaceDelimited", "explode": False}, ["a", "b"], "/a?p=a%20b"),
        ({"style": "pipeDelimited", "explode": False}, ["a", "b"], "/a?p=a|b"),
        ({}, OBJECT, "/a?x=1&y=b%20c"),
        ({"explode": False}, OBJECT, "/a?p=x,1,y,b%20c"),
        ({"style": "deepObject", "explode": True}, OBJECT, "/a?p[x]=1&p[y]=b%20c"),
        ({"content": {"application/json": {"schema": {}}}}, {"a": [1]}, "/a?p=%7B%22a%22%3A%20%5B1%5D%7D"),
    ],
)
def test_a_query_parameter(parameter: dict[str, Any], value: Any, path: str) -> None:
    assert with_parameter(value, **parameter)[0] == path


@pytest.mark.parametrize(
    ("parameter", "value", "path"),
    [
        ({}, "a b?c#d", "/a/a%20b%3Fc%23d/z"),
        ({}, 5, "/a/5/z"),
        ({}, ["a", "b,c"], "/a/a,b%2Cc/z"),
        ({}, "a,b", "/a/a%2Cb/z"),
        ({}, OBJECT, "/a/x,1,y,b%20c/z"),
        ({"explode": True}, OBJECT, "/a/x=1,y=b%20c/z"),
    ],
)
def test_a_path_parameter(parameter: dict[str, Any], value: Any, path: str) -> None:
    assert with_parameter(value, "/a/{p}/z", **({"in": "path", "required": True} | parameter))[0] == path


@pytest.mark.parametrize(
    ("value", "header"), [("a b", "a b"), (5, "5"), (False, "false"), (["a", "b"], "a,b"), ({"a": 1}, "a,1")]
)
def test_a_header_parameter(value: Any, header: str) -> None:
    assert with_parameter(value, **{"in": "header"})[1]["p"] == header


def test_cookies_go_into_one_header() -> None:
    sources = [{"name": name, "in": "cookie", "schema": {}} for name in ("a", "b")]
    content = Content({("cookie", "a"): "1;2", ("cookie", "b"): 5})

    assert encode(operation(parameters=sources), content)[1]["Cookie"] == "a=1%3B2; b=5"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ({"in": "path"}, ""),
        ({"in": "path"}, ".."),
        ({"in": "path"}, "a/b"),
        ({"in": "path"}, "a\nb"),
        ({"in": "path", "style": "matrix"}, "a"),
        ({"in": "header"}, "a\r\nX-Evil: 1"),
        ({"in": "header"}, " a"),
        ({"in": "header"}, "é"),
        ({"in": "header"}, ""),
        ({"in": "header"}, ["a,b", "c"]),
        ({"in": "query"}, None),
        ({"in": "query"}, []),
        ({"in": "query"}, ""),
        ({"in": "query"}, {}),
        ({"in": "cookie"}, ""),
        ({"in": "query"}, [["a"]]),
        ({"in": "query"}, {"a": {}}),
        ({"in": "query"}, "x" * 9000),
    ],
)
def test_what_has_no_one_form_is_not_sent(parameter: dict[str, Any], value: Any) -> None:
    with pytest.raises(Unbuildable):
        with_parameter(value, "/a/{p}" if parameter["in"] == "path" else "/a", **parameter)


def with_body(kind: str, value: Any, schema: Any = None) -> tuple[str, dict[str, str], str | None]:
    return encode(operation(requestBody={"content": {kind: {"schema": schema or {}}}}), Content({}, value))


@pytest.mark.parametrize(
    ("kind", "value", "body"),
    [
        ("application/json", {"a": "é"}, '{"a": "\\u00e9"}'),
        ("application/vnd.a+json", None, "null"),
        ("text/plain", "text", "text"),
        ("application/x-www-form-urlencoded", {"a": "b c", "n": [1, 2]}, "a=b+c&n=1&n=2"),
    ],
)
def test_a_body(kind: str, value: Any, body: str) -> None:
    _, headers, written = with_body(kind, value)

    assert written == body
    assert headers["Content-Type"] == kind


def test_a_multipart_body() -> None:
    _, headers, written = with_body("multipart/form-data", {"a": "b", "n": True})

    boundary = headers["Content-Type"].removeprefix("multipart/form-data; boundary=")
    assert written == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="n"\r\n\r\ntrue\r\n--{boundary}--\r\n'
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("application/x-www-form-urlencoded", ["a"]),
        ("application/x-www-form-urlencoded", {}),
        ("application/x-www-form-urlencoded", {"a": []}),
        ("application/x-www-form-urlencoded", {"a": ""}),
        ("application/x-www-form-urlencoded", {"a": {"b": 1}}),
        ("multipart/form-data", {'a"\r\nX: 1': "b"}),
        ("multipart/form-data", {"a": "x\r\n------case-boundary-7MA4YWxk--"}),
        ("text/plain", "a\0b"),
        ("text/plain", {"a": 1}),
    ],
)
def test_a_body_that_has_no_one_form_is_not_sent(kind: str, value: Any) -> None:
    with pytest.raises(Unbuildable):
        with_body(kind, value)


def test_what_is_absent_is_not_sent() -> None:
    made = operation(requestBody={"content": {"application/json": {}}})

    assert encode(made, Content({})) == ("/a", {"Accept": "application/json, text/plain"}, None)
    assert encode(made, Content({}, raw_body="{"))[2] == "{"


def test_a_parameter_is_taken_out_and_put_in() -> None:
    made = operation(parameters=[{"name": "p", "in": "query", "schema": {}}])
    parameter = made.parameter("query", "p")

    content = Content({}).with_parameter(parameter, 1)

    assert content.parameters == {("query", "p"): 1}
    assert content.with_parameter(parameter, ABSENT) == Content({})


@pytest.mark.parametrize(
    ("schema", "value", "valid"),
    [
        ({"type": "string"}, 12345, True),  # on the wire it is text
        ({"type": "integer"}, "12", True),
        ({"type": "integer"}, "1e400", False),
        ({"type": "integer"}, 1.5, False),
        ({"type": "number"}, "1.5", True),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "yes", False),
        ({"type": "array", "items": {"type": "integer"}}, "5", True),
        ({"type": "array", "items": {"type": "integer"}}, ["a"], False),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2], True),
        ({"type": "integer"}, [5], True),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": "5"}, True),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": "x"}, False),
    ],
)
def test_a_parameter_is_invalid_when_no_reading_of_it_is_valid(schema: dict[str, Any], value: Any, valid: bool) -> None:
    made = operation(parameters=[{"name": "p", "in": "query", "schema": schema}])

    assert parameter_fits(made.parameters[0], value) is valid


def test_a_parameter_of_json_has_one_reading() -> None:
    content = {"application/json": {"schema": {"type": "string"}}}
    made = operation(parameters=[{"name": "p", "in": "query", "content": content}])

    assert not parameter_fits(made.parameters[0], 12345)


@pytest.mark.parametrize(
    ("value", "valid"), [({"n": "5"}, True), ({"n": "x"}, False), ({}, False), ({"n": ["5"]}, True)]
)
def test_a_form_is_invalid_when_no_reading_of_a_field_is_valid(value: Any, valid: bool) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    made = operation(requestBody={"content": {"application/x-www-form-urlencoded": {"schema": schema}}})

    assert made.body is not None
    assert body_fits(made.body, value) is valid
    assert json.loads(json.dumps(value)) == value
