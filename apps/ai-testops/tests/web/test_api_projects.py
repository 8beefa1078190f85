from __future__ import annotations

import pytest

from testops.models import Project, QueuedCase, Result, Run

PROJECTS = "/api/v1/projects"


def test_a_project_is_made_changed_and_deleted(api, user):
    made = api.post(PROJECTS, {"name": "Depot", "base_url": "http://depot.testing.svc:8000"}, format="json")
    assert made.status_code == 201
    place = f"{PROJECTS}/{made.json()['id']}"
    assert made.json()["created_by"] == "ada"
    assert api.patch(place, {"name": "Depot 2"}, format="json").json()["name"] == "Depot 2"
    assert [row["name"] for row in api.get(PROJECTS).json()["results"]] == ["Depot 2"]
    assert api.delete(place).status_code == 204
    assert api.get(place).status_code == 404


def test_credentials_go_in_and_never_come_out(api):
    secret = "pa55-phrase"
    given = {"name": "Depot", "base_url": "http://depot", "credentials": {"key": secret, "basic": "dXNlcjpwdw=="}}
    made = api.post(PROJECTS, given, format="json")
    place = f"{PROJECTS}/{made.json()['id']}"
    assert made.json()["credential_names"] == ["basic", "key"]
    for answer in (made, api.get(place), api.get(PROJECTS), api.patch(place, {"name": "Other"}, format="json")):
        assert secret not in answer.content.decode()
        assert "credentials" not in answer.json()
    project = Project.objects.get()
    assert project.credentials["key"] == secret
    assert secret not in project.sealed_credentials


def test_credentials_are_not_sent_to_another_server_by_changing_the_address(api, project):
    place = f"{PROJECTS}/{project.pk}"
    refused = api.patch(place, {"base_url": "http://thief.example"}, format="json")
    assert refused.status_code == 400
    assert list(refused.json()) == ["base_url"]
    same_server = "http://depot.example:8000/v2"
    assert api.patch(place, {"base_url": same_server}, format="json").json()["credential_names"] == ["key"]
    moved = api.patch(place, {"base_url": "http://new.example", "credentials": {}}, format="json")
    assert moved.json()["credential_names"] == []


def test_credentials_of_another_key_are_said_to_be_unreadable(api, project, settings):
    settings.CREDENTIALS_KEY = "a new one"
    assert api.get(f"{PROJECTS}/{project.pk}").json()["credential_names"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("base_url", "ftp://depot"),
        ("base_url", "http://user:password@depot"),
        ("base_url", "http://depot/?query"),
        ("credentials", {"key": "line\nbreak"}),
        ("credentials", {"key": ""}),
        ("credentials", {"": "secret"}),
        ("credentials", {"key": "ü"}),
        ("credentials", {f"key{number}": "secret" for number in range(21)}),
        ("credentials", ["key"]),
    ],
)
def test_a_refusal_names_the_field(api, field, value):
    given = {"name": "Depot", "base_url": "http://depot", field: value}
    answer = api.post(PROJECTS, given, format="json")
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


def test_two_projects_of_one_name_are_refused(api, project):
    answer = api.post(PROJECTS, {"name": project.name, "base_url": "http://depot"}, format="json")
    assert answer.status_code == 400
    assert "name" in answer.json()


def test_deleting_a_project_takes_its_running_runs_along(api, project, run, make_result):
    make_result(run, run.queue.first().case)
    assert api.delete(f"{PROJECTS}/{project.pk}").status_code == 204
    assert not Run.objects.exists()
    assert not QueuedCase.objects.exists()
    assert not Result.objects.exists()


@pytest.mark.parametrize("query", ["limit=1000000", "offset=99999999999999999999999999", "limit=-1"])
def test_pages_are_bounded(api, project, query):
    assert api.get(f"{PROJECTS}?{query}").status_code == 200
