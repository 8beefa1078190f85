"""A description read into operations: what is there, and a note for what cannot be tested."""

from __future__ import annotations

from typing import Any

import pytest

from generation.operations import Operation, operations
from generation.schemas import REQUEST, RESPONSE, standalone
from groundwork.expectation import UnusableSchema

FILE = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}


def read(operation: Any, path: str = "/a", method: str = "get", **document: Any) -> tuple[list[Operation], list[str]]:
    return operations({"openapi": "3.1.0", "paths": {path: {method: operation}}} | document)


def note(operation: Any, path: str = "/a", **document: Any) -> str:
    found, notes = read(operation, path, **document)
    assert found == []
    assert len(notes) == 1
    return notes[0]


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"requestBody": {"content": {"application/xml": {}}}}, "a body of application/xml cannot be made"),
        (
            {
                "requestBody": {
                    "content": {"multipart/form-data": {"schema": {"properties": {"f": {"format": "binary"}}}}}
                }
            },
            "a file to upload cannot be made",
        ),
        ({"parameters": [{"name": "a"}]}, "not as OpenAPI has it (KeyError: 'in')"),
        ({"parameters": 5}, "not as OpenAPI has it"),
        ({"parameters": [{"$ref": "#/components/parameters/none"}]}, "is not in the document"),
        ({"parameters": [{"name": "a", "in": "query", "schema": {"type": "nothing"}}]}, "the schema cannot be used"),
        ({"security": [{"unknown": []}]}, "security scheme is of a kind that cannot be sent"),
        ({"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/x"}}}}}}, "#/x is not in"),
    ],
)
def test_what_cannot_be_tested_is_noted(operation: Any, reason: str) -> None:
    found = note(operation)

    assert found.startswith("GET /a: no cases: ")
    assert reason in found


def test_a_path_parameter_that_is_not_described_is_noted() -> None:
    assert "'id' is not described" in note({}, "/a/{id}")


def test_other_operations_remain() -> None:
    found, notes = operations({"paths": {"/a": {"$ref": "#/x"}, "/b": {"get": {}, "trace": {}}, "x-c": {"get": {}}}})

    assert [operation.name for operation in found] == ["GET /b"]
    assert notes == ["/a: no cases: #/x is not in the document"]


SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
    "basic": {"type": "http", "scheme": "Basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "oauth": {"type": "oauth2", "flows": {}},
    "digest": {"type": "http", "scheme": "digest"},
    "mutual": {"type": "mutualTLS"},
    "referred": {"$ref": "#/components/securitySchemes/header"},
}


@pytest.mark.parametrize(
    ("requirements", "places", "secured"),
    [
        ([{"header": []}], {"header": {"in": "header", "name": "X-Key"}}, True),
        ([{"query": []}], {"query": {"in": "query", "name": "key"}}, True),
        ([{"cookie": []}], {"cookie": {"in": "cookie", "name": "session"}}, True),
        ([{"basic": []}], {"basic": {"in": "header", "name": "Authorization", "prefix": "Basic "}}, True),
        ([{"bearer": []}], {"bearer": {"in": "header", "name": "Authorization", "prefix": "Bearer "}}, True),
        ([{"oauth": ["read"]}], {"oauth": {"in": "header", "name": "Authorization", "prefix": "Bearer "}}, True),
        ([{"referred": []}], {"referred": {"in": "header", "name": "X-Key"}}, True),
        ([{"digest": []}, {"query": []}], {"query": {"in": "query", "name": "key"}}, True),
        ([{"mutual": [], "query": []}, {"header": []}], {"header": {"in": "header", "name": "X-Key"}}, True),
        ([{"header": []}, {}], {}, False),
        ([], {}, False),
        (None, {"header": {"in": "header", "name": "X-Key"}}, True),
    ],
)
def test_where_the_credentials_go(requirements: Any, places: dict[str, Any], secured: bool) -> None:
    operation = {} if requirements is None else {"security": requirements}

    [found], notes = read(operation, components={"securitySchemes": SCHEMES}, security=[{"header": []}])

    assert notes == []
    assert found.security == places
    assert found.secured is secured


def test_parameters_of_the_path_are_replaced_by_those_of_the_operation() -> None:
    item = {
        "parameters": [
            {"name": "a", "in": "query", "schema": {"type": "string"}},
            {"name": "Authorization", "in": "header", "schema": {}},
            {"name": "b", "in": "elsewhere", "schema": {}},
        ],
        "get": {"parameters": [{"name": "a", "in": "query", "schema": {"type": "integer"}, "required": True}]},
    }

    [found], _ = operations({"paths": {"/a": item}})

    [parameter] = found.parameters
    assert (parameter.name, parameter.schema, parameter.required) == ("a", {"type": "integer"}, True)


def test_examples_are_found_where_they_may_be() -> None:
    parameters = [
        {"name": "a", "in": "query", "schema": {}, "example": 1},
        {"name": "b", "in": "query", "schema": {}, "examples": {"x": {"$ref": "#/components/examples/two"}, "y": {}}},
        {"name": "c", "in": "query", "content": {"application/json": {"example": 3}}},
    ]
    body = {"content": {"application/json": {"examples": {"x": {"value": 4}, "y": {"value": 5}}}}}

    [found], _ = read(
        {"parameters": parameters, "requestBody": body}, method="post", components={"examples": {"two": {"value": 2}}}
    )

    assert [parameter.examples for parameter in found.parameters] == [[1], [2], [3]]
    assert found.body is not None
    assert found.body.examples == [4, 5]


def test_a_body_of_json_is_preferred() -> None:
    content = {"application/xml": {}, "text/plain": {}, "application/vnd.a+json; v=1": {}}

    [found], _ = read({"requestBody": {"content": content}}, method="post")

    assert found.body is not None
    assert found.body.media_type == "application/vnd.a+json"
    assert found.body.json


def test_an_answer_of_head_has_no_body() -> None:
    answers = {"200": {"content": {"application/json": {"schema": {}}}}, "4xx": {}, "default": {}}

    [head], _ = read({"responses": answers}, method="head")
    [get], _ = read({"responses": answers})

    assert head.answers == {"200": {}, "4XX": {}, "default": {}}
    assert get.answers["200"] == {"content_type": ["application/json"], "schema": {}}


def test_an_answer_with_too_large_a_schema_is_not_looked_into() -> None:
    schema = {"enum": ["x" * 60_000]}

    [found], _ = read({"responses": {"200": {"content": {"application/json": {"schema": schema}}}}})

    assert "schema" not in found.answers["200"]
    assert found.notes == ["the schema of answer 200 is too large: the body is not checked"]


def test_what_may_vanish_is_what_another_operation_deletes() -> None:
    found, _ = operations({"paths": {"/a": {"get": {}}, "/a/b": {"delete": {}, "get": {}}, "/a/b/c": {"get": {}}}})

    assert {item.path for item in found if item.may_vanish} == {"/a/b", "/a/b/c"}


def test_a_schema_stands_alone() -> None:
    schemas = {
        "A": {"properties": {"b": {"$ref": "#/components/schemas/B"}}},
        "B": {"title": "b", "type": "integer"},
    }
    document = {"components": {"schemas": schemas}}

    cut = standalone(document, {"$ref": "#/components/schemas/A"}, REQUEST)

    assert cut == {
        "$ref": "#/$defs/d0",
        "$defs": {"d0": {"properties": {"b": {"$ref": "#/$defs/d1"}}}, "d1": {"type": "integer"}},
    }
    assert standalone(document, False, REQUEST) == {"not": {}}
    assert standalone(document, True, REQUEST) == {}


def test_what_only_the_other_side_sends_is_left_out() -> None:
    document = {"components": {"schemas": {"Id": {"type": "integer", "readOnly": True}}}}
    schema = {
        "required": ["id", "secret", "name"],
        "properties": {"id": {"$ref": "#/components/schemas/Id"}, "secret": {"writeOnly": True}, "name": {}},
    }

    request, answer = standalone(document, schema, REQUEST), standalone(document, schema, RESPONSE)

    assert (request["required"], set(request["properties"])) == (["secret", "name"], {"secret", "name"})
    assert (answer["required"], set(answer["properties"])) == (["id", "name"], {"id", "secret", "name"})


def test_a_schema_without_end_is_refused() -> None:
    with pytest.raises(UnusableSchema, match="more than 20000 parts"):
        standalone({}, {"anyOf": [{}] * 20_001}, REQUEST)
