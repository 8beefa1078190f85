"""The pages: who sees them, what can be done there, and that everyone can use them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from generation import Generated
from testops import attempts, runs
from testops.models import FailureGroup, Project, Run, Specification

PASSWORD = "correct horse battery staple"  # of the user in conftest.py
OPEN = {"login", "api-sign-in", "schema", "docs"}
HOSTILE = "<script>alert(1)</script>"
VOID = {"meta", "link", "input", "br", "hr", "img"}


class Outline(HTMLParser):
    """What a screen reader goes by, and what must not be there."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings, self.ids, self.labels, self.fields, self.loose = [], [], set(), set(), []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID:
            self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "label":
            self.labels.add(given["for"])
        if tag in {"input", "select", "textarea", "progress"} and given.get("type") != "hidden":
            self.fields.add(given["id"])
        if tag == "th" and "scope" not in given:
            self.loose.append("th without scope")
        if tag == "script" and "src" not in given:
            self.loose.append("inline script")
        self.loose += [name for name in given if name == "style" or name.startswith("on")]
        self.loose += [value for name, value in attributes if name in {"src", "href"} and value.startswith("http")]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag


def check_page(response, status: int = 200) -> str:
    assert response.status_code == status
    text = response.content.decode()
    outline = Outline(text)
    assert text.startswith("<!doctype html>\n<html lang=")
    assert outline.headings[:1] == ["h1"]
    assert outline.headings.count("h1") == 1
    assert len(set(outline.ids)) == len(outline.ids)
    assert outline.fields <= outline.labels
    assert outline.loose == []
    return text


@pytest.fixture
def results(run, make_result):
    """A finished run with a failure group; everything strangers may have written is hostile."""
    first, second, third = (queued.case for queued in run.queue.all())
    first.title = first.operation = first.oracle = HOSTILE
    first.headers = {"items": HOSTILE}
    first.authentication = {"keys": {"in": "header", "name": "X"}}
    first.body = HOSTILE
    first.flakiness = 0.5
    first.expectation = {"status": {"in": [HOSTILE]}}
    first.kind = "negative"
    first.save()
    group = FailureGroup.objects.create(run=run, label=HOSTILE, size=1)
    message = {"url": HOSTILE, "method": "GET", "headers": {"items": HOSTILE}, "body": HOSTILE}
    made = [
        make_result(run, first, "failed", reason=HOSTILE, group=group, request=message, response=message),
        make_result(run, second),
        make_result(run, third, "error", status_code=None, response={}, request={}),
    ]
    run.note = HOSTILE
    run.status, run.analysed, run.finished_at = Run.Status.FINISHED, True, timezone.now()
    run.save()
    return made


def test_signed_in_people_only(db):
    stranger = Client()
    for pattern in get_resolver().url_patterns[-1].url_patterns:
        if pattern.name not in OPEN:
            arguments = {"pk": 1} if "pk" in pattern.pattern.converters else {}
            for call in (stranger.get, stranger.post):
                answer = call(reverse(pattern.name, kwargs=arguments))
                assert answer.status_code == 302, pattern.name
                assert answer["Location"].startswith("/accounts/login/?next="), pattern.name


def test_people_sign_in_and_out(user):
    client = Client(enforce_csrf_checks=True)
    check_page(client.get("/accounts/login/"))
    token = client.cookies["csrftoken"].value
    given = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/projects/new"}
    assert client.post("/accounts/login/", {**given, "csrfmiddlewaretoken": ""}).status_code == 403
    assert client.post("/accounts/login/", given)["Location"] == "/projects/new"
    check_page(client.get("/"))
    token = client.cookies["csrftoken"].value
    assert client.get("/accounts/logout/").status_code == 405
    client.post("/accounts/logout/", {"csrfmiddlewaretoken": token})
    assert client.get("/").status_code == 302


def test_guessing_passwords_on_the_page_is_slowed_down_too(user):
    client = Client()
    for _ in range(attempts.ALLOWED):
        client.post("/accounts/login/", {"username": "ada", "password": "wrong"})
    text = client.post("/accounts/login/", {"username": "ada", "password": PASSWORD}).content.decode()
    assert "try again in" in text
    assert client.get("/admin/login/")["Location"] == "/accounts/login/"


def test_who_signs_in_starts_from_nothing(user, client):
    client.post("/accounts/login/", {"username": "ada", "password": "wrong"})
    client.post("/accounts/login/", {"username": "ada", "password": PASSWORD})
    assert attempts.FailedSignIn.objects.count() == 0


def test_nothing_is_changed_without_the_csrf_token(user, run):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(f"/runs/{run.pk}/cancel").status_code == 403
    assert client.post("/api/v1/projects", {"name": "a", "base_url": "http://a"}).status_code == 403
    run.refresh_from_db()
    assert run.status == Run.Status.RUNNING


def test_every_page_escapes_what_strangers_wrote_and_can_be_used_by_everyone(page, project, results):
    failed = results[0]
    project.name = HOSTILE
    project.save()
    Specification.objects.update(title=HOSTILE, origin=HOSTILE)
    places = [
        "/",
        f"/projects/{project.pk}",
        f"/specifications/{failed.run.specification_id}",
        f"/runs/{failed.run_id}",
    ]
    places += [f"/projects/{project.pk}/{verb}" for verb in ("edit", "delete", "import")]
    places += [f"/results/{result.pk}" for result in results] + [f"/cases/{failed.case_id}", "/projects/new"]
    places += [f"/specifications/{failed.run.specification_id}/delete"]
    for place in places:
        answer = page.get(place)
        text = check_page(answer)
        assert HOSTILE not in text, place
        assert "script-src 'self'" in answer["Content-Security-Policy"]
        assert place == "/projects/new" or "&lt;script&gt;" in text, place


def test_the_dashboard_shows_rates_and_flaky_cases(page, results):
    text = check_page(page.get("/"))
    assert "33.3 %" in text
    assert "0.50" in text


def test_a_dashboard_of_nothing(page):
    assert "No project yet" in check_page(page.get("/"))


def test_a_project_is_made_with_credentials_that_are_not_shown(page, user):
    given = {"name": "Depot", "base_url": "http://depot:8000", "credentials": "key: pa55-phrase\n\nbasic: dXNlcjpwdw=="}
    place = page.post("/projects/new", given)["Location"]
    project = Project.objects.get()
    assert project.created_by == user
    assert project.credentials == {"key": "pa55-phrase", "basic": "dXNlcjpwdw=="}
    for shown in (place, f"{place}/edit"):
        text = check_page(page.get(shown))
        assert "basic, key" in text
        assert "pa55-phrase" not in text


def test_changing_a_project_leaves_its_credentials_unless_told(page, project):
    place = f"/projects/{project.pk}/edit"
    given = {"name": "New name", "base_url": project.base_url}
    assert page.post(place, given).status_code == 302
    project.refresh_from_db()
    assert (project.name, list(project.credentials)) == ("New name", ["key"])
    page.post(place, {**given, "forget": "on"})
    project.refresh_from_db()
    assert project.credentials == {}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"base_url": "http://thief.example"}, "another server"),
        ({"base_url": "javascript:alert(1)"}, "http://"),
        ({"name": ""}, "required"),
        ({"credentials": "no colon"}, "line 1"),
        ({"credentials": "key:"}, "printable ASCII"),
    ],
)
def test_a_wrong_project_is_not_saved_and_the_reason_shown(page, project, changed, told):
    given = {"name": "Depot", "base_url": project.base_url, **changed}
    text = check_page(page.post(f"/projects/{project.pk}/edit", given), 400)
    assert told in text
    assert Project.objects.get().base_url == project.base_url


def test_unreadable_credentials_are_said_to_be(page, project, settings):
    settings.CREDENTIALS_KEY = "a new one"
    assert "no longer readable" in check_page(page.get(f"/projects/{project.pk}"))
    assert "no longer be read" in check_page(page.get(f"/projects/{project.pk}/edit"))


def test_a_description_is_imported_from_a_file_or_a_url(page, project, serve):
    content = b'{"openapi": "3.1.0", "info": {"title": "Mine", "version": "1"}, "paths": {"/a": {"get": {}}}}'
    place = f"/projects/{project.pk}/import"
    answer = page.post(place, {"file": SimpleUploadedFile("a.json", content)}, follow=True)
    assert "Imported." in check_page(answer)
    with serve(content) as url:
        assert "very description before" in check_page(page.post(place, {"url": url}, follow=True))
    assert Specification.objects.count() == 1


@pytest.mark.parametrize(
    ("given", "told"), [({}, "Either a file or a URL"), ({"url": "ftp://127.0.0.1/"}, "not an http:// or https:// URL")]
)
def test_an_import_that_is_refused_says_why(page, project, given, told):
    text = check_page(page.post(f"/projects/{project.pk}/import", given), 400)
    assert told in text


def test_cases_are_generated_and_notes_shown(page, specification, monkeypatch):
    notes = [f"note {number}" for number in range(12)]
    monkeypatch.setattr("generation.generate", lambda *a, **k: Generated([], notes))
    place = f"/specifications/{specification.pk}/generate"
    text = check_page(page.post(place, {"generator": "llm", "seed": "1"}, follow=True))
    assert "0 new cases" in text
    assert "note 0" in text
    assert "2 more notes" in text
    assert "seed: Enter a whole number" in check_page(page.post(place, {"generator": "llm", "seed": "x"}, follow=True))


def test_a_run_is_started_from_the_specification(page, specification, make_case, user):
    place = f"/specifications/{specification.pk}/run"
    assert "Nothing to run" in check_page(page.post(place, {"note": "nightly"}, follow=True))
    make_case()
    text = check_page(page.post(place, {"note": "nightly"}, follow=True))
    run = Run.objects.get()
    assert (run.note, run.created_by, run.total) == ("nightly", user, 1)
    assert "nightly" in text
    assert "progress.js" in text
    assert "note:" in check_page(page.post(place, {"note": "x" * 1001}, follow=True))


def test_progress_is_told_as_json_until_the_run_is_analysed(page, run, make_result):
    place = f"/runs/{run.pk}/progress"
    make_result(run, run.queue.first().case)
    now = page.get(place).json()
    assert now["counts"] == {"passed": 1, "failed": 0, "error": 0, "done": 1, "waiting": 2}
    assert (now["status"], now["total"], now["settled"]) == ("running", 3, False)
    Run.objects.update(status="finished", finished_at=timezone.now())
    assert page.get(place).json()["settled"] is False
    Run.objects.update(analysed=True)
    assert page.get(place).json()["settled"] is True
    assert "progress.js" not in check_page(page.get(f"/runs/{run.pk}"))


def test_a_run_is_cancelled_once(page, run):
    assert "cancelled" in check_page(page.post(f"/runs/{run.pk}/cancel", follow=True))
    assert "Not cancelled" in check_page(page.post(f"/runs/{run.pk}/cancel", follow=True))


@pytest.mark.parametrize(
    ("query", "found"),
    [("outcome=failed", 1), ("kind=positive", 2), ("group={group}", 1), ("outcome=x", 0), ("group=4711", 0), ("", 3)],
)
def test_results_are_narrowed_down(page, results, query, found):
    text = check_page(page.get(f"/runs/{results[0].run_id}?{query.format(group=results[0].group_id)}"))
    assert f"{found} results</caption>" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [("kind=negative", 1), ("active=true", 3), ("active=false", 0), ("operation=ITEMS", 2), ("kind=x", 0)],
)
def test_cases_are_narrowed_down(page, results, query, found):
    text = check_page(page.get(f"/specifications/{results[0].run.specification_id}?{query}"))
    assert f"{found} cases</caption>" in text


def test_many_cases_come_in_pages_and_keep_the_filter(page, specification, make_case):
    for _ in range(51):
        make_case()
    place = f"/specifications/{specification.pk}?kind=positive"
    text = check_page(page.get(f"{place}&page=2"))
    assert "Page 2 of 2" in text
    assert "?kind=positive&amp;page=1" in text
    assert "Page 2 of 2" in check_page(page.get(f"{place}&page=99"))


def test_a_case_is_left_out_of_runs_and_taken_in_again(page, make_case):
    case = make_case()
    for active in ("false", "true"):
        assert page.post(f"/cases/{case.pk}/active", {"active": active})["Location"] == f"/cases/{case.pk}"
        case.refresh_from_db()
        assert case.active is (active == "true")


def test_deleting_asks_first(page, specification, user, make_case):
    make_case()
    runs.start(specification, user)
    project = specification.project
    for place, model in (
        (f"/specifications/{specification.pk}/delete", Specification),
        (f"/projects/{project.pk}/delete", Project),
    ):
        check_page(page.get(place))
        assert model.objects.exists()
        check_page(page.post(place, follow=True))
        assert not model.objects.exists()


@pytest.mark.parametrize("place", ["/runs/4711", "/made/up"])
def test_what_is_not_there_is_a_page_too(page, place):
    assert "Not found" in check_page(page.get(place), 404)
    assert page.get(f"/api{place}").json() == {"detail": "there is nothing at this address"}


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, 500), (OperationalError, 503)])
def test_an_error_is_a_page_that_tells_nothing(page, monkeypatch, error, status):
    def fail(*args):
        raise error("inner details")

    monkeypatch.setattr("testops.runs.count", fail)
    page.raise_request_exception = False
    answer = page.get("/")
    assert "inner details" not in check_page(answer, status)
    assert ("Retry-After" in answer) == (status == 503)


def test_the_api_says_in_json_that_it_failed(page, run, monkeypatch):
    def fail(*args):
        raise RuntimeError("inner details")

    monkeypatch.setattr("testops.runs.count", fail)
    page.raise_request_exception = False
    answer = page.get("/api/v1/runs")
    assert (answer.status_code, answer.json()) == (500, {"detail": "something went wrong, and was noted"})
