"""Descriptions become one document; hostile and broken ones are refused with the place."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from generation import generate
from sample_api.server import DESCRIPTIONS
from specifications.document import MAX_BYTES, InvalidSpecification, parse, resolve

HEAD = 'openapi: 3.1.0\ninfo: {title: Depot, version: "1"}\n'


def described(**changes: Any) -> bytes:
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Depot", "version": "1"},
        "paths": {"/a": {"get": {"responses": {"200": {"description": "fine"}}}}},
    }
    return json.dumps(document | changes).encode()


def refused(content: bytes) -> str:
    with pytest.raises(InvalidSpecification) as caught:
        parse(content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("openapi31.yaml", "OpenAPI 3.1.0"), ("openapi30.yaml", "OpenAPI 3.0.3"), ("swagger2.json", "Swagger 2.0")],
)
def test_every_version_becomes_one_form(name: str, kind: str) -> None:
    parsed = parse(DESCRIPTIONS[name].read_bytes())

    assert parsed.format == kind
    assert parsed.title == "Depot"
    assert parsed.document["openapi"] == "3.1.0"
    assert set(parsed.document["paths"]) == {"/health", "/items", "/items/{id}", "/drafts/{name}"}


def test_the_three_descriptions_of_one_api_mean_the_same() -> None:
    requests = {}
    for name, path in DESCRIPTIONS.items():
        cases = generate(parse(path.read_bytes()).document, seed=1).cases
        requests[name] = {(case.method, case.path, case.body) for case in cases}

    assert len(requests["openapi31.yaml"] & requests["openapi30.yaml"]) > 50
    assert len(requests["openapi31.yaml"] & requests["swagger2.json"]) > 50


def test_the_digest_is_of_the_content_not_of_its_form() -> None:
    as_json, as_yaml = described(), (HEAD + "paths: {/a: {get: {responses: {200: {description: fine}}}}}").encode()

    assert parse(as_json).digest == parse(as_yaml).digest
    assert parse(as_json).digest != parse(described(servers=[{"url": "/v1"}])).digest


def test_yaml_has_the_values_of_json() -> None:
    content = HEAD + (
        "paths: {/a: {get: {responses: {200: {description: fine}}}}}\n"
        "x: [on, 2024-01-01, 12:30, 010, 1e3, .5, -7, true, ~, .nan, 0x1F, '5', <<]\n"
        "y: {on: 1, null: 2, true: 3}\n"
    )

    document = parse(content.encode()).document

    expected = ["on", "2024-01-01", "12:30", 10, 1000.0, 0.5, -7, True, None, ".nan", "0x1F", "5", "<<"]
    assert document["x"] == expected
    assert document["y"] == {"on": 1, "null": 2, "true": 3}


def test_what_a_database_cannot_keep_is_taken_out() -> None:
    parsed = parse(described(info={"title": "De\0pot", "version": "1", "x\0y": 1}))

    assert parsed.title == "Depot"
    assert "\\u0000" not in json.dumps(parsed.document)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must be an object"),
        (b"[]", "must be an object"),
        (b"just text", "must be an object"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'{"openapi": ', "not JSON"),
        (b"a: [", "not YAML"),
        (b"a: 1\n---\nb: 2", "not YAML"),
        (b"a: !!python/object/apply:os.system [x]", "not YAML"),
        (b"{a: [}", "not JSON"),
        (described(openapi="2.0"), "openapi: 2.0: 3.0, 3.1 or swagger: 2.0 was expected"),
        (described(openapi="3.10"), "openapi: 3.10"),
        (described(openapi=None), "openapi: None"),
        (b'{"swagger": "1.2"}', "openapi: absent"),
        (described(info="Depot"), "info: an object"),
        (described(paths={}), "paths: an object with at least one path"),
        (described(paths={"a": {}}), "paths: 'a' does not begin with '/'"),
        (described(paths={"/a": []}), "paths: '/a': an object"),
        (described(paths={"/a": {"get": []}}), "paths: get '/a': an object"),
        (described(paths={"/a": {"summary": "x"}, "x-b": {"get": {}}}), "no operation"),
        ((HEAD + "paths: {/a: !!binary aGVsbG8=}").encode(), "/paths//a: a bytes"),
    ],
)
def test_what_is_no_description_is_refused_with_the_place(content: bytes, reason: str) -> None:
    assert reason in refused(content)


def test_a_yaml_alias_bomb_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()

    assert "line 2: YAML aliases are not accepted" in refused("\n".join(lines).encode())
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("content", [b"[" * 1_000_000, b"- " * 1_000_000, (HEAD + "x: " + "{a: " * 200_000).encode()])
def test_endless_depth_in_yaml_is_refused_at_once(content: bytes) -> None:
    started = time.monotonic()

    assert "nested more than 100 levels deep" in refused(content)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("depth", [150, 900, 200_000])
def test_endless_depth_in_json_is_refused(depth: int) -> None:
    content = described()[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"

    assert "nested" in refused(content)


def test_what_is_too_large_is_refused() -> None:
    assert f"larger than {MAX_BYTES} bytes" in refused(b" " * (MAX_BYTES + 1))


def test_too_many_operations_are_refused() -> None:
    paths = {f"/p{number}": {"get": {}, "put": {}} for number in range(501)}

    assert "1002 operations; at most 1000" in refused(described(paths=paths))


@pytest.mark.parametrize(
    "reference", ["https://evil.example/schema.json", "file:///etc/passwd", "other.yaml#/a", "//host/a", "#anchor", ""]
)
def test_a_reference_that_leaves_the_document_is_refused_with_the_place(reference: str) -> None:
    content = described(components={"schemas": {"A": {"allOf": [{"$ref": reference}]}}})

    message = refused(content)

    assert "/components/schemas/A/allOf/0: $ref" in message
    assert "leaves the document" in message


def test_a_property_called_ref_is_no_reference() -> None:
    schemas = {"A": {"type": "object", "properties": {"$ref": {"type": "string"}}}}

    assert parse(described(components={"schemas": schemas})).document["components"]["schemas"] == schemas


def test_a_reference_that_never_ends_is_refused_when_it_is_followed() -> None:
    schemas = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    document = parse(described(components={"schemas": schemas})).document

    with pytest.raises(InvalidSpecification, match="refers to itself"):
        resolve(document, schemas["A"])


@pytest.mark.parametrize("reference", ["#/components/schemas/C", "#/info/title/x", "#/"])
def test_a_reference_to_nothing_is_refused_when_it_is_followed(reference: str) -> None:
    document = parse(described()).document

    with pytest.raises(InvalidSpecification, match="is not in the document"):
        resolve(document, {"$ref": reference})


def test_a_reference_finds_names_with_slashes() -> None:
    document = parse(described()).document

    assert resolve(document, {"$ref": "#/paths/~1a/get/responses/200"}) == {"description": "fine"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "nan has no place"),
        ("-Infinity", "-inf has no place"),
        ("9" * 5000, "cannot be read"),
        ('"\\ud800"', "surrogate"),
    ],
)
def test_values_that_json_or_a_database_do_not_know_are_refused(value: str, reason: str) -> None:
    assert reason in refused(described()[:-1] + b', "x": ' + value.encode() + b"}")


def test_a_yaml_number_without_end_is_refused() -> None:
    assert "cannot be read" in refused((HEAD + "x: " + "9" * 5000).encode())
