from __future__ import annotations

import pytest
from django.db import OperationalError

from testops import runs
from testops.models import FailureGroup, Kind, QueuedCase, Run

RUNS, CASES, RESULTS, GROUPS = "/api/v1/runs", "/api/v1/cases", "/api/v1/results", "/api/v1/groups"


def test_a_run_queues_the_active_cases(api, specification, make_case, user):
    wanted = [make_case(), make_case()]
    make_case(active=False)
    answer = api.post(RUNS, {"specification": specification.pk, "note": "nightly"}, format="json")
    assert answer.status_code == 201
    run = Run.objects.get()
    assert (run.total, run.note, run.created_by, run.status) == (2, "nightly", user, "running")
    assert run.base_url == specification.project.base_url
    assert set(run.queue.values_list("case", flat=True)) == {case.pk for case in wanted}
    assert not run.queue.exclude(sent_at=None, times_sent=0).exists()
    assert answer.json()["counts"] == {"passed": 0, "failed": 0, "error": 0, "done": 0, "waiting": 2}


def test_a_run_without_a_queue_does_not_stay(specification, make_case, user, monkeypatch):
    make_case()

    def fail(*args, **options):
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(QueuedCase.objects, "bulk_create", fail)
    with pytest.raises(OperationalError):
        runs.start(specification, user)
    assert not Run.objects.exists()


def test_without_active_cases_there_is_no_run(api, specification, make_case):
    make_case(active=False)
    answer = api.post(RUNS, {"specification": specification.pk}, format="json")
    assert answer.status_code == 400
    assert "no active test case" in answer.json()["specification"][0]


def test_what_a_run_has_so_far_is_counted(api, run, make_result):
    first, second, third = (queued.case for queued in run.queue.all())
    make_result(run, first)
    make_result(run, second, "failed")
    place = f"{RUNS}/{run.pk}"
    assert api.get(place).json()["counts"] == {"passed": 1, "failed": 1, "error": 0, "done": 2, "waiting": 1}
    make_result(run, third, "error")
    assert api.get(RUNS).json()["results"][0]["counts"] == {
        "passed": 1, "failed": 1, "error": 1, "done": 3, "waiting": 0,
    }  # fmt: skip


def test_a_running_run_is_cancelled_once(api, run):
    answer = api.post(f"{RUNS}/{run.pk}/cancel")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["finished_at"]
    assert answer.json()["counts"]["waiting"] == 0
    again = api.post(f"{RUNS}/{run.pk}/cancel")
    assert again.status_code == 400
    assert "cancelled" in again.json()["status"][0]


def test_listing_runs_costs_the_same_however_many_there_are(
    api, specification, make_case, user, django_assert_max_num_queries
):
    make_case()
    for _ in range(5):
        runs.start(specification, user)
    with django_assert_max_num_queries(3):
        assert api.get(RUNS).json()["count"] == 5


def test_a_deadlock_with_the_relay_does_not_keep_a_project(api, project, run, monkeypatch):
    deadlocks = iter([OperationalError("deadlock detected")] * 2)
    really = QueuedCase.objects.filter

    def fail(*args, **options):
        if error := next(deadlocks, None):
            raise error
        return really(*args, **options)

    monkeypatch.setattr(QueuedCase.objects, "filter", fail)
    assert api.delete(f"/api/v1/projects/{project.pk}").status_code == 204
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("query", "found"),
    [("status=running", 1), ("status=finished", 0), ("project=0", None), ("status=x", None), ("specification=9999", 0)],
)
def test_runs_are_listed_by_what_they_are(api, run, query, found):
    answer = api.get(f"{RUNS}?{query}")
    if found is None:
        assert answer.status_code == 400
        assert list(answer.json()) == [query.partition("=")[0]]
    else:
        assert answer.json()["count"] == found


def test_of_a_case_only_whether_it_is_active_can_be_changed(api, make_case):
    case = make_case()
    answer = api.patch(f"{CASES}/{case.pk}", {"active": False, "path": "/elsewhere"}, format="json")
    assert answer.status_code == 200
    case.refresh_from_db()
    assert (case.active, case.path) == (False, "/items?limit=1")
    assert api.delete(f"{CASES}/{case.pk}").status_code == 405


@pytest.mark.parametrize(
    ("query", "found"), [("kind=negative", 1), ("active=false", 1), ("active=true", 2), ("operation=GET /items", 3)]
)
def test_cases_are_listed_by_what_they_are(api, make_case, query, found):
    make_case(kind=Kind.NEGATIVE)
    make_case(active=False)
    make_case()
    assert api.get(f"{CASES}?{query}").json()["count"] == found


def test_results_are_listed_by_outcome_kind_and_group_without_their_logs(api, run, make_case, make_result):
    group = FailureGroup.objects.create(run=run, label="500 instead of 400", size=1)
    bad, good = make_case(kind=Kind.NEGATIVE), make_case()
    make_result(run, bad, "failed", reason="status 500", group=group)
    make_result(run, good)
    for query in ({"outcome": "failed"}, {"kind": "negative"}, {"group": group.pk}, {"run": run.pk, "case": bad.pk}):
        rows = api.get(RESULTS, query).json()["results"]
        assert [row["case"] for row in rows] == [bad.pk]
        assert "response" not in rows[0]
    assert api.get(RESULTS, {"run": run.pk}).json()["count"] == 2


def test_a_result_comes_with_its_request_and_response(api, run, make_result):
    result = make_result(run, run.queue.first().case)
    answer = api.get(f"{RESULTS}/{result.pk}").json()
    assert answer["request"] == result.request
    assert answer["response"] == result.response
    assert answer["expectation"] == {"status": {"in": [200]}}


def test_failure_groups_are_listed_largest_first(api, run):
    for size in (1, 5):
        FailureGroup.objects.create(run=run, label=f"{size} alike", size=size)
    assert [group["size"] for group in api.get(GROUPS, {"run": run.pk}).json()["results"]] == [5, 1]


def test_an_id_of_any_length_is_only_not_found(api, db):
    assert api.get(f"{RUNS}/{'9' * 40}").status_code == 404


def test_a_database_that_is_away_is_told_with_when_to_come_again(api, monkeypatch):
    def away(*args, **options):
        raise OperationalError("connection refused\nsecret details")

    monkeypatch.setattr("testops.runs.count", away)
    answer = api.get(RUNS)
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert "secret" not in answer.content.decode()


def test_the_api_describes_itself_without_warnings(db, client, capsys):
    from django.core.management import call_command

    call_command("spectacular", "--fail-on-warn", "--validate")
    capsys.readouterr()
    assert client.get("/api/schema/").status_code == 200
    page = client.get("/api/docs/").content.decode()
    assert "/static/drf_spectacular_sidecar/" in page
    assert "https://" not in page
