from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from generation import Case, Generated
from sample_api.server import DESCRIPTIONS
from specifications.document import InvalidSpecification
from testops.imports import unstorable
from testops.models import Specification, TestCase

SPECIFICATIONS = "/api/v1/specifications"
MINIMAL = {"openapi": "3.1.0", "info": {"title": "A", "version": "1"}, "paths": {"/a": {"get": {"responses": {}}}}}


def upload(api, project, content: bytes, name: str = "openapi.json"):
    given = {"project": project.pk, "file": SimpleUploadedFile(name, content)}
    return api.post(SPECIFICATIONS, given, format="multipart")


def made(*keys: str, **content) -> Generated:
    values = {
        "kind": "positive", "operation": "GET /a", "title": "a", "oracle": "because", "method": "GET", "path": "/a",
        "headers": {}, "body": None, "authentication": {}, "expectation": {"status": {"in": [200]}},
    }  # fmt: skip
    return Generated([Case(key=key, **values | content) for key in keys])


@pytest.fixture
def generator(monkeypatch):
    """The next answer of the generator, and what it was asked."""

    class Stub:
        answer = made("one")
        asked: dict = {}

        def __call__(self, document, **asked):
            self.asked = asked
            return self.answer

    stub = Stub()
    monkeypatch.setattr("generation.generate", stub)
    return stub


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_every_form_of_description_is_imported(api, project, kind):
    answer = upload(api, project, DESCRIPTIONS[kind].read_bytes(), kind)
    assert answer.status_code == 201
    assert answer.json()["origin"] == kind
    document = api.get(f"{SPECIFICATIONS}/{answer.json()['id']}/document").json()
    assert document["openapi"].startswith("3.1")


def test_the_same_description_twice_is_one_specification(api, project):
    first, second = (upload(api, project, json.dumps(MINIMAL).encode()) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


def test_a_description_is_read_from_a_url(api, project, serve):
    with serve(json.dumps(MINIMAL).encode()) as url:
        answer = api.post(SPECIFICATIONS, {"project": project.pk, "url": url}, format="json")
    assert answer.status_code == 201
    assert answer.json()["origin"] == url


def test_a_url_the_operator_has_not_allowed_is_refused(api, project, settings):
    settings.TARGET_ALLOWED_HOSTS = ()
    answer = api.post(SPECIFICATIONS, {"project": project.pk, "url": "http://127.0.0.1:1/"}, format="json")
    assert answer.status_code == 400
    assert "TARGET_ALLOWED_HOSTS" in answer.json()["url"][0]


def test_a_url_with_a_password_is_refused_and_not_repeated(api, project):
    url = "http://ada:pa55@127.0.0.1:1/openapi.json"
    answer = api.post(SPECIFICATIONS, {"project": project.pk, "url": url}, format="json")
    assert answer.status_code == 400
    assert list(answer.json()) == ["url"]
    assert "pa55" not in answer.content.decode()


def test_a_request_larger_than_any_description_is_not_read(api, project, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = upload(api, project, b"{" + b" " * 1000)
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["detail"]


def test_a_url_that_answers_with_an_error_is_refused(api, project, serve):
    with serve(b"gone", 404) as url:
        answer = api.post(SPECIFICATIONS, {"project": project.pk, "url": url}, format="json")
    assert "404" in answer.json()["url"][0]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"{", "not JSON"),
        (b"a: [", "not YAML"),
        (b"\xff\xfe", "UTF-8"),
        (b"[]", "object"),
        (b"{}", "openapi: absent"),
        (b'{"openapi": "3.1.0"}', "info"),
        (json.dumps({**MINIMAL, "paths": {"a": {}}}).encode(), "paths: 'a'"),
        (json.dumps({**MINIMAL, "paths": {"/a": {"get": 1}}}).encode(), "paths: get '/a'"),
        (json.dumps({**MINIMAL, "x-a": {"$ref": "http://elsewhere"}}).encode(), "/x-a"),
        (json.dumps({**MINIMAL, "openapi": "4"}).encode(), "openapi"),
        (json.dumps({**MINIMAL, "x-half": "\ud800"}).encode(), "surrogate"),
        (json.dumps({**MINIMAL, "x-endless": float("inf")}).encode(), "JSON"),
        (json.dumps({"swagger": "2.0", **MINIMAL, "parameters": 7}).encode(), "not as Swagger 2.0 has it"),
        (b"{" + b" " * (5 * 1024 * 1024), "larger than"),
    ],
)
def test_a_refused_description_is_told_the_place(api, project, content, place):
    answer = upload(api, project, content)
    assert answer.status_code == 400
    assert place in answer.json()["file"][0]


def test_a_form_nobody_thought_of_is_a_refusal_too(api, project, monkeypatch):
    def stumble(content):
        raise KeyError("schema")

    monkeypatch.setattr("testops.imports.parse", stumble)
    answer = upload(api, project, b"{}")
    assert answer.status_code == 400
    assert "KeyError: 'schema'" in answer.json()["file"][0]


@pytest.mark.parametrize(
    ("value", "told"), [("\0", "NUL"), ({"\0": 1}, "NUL"), ("\ud800", "surrogate"), (float("nan"), "JSON")]
)
def test_what_postgresql_cannot_keep_is_known_beforehand(value, told):
    assert told in unstorable([value])


def test_what_only_looks_like_nul_is_kept():
    assert unstorable("\\u0000") is None


def test_either_a_file_or_a_url_is_wanted(api, project):
    assert "file" in api.post(SPECIFICATIONS, {"project": project.pk}, format="json").json()
    both = {"project": project.pk, "url": "http://a", "file": SimpleUploadedFile("a", b"{}")}
    assert "file" in api.post(SPECIFICATIONS, both, format="multipart").json()
    assert "project" in api.post(SPECIFICATIONS, {"project": 4711, "url": "http://a"}, format="json").json()


def test_cases_are_generated_from_an_imported_description(api, project):
    parameter = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 9}}
    operation = {"parameters": [parameter], "responses": {"200": {"description": "fine"}, "400": {"description": "no"}}}
    content = json.dumps({**MINIMAL, "paths": {"/a": {"get": operation}}}).encode()
    place = f"{SPECIFICATIONS}/{upload(api, project, content).json()['id']}"
    first = api.post(f"{place}/generate", {"generator": "offline", "seed": 7}, format="json").json()
    assert first["generator"] == "offline"
    assert first["created"] == TestCase.objects.count() > 3
    assert first["notes"] == []
    again = api.post(f"{place}/generate", {"generator": "offline", "seed": 7}, format="json").json()
    assert (again["created"], again["known"]) == (0, first["created"])
    assert api.get(place).json()["cases"] == first["created"]
    assert {case.seed for case in TestCase.objects.all()} == {7}


def test_a_case_that_is_made_again_stays_as_it_was(api, specification, generator):
    place = f"{SPECIFICATIONS}/{specification.pk}/generate"
    api.post(place)
    TestCase.objects.update(active=False, flakiness=0.5)
    generator.answer = made("one", "two")
    assert api.post(place).json() == {"generator": "offline", "created": 1, "known": 1, "notes": []}
    assert list(TestCase.objects.values_list("key", "active", "flakiness")) == [("one", False, 0.5), ("two", True, 0.0)]


def test_who_names_no_generator_gets_the_operators_choice(api, specification, generator, settings):
    settings.GENERATOR = "llm"
    api.post(f"{SPECIFICATIONS}/{specification.pk}/generate")
    assert generator.asked == {"generator": "llm", "seed": 0}


def test_what_the_generator_has_to_say_is_passed_on(api, specification, generator):
    generator.answer = Generated([], ["the language model did not answer"], "offline")
    answer = api.post(f"{SPECIFICATIONS}/{specification.pk}/generate", {"generator": "llm"}, format="json").json()
    assert answer["notes"] == ["the language model did not answer"]


def test_a_specification_has_room_for_so_many_cases(api, specification, generator, settings):
    settings.MAX_CASES_PER_SPECIFICATION = 2
    generator.answer = made("one", "two", "three")
    answer = api.post(f"{SPECIFICATIONS}/{specification.pk}/generate").json()
    assert (answer["created"], answer["known"]) == (2, 0)
    assert "1 cases were left out" in answer["notes"][0]


def test_cases_the_database_cannot_keep_are_left_out(api, specification, generator):
    generator.answer = made("one", body="\0")
    answer = api.post(f"{SPECIFICATIONS}/{specification.pk}/generate").json()
    assert answer["created"] == 0
    assert len(answer["notes"]) == 1


def test_a_description_that_nothing_can_be_generated_from_is_a_refusal(api, page, specification, monkeypatch):
    def refuse(*args, **options):
        raise InvalidSpecification("#/a refers to itself")

    monkeypatch.setattr("generation.generate", refuse)
    answer = api.post(f"{SPECIFICATIONS}/{specification.pk}/generate")
    assert (answer.status_code, answer.json()) == (400, {"specification": ["#/a refers to itself"]})
    place = f"/specifications/{specification.pk}/generate"
    shown = page.post(place, {"generator": "offline", "seed": 0}, follow=True)
    assert "#/a refers to itself" in shown.content.decode()


@pytest.mark.parametrize(("field", "value"), [("generator", "magic"), ("seed", -1), ("seed", 2**63), ("seed", "x")])
def test_a_wrong_wish_is_named(api, specification, field, value):
    answer = api.post(f"{SPECIFICATIONS}/{specification.pk}/generate", {field: value}, format="json")
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


def test_specifications_are_listed_by_project_and_deleted_with_their_cases(api, specification, run):
    assert api.get(SPECIFICATIONS, {"project": specification.project_id}).json()["count"] == 1
    assert api.get(SPECIFICATIONS, {"project": specification.project_id + 1}).json()["count"] == 0
    assert api.delete(f"{SPECIFICATIONS}/{specification.pk}").status_code == 204
    assert not Specification.objects.exists()
    assert not TestCase.objects.exists()
