"""OpenAPI 3.0's and Swagger 2.0's ways of saying things, in the words of 3.1."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specifications.document import InvalidSpecification, parse


def openapi30(schema: dict[str, Any], **components: Any) -> Any:
    """What becomes of the schema."""
    document = {
        "openapi": "3.0.3",
        "info": {"title": "a", "version": "1"},
        "paths": {"/a": {"get": {"responses": {}}}},
        "components": {"schemas": {"A": schema}, **components},
    }
    return parse(json.dumps(document).encode()).document["components"]["schemas"]["A"]


def swagger2(operation: dict[str, Any] | None = None, method: str = "post", **changes: Any) -> dict[str, Any]:
    document = {
        "swagger": "2.0",
        "info": {"title": "a", "version": "1"},
        "paths": {"/a": {method: operation or {"responses": {"200": {"description": "fine"}}}}},
    } | changes
    return parse(json.dumps(document).encode()).document


NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "upgraded"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        (
            {"type": "string", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"minLength": 1, "nullable": True}, {"anyOf": [{"minLength": 1}, NULL]}),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 1}),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": False}, {"type": "integer", "maximum": 9}),
        ({"type": "integer", "exclusiveMaximum": True}, {"type": "integer"}),
        ({"$ref": "#/components/schemas/B", "maxLength": 3}, {"$ref": "#/components/schemas/B"}),
        (
            {"$ref": "#/components/schemas/B", "nullable": True},
            {"anyOf": [{"$ref": "#/components/schemas/B"}, NULL]},
        ),
        (
            {"type": "object", "nullable": True, "allOf": [{"$ref": "#/components/schemas/B"}]},
            {"anyOf": [{"type": "object", "allOf": [{"$ref": "#/components/schemas/B"}]}, NULL]},
        ),
        (
            {"type": "array", "items": {"type": "string", "nullable": True}},
            {"type": "array", "items": {"type": ["string", "null"]}},
        ),
    ],
)
def test_a_schema_of_3_0_in_the_words_of_json_schema(schema: dict[str, Any], upgraded: dict[str, Any]) -> None:
    assert openapi30(schema) == upgraded


def test_a_property_may_be_called_like_a_keyword() -> None:
    properties = {"nullable": {"type": "boolean"}, "exclusiveMinimum": {"type": "boolean"}, "enum": {"nullable": True}}

    upgraded = openapi30({"type": "object", "properties": properties})["properties"]

    assert upgraded["nullable"] == {"type": "boolean"}
    assert upgraded["enum"] == {"anyOf": [{}, NULL]}


def test_examples_are_data_and_stay_as_they_are() -> None:
    schema = {"type": "object", "example": {"nullable": True, "type": "string"}, "default": {"nullable": True}}

    assert openapi30(schema) == schema


def test_a_swagger_body_becomes_a_request_body() -> None:
    parameter = {"in": "body", "name": "new", "required": True, "schema": {"$ref": "#/definitions/New"}}
    document = swagger2(
        {"parameters": [parameter], "responses": {}}, definitions={"New": {"type": "string", "x-nullable": True}}
    )

    assert document["paths"]["/a"]["post"]["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}},
    }
    assert document["components"]["schemas"]["New"] == {"type": ["string", "null"]}


@pytest.mark.parametrize(
    ("kind", "consumes", "expected"),
    [
        ("string", None, "application/x-www-form-urlencoded"),
        ("string", ["multipart/form-data"], "multipart/form-data"),
        ("file", None, "multipart/form-data"),
    ],
)
def test_swagger_form_fields_become_a_form(kind: str, consumes: list[str] | None, expected: str) -> None:
    fields = [
        {"in": "formData", "name": "name", "type": kind, "required": True},
        {"in": "formData", "name": "size", "type": "integer", "minimum": 1},
    ]
    operation = {"parameters": fields, "responses": {}} | ({"consumes": consumes} if consumes else {})

    body = swagger2(operation)["paths"]["/a"]["post"]["requestBody"]

    schema = body["content"][expected]["schema"]
    assert schema["required"] == ["name"]
    assert schema["properties"]["size"] == {"type": "integer", "minimum": 1}


@pytest.mark.parametrize(
    ("collection", "expected"),
    [
        ("multi", {"style": "form", "explode": True}),
        ("csv", {"style": "form", "explode": False}),
        ("ssv", {"style": "spaceDelimited", "explode": False}),
        ("pipes", {"style": "pipeDelimited", "explode": False}),
    ],
)
def test_a_swagger_collection_becomes_a_style(collection: str, expected: dict[str, Any]) -> None:
    parameter = {
        "in": "query", "name": "tags", "type": "array", "items": {"type": "string"}, "collectionFormat": collection,
        "x-example": ["a"],
    }  # fmt: skip

    [converted] = swagger2({"parameters": [parameter], "responses": {}}, "get")["paths"]["/a"]["get"]["parameters"]

    assert {key: converted[key] for key in ("style", "explode")} == expected
    assert converted["example"] == ["a"]
    assert converted["schema"] == {"type": "array", "items": {"type": "string"}}


def test_an_operation_replaces_and_shares_parameters_of_swagger() -> None:
    shared = {"page": {"in": "query", "name": "page", "type": "integer"}}
    item = {
        "parameters": [{"in": "query", "name": "sort", "type": "string"}, {"$ref": "#/parameters/page"}],
        "get": {"parameters": [{"in": "query", "name": "sort", "type": "integer"}], "responses": {}},
    }

    document = swagger2(paths={"/a": item, "x-more": {}}, parameters=shared)

    found = {item["name"]: item["schema"]["type"] for item in document["paths"]["/a"]["get"]["parameters"]}
    assert found == {"sort": "integer", "page": "integer"}
    assert "x-more" not in document["paths"]


def test_swagger_answers_have_the_media_types_of_produces() -> None:
    responses = {
        "200": {"description": "fine", "schema": {"type": "string"}},
        "206": {"description": "a file", "schema": {"type": "file"}},
        "400": {"$ref": "#/responses/Bad"},
    }
    document = swagger2({"responses": responses, "produces": ["text/plain"]}, responses={"Bad": {"description": "bad"}})

    answers = document["paths"]["/a"]["post"]["responses"]
    assert answers["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}
    assert answers["206"]["content"] == {"text/plain": {}}
    assert answers["400"] == {"$ref": "#/components/responses/Bad"}


def test_swagger_servers_come_from_host_and_base_path() -> None:
    assert swagger2()["servers"] == [{"url": "/"}]
    document = swagger2(host="depot.example", basePath="/v1", schemes=["http", "https"])
    assert document["servers"] == [{"url": "http://depot.example/v1"}, {"url": "https://depot.example/v1"}]


def test_swagger_credentials_become_security_schemes() -> None:
    definitions = {
        "basic": {"type": "basic"},
        "key": {"type": "apiKey", "name": "X-Key", "in": "header"},
        "login": {"type": "oauth2", "flow": "application", "tokenUrl": "https://a.example/t", "scopes": {"a": "b"}},
    }
    document = swagger2(securityDefinitions=definitions, security=[{"key": []}])

    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"] == {
        "basic": {"type": "http", "scheme": "basic"},
        "key": {"type": "apiKey", "name": "X-Key", "in": "header"},
        "login": {
            "type": "oauth2",
            "flows": {"clientCredentials": {"tokenUrl": "https://a.example/t", "scopes": {"a": "b"}}},
        },
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"paths": {"/a": {"get": {"parameters": 5}}}},
        {"paths": {"/a": {"get": {"parameters": [None]}}}},
        {"paths": {"/a": {"get": {"parameters": [{"in": "formData"}]}}}},
        {"paths": {"/a": {"get": {"responses": []}}}, "parameters": [1]},
        {"securityDefinitions": {"a": 5}},
    ],
)
def test_a_swagger_description_that_is_not_as_it_should_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpecification, match=r"not as Swagger 2\.0 has it"):
        swagger2(**changes)


def test_a_description_of_3_0_that_is_not_as_it_should_be_is_refused() -> None:
    with pytest.raises(InvalidSpecification, match=r"not as OpenAPI 3\.0\.3 has it"):
        openapi30({"type": "string", "nullable": True, "enum": 5})
