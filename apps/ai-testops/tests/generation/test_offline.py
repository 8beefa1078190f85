"""The cases of a description: the same for the same seed, each with a reason, none where nothing is decided."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from generation import generate
from generation.cases import Case, make_case
from generation.offline import OfflineGenerator
from sample_api.server import DESCRIPTIONS
from specifications.document import parse

THING = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 2}}}


def description(operation: Any, path: str = "/a", method: str = "get", **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": "a", "version": "1"}, "paths": {path: {method: operation}}} | more


def made(operation: Any, path: str = "/a", method: str = "get", kind: str = "", **more: Any) -> list[Case]:
    cases = generate(description(operation, path, method, **more), seed=1).cases
    return [case for case in cases if kind in ("", case.kind)]


def answers(*statuses: str) -> dict[str, Any]:
    return {status: {"description": "an answer"} for status in statuses}


def sample(name: str = "openapi31.yaml", seed: int = 1, **more: Any) -> Any:
    return generate(parse(DESCRIPTIONS[name].read_bytes()).document, seed=seed, **more)


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_the_same_seed_makes_the_same_cases_and_another_one_others(name: str) -> None:
    assert sample(name) == sample(name)
    assert sample(name).cases != sample(name, seed=2).cases


def test_every_case_has_a_reason_and_a_key_of_its_own() -> None:
    cases = sample().cases

    assert {case.kind for case in cases} == {"positive", "boundary", "negative", "authentication"}
    assert all(case.oracle.endswith(".") and case.title for case in cases)
    assert len({case.key for case in cases}) == len(cases)
    assert all(len(case.key) == 64 and case.path.startswith("/") for case in cases)


def test_a_name_is_not_part_of_the_key() -> None:
    content: dict[str, Any] = {
        "kind": "positive", "operation": "GET /a" * 100, "oracle": "o", "method": "GET", "path": "/a", "headers": {},
        "body": None, "authentication": {}, "expectation": {"status": {"in": [200]}},
    }  # fmt: skip
    one, other = make_case(title="one" * 200, **content), make_case(title="another", **content)

    assert one.key == other.key != make_case(title="one", **content | {"path": "/b"}).key
    assert (len(one.title), len(one.operation)) == (300, 300)


def test_a_generator_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="offline or llm was expected"):
        generate(description({}), seed=1, generator="magic")


@pytest.mark.parametrize(
    ("operation", "path", "method", "status"),
    [
        ({"responses": answers("200")}, "/a", "get", {"in": [200]}),
        ({"responses": answers("200", "404")}, "/a", "get", {"in": [200]}),
        ({"responses": answers("201", "409", "400", "default")}, "/a", "post", {"in": [201, 409]}),
        ({"responses": answers("2XX", "302")}, "/a", "get", {"in": ["2XX", 302]}),
        ({"responses": answers("default")}, "/a", "get", {"not_in": ["5XX"]}),
        ({}, "/a", "get", {"not_in": ["5XX"]}),
        ({"responses": answers("500")}, "/a", "get", {"not_in": ["5XX"]}),
        ({"responses": answers("200", "404")}, "/a/{id}", "get", {"in": [200, 404]}),
        ({"responses": answers("200", "4XX")}, "/a/{id}", "get", {"in": [200, 404]}),
        ({"responses": answers("200")}, "/a/{id}", "get", {"not_in": ["5XX"]}),
        ({"responses": answers("200", "404")}, "/a/{known}", "get", {"in": [200]}),
    ],
)
def test_what_a_valid_request_is_answered_with(operation: Any, path: str, method: str, status: dict[str, Any]) -> None:
    parameter = {"name": path[4:-1], "in": "path", "required": True, "schema": {"type": "integer"}}
    if "known" in path:
        parameter["example"] = 5
    if "{" in path:
        operation = {**operation, "parameters": [parameter]}

    [case] = made(operation, path, method, kind="positive")[:1]

    assert case.expectation["status"] == status
    assert case.path == path.replace("{id}", "1").replace("{known}", "5")


def test_what_another_operation_deletes_may_be_gone() -> None:
    parameter = {"name": "id", "in": "path", "required": True, "example": 5, "schema": {"type": "integer"}}
    item = {
        "parameters": [parameter],
        "get": {"responses": answers("200", "404")},
        "delete": {"responses": answers("204")},
    }
    document = description({}) | {"paths": {"/a/{id}": item}}

    case = next(case for case in generate(document, seed=1).cases if case.method == "GET")

    assert case.expectation["status"] == {"in": [200, 404]}


def test_a_server_error_is_never_expected() -> None:
    for name in DESCRIPTIONS:
        for case in sample(name).cases:
            status = case.expectation["status"]
            assert status == {"not_in": ["5XX"]} or not any(str(entry).startswith("5") for entry in status["in"])
            assert not any(key.startswith("5") for key in case.expectation.get("schema", {}))


def test_a_body_is_sent_in_full_and_with_what_is_required_only() -> None:
    schema = THING | {"properties": {**THING["properties"], "size": {"type": "integer"}}}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}

    bodies = [json.loads(case.body or "null") for case in made({"requestBody": body}, method="post", kind="positive")]

    assert {"name": "sample", "size": 1} in bodies
    assert {"name": "sample"} in bodies


def test_examples_of_the_description_are_sent() -> None:
    examples = {"one": {"value": {"name": "first"}}, "two": {"value": {"name": "second"}}, "bad": {"value": {}}}
    body = {"required": True, "content": {"application/json": {"schema": THING, "examples": examples}}}

    bodies = [case.body for case in made({"requestBody": body}, method="post", kind="positive")]

    assert '{"name": "first"}' in bodies
    assert '{"name": "second"}' in bodies
    assert "{}" not in bodies


@pytest.mark.parametrize(
    ("required", "titles"),
    [
        (True, {"body: left out although required", "body: text that is not JSON"}),
        (False, {"body: text that is not JSON"}),
    ],
)
def test_a_body_is_left_out_where_it_must_not_be(required: bool, titles: set[str]) -> None:
    body = {"required": required, "content": {"application/json": {"schema": {"type": ["object", "null"]}}}}

    found = {case.title for case in made({"requestBody": body}, method="post", kind="negative")}

    assert {title for title in found if "instead" not in title} == titles


@pytest.mark.parametrize(
    ("parameter", "refused"),
    [
        ({"schema": {"type": "integer"}}, ["/a?p=not-a-number", "/a?p=2.5", "/a?p=1.5"]),
        ({"schema": {"type": "integer"}, "required": True}, ["/a", "/a?p=not-a-number", "/a?p=1.5"]),
        ({"schema": {"type": "string"}}, []),
        ({"schema": {"type": "string", "minLength": 1}}, []),
        ({"schema": {"type": "array", "items": {"type": "string"}, "minItems": 1}}, []),
        ({"schema": {"type": "object", "required": ["x"], "properties": {"x": {"type": "string"}}}}, []),
        ({"schema": {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "string"}}}}, []),
        ({"schema": {"type": "object", "properties": {"x": {"type": "integer"}}}}, ["/a?x=not-a-number", "/a?x=1.5"]),
    ],
)
def test_a_parameter_is_spoiled_only_where_a_server_must_notice(parameter: dict[str, Any], refused: list[str]) -> None:
    cases = made({"parameters": [{"name": "p", "in": "query"} | parameter]}, kind="negative")

    assert {case.path for case in cases} <= set(refused)
    assert bool(cases) is bool(refused)
    assert all(case.expectation["status"] == {"in": ["4XX"]} for case in cases)


SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
    "basic": {"type": "http", "scheme": "basic"},
}


@pytest.mark.parametrize(
    ("scheme", "path", "header"),
    [
        ("header", "/a", ("X-Key", "wrong-credential")),
        ("query", "/a?key=wrong-credential", None),
        ("cookie", "/a", ("Cookie", "session=wrong-credential")),
        ("basic", "/a", ("Authorization", "Basic d3Jvbmc6d3Jvbmc=")),
    ],
)
def test_without_or_with_a_wrong_credential(scheme: str, path: str, header: Any) -> None:
    operation = {"security": [{scheme: []}], "responses": answers("200")}

    without, wrong = made(operation, kind="authentication", components={"securitySchemes": SCHEMES})

    assert without.authentication == wrong.authentication == {}
    assert (without.path, without.headers) == ("/a", {"Accept": "*/*"})
    assert wrong.path == path
    assert header is None or header in wrong.headers.items()
    assert without.expectation == wrong.expectation == {"status": {"in": [401, 403]}}


def test_where_no_credential_is_asked_for_there_is_no_such_case() -> None:
    for security in ([], [{}], [{"header": []}, {}]):
        operation = {"security": security, "responses": answers("200")}
        assert not made(operation, kind="authentication", components={"securitySchemes": SCHEMES})


def test_the_limit_is_shared_by_operations_and_kinds() -> None:
    generated = sample(limit=40)

    assert len(generated.cases) == 40
    assert len({case.operation for case in generated.cases}) == 5
    assert {case.kind for case in generated.cases} == {"positive", "boundary", "negative", "authentication"}
    assert any("above the limit of 40 were left out" in note for note in generated.notes)


def test_one_operation_does_not_use_up_everything() -> None:
    properties = {f"field{number}": {"type": "integer"} for number in range(300)}
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": properties}}}}

    generated = generate(description({"requestBody": body}, method="post"), seed=1, limit=50)

    assert len(generated.cases) == 50
    assert "0 cases, and the rest of 1 operations, above the limit of 50 were left out" in generated.notes


def test_the_time_is_bounded_and_said() -> None:
    document = parse(DESCRIPTIONS["openapi31.yaml"].read_bytes()).document

    nothing = OfflineGenerator(-1, 10).generate(document, seed=1, limit=100)
    undrawn = OfflineGenerator(30, -1).generate(document, seed=1, limit=100)

    assert nothing.cases == []
    assert "after -1 s: no cases for the last 5 operations" in nothing.notes
    assert undrawn.cases
    assert "the time for drawing requests was used up: some operations have none" in undrawn.notes


def test_a_pattern_made_to_take_for_ever_is_not_drawn() -> None:
    schema = {"type": "string", "pattern": "^(a+)+$", "minLength": 25}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    started = time.monotonic()

    generated = generate(description({"requestBody": body}, method="post"), seed=1)

    assert [case.body for case in generated.cases if case.kind == "positive"] == [json.dumps("a" * 25)]
    assert generated.notes == ["POST /a: no drawn requests: its patterns or sizes could take too long"]
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "no cases: no value is allowed"),
        ({"type": "string", "minLength": 10**9}, "no cases: it wants 1000000000 characters"),
        ({"$ref": "#/components/none"}, "#/components/none is not in the document"),
        ({"type": "array", "minItems": 10**9}, "no cases: it wants 1000000000 items"),
        ({"allOf": [{"$ref": "#/components/schemas/loop"}]}, "refers to itself"),
    ],
)
def test_a_body_that_cannot_be_made_is_noted(schema: dict[str, Any], reason: str) -> None:
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    loop = {"schemas": {"loop": {"anyOf": [{"$ref": "#/components/schemas/loop"}]}}}

    generated = generate(description({"requestBody": body}, method="post", components=loop), seed=1)

    assert generated.cases == []
    assert any(reason in note for note in generated.notes), generated.notes


def test_a_parameter_that_cannot_be_made_is_left_out_unless_it_is_required() -> None:
    parameter = {"name": "p", "in": "query", "schema": {"type": "string", "minLength": 10**9}}

    generated = generate(description({"parameters": [parameter]}), seed=1)
    required = generate(description({"parameters": [parameter | {"required": True}]}), seed=1)

    assert [case.path for case in generated.cases] == ["/a"]
    assert "GET /a: without the query parameter 'p': it wants 1000000000 characters" in generated.notes
    assert required.cases == []
    assert "GET /a: no cases: query parameter 'p': it wants 1000000000 characters" in required.notes
