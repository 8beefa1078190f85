"""What is due, what is history, what the Jobs of a CronJob mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.controllers.cronjob import plan
from seatrial.kube.model import cron

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

HOURLY = cron.parse("0 * * * *")


def at(clock: str) -> float:
    return parse_time(f"2026-05-04T{clock}:00Z")


def cron_job(created: str = "09:30", **spec: Any) -> Object:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": "report",
            "namespace": "default",
            "uid": "cron",
            "creationTimestamp": rfc3339(at(created)),
        },
        "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"backoffLimit": 1}}, **spec},
    }


def job(name: str, ended: str = "", at_time: str = "09:00", *, ours: bool = True, **metadata: Any) -> Object:
    conditions = [{"type": ended, "status": "True"}] if ended else []
    annotations = {plan.SCHEDULED_AT: rfc3339(at(at_time))} if ours else {}
    meta = {"name": name, "namespace": "default", "uid": name, "resourceVersion": "5", "annotations": annotations}
    status = {"startTime": rfc3339(at(at_time)), "conditions": conditions}
    if ended == "Complete":
        status["completionTime"] = rfc3339(at(at_time) + 30)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**meta, **metadata}, "spec": {}, "status": status}


def names(jobs: list[Object]) -> list[str]:
    return [found["metadata"]["name"] for found in jobs]


# due


def test_nothing_is_due_before_the_first_set_time() -> None:
    found = plan.due(cron_job(), HOURLY, None, 0.0, at("09:59"))
    assert found == plan.Due(None, next_in=60 + plan.MARGIN)


def test_a_set_time_is_due_from_then_on() -> None:
    assert plan.due(cron_job(), HOURLY, None, 0.0, at("10:00")) == plan.Due(at("10:00"), next_in=3600 + plan.MARGIN)
    assert plan.due(cron_job(), HOURLY, at("10:00"), 0.0, at("10:01")).start is None


def test_of_several_missed_times_only_the_last_is_made_up_for() -> None:
    found = plan.due(cron_job(), HOURLY, at("10:00"), 0.0, at("13:20"))
    assert found == plan.Due(at("13:00"), next_in=40 * 60 + plan.MARGIN)


@pytest.mark.parametrize(("minutes", "warned"), [(100, False), (101, True)])
def test_more_than_a_hundred_missed_times_are_worth_a_warning(minutes: int, warned: bool) -> None:
    last, every_minute = at("10:00"), cron.parse("* * * * *")
    now = last + minutes * 60 + 5
    found = plan.due(cron_job(), every_minute, last, 0.0, now)
    assert found.start == now - 5
    assert found.too_many is warned


def test_the_deadline_bounds_what_counts_as_missed() -> None:
    every_minute = cron.parse("* * * * *")
    found = plan.due(cron_job(startingDeadlineSeconds=600), every_minute, at("01:00"), 0.0, at("10:00"))
    assert (found.start, found.too_many) == (at("10:00"), False)


def test_a_start_beyond_its_deadline_is_given_up() -> None:
    late = cron_job(startingDeadlineSeconds=60)
    assert plan.due(late, HOURLY, at("09:00"), 0.0, at("10:01")).start == at("10:00")
    found = plan.due(late, HOURLY, at("09:00"), 0.0, at("10:01") + 1)
    assert found == plan.Due(None, missed=at("10:00"), next_in=59 * 60 - 1 + plan.MARGIN)


def test_times_before_the_schedule_was_changed_do_not_count() -> None:
    quarter_past = cron.parse("15 * * * *")
    assert plan.due(cron_job(), quarter_past, at("10:00"), 0.0, at("10:30")).start == at("10:15")
    assert plan.due(cron_job(), quarter_past, at("10:00"), at("10:29"), at("10:30")).start is None


def test_every_counts_from_the_last_start() -> None:
    every = cron.parse("@every 90m")
    assert plan.due(cron_job(), every, None, 0.0, at("10:59")).next_in == 60 + plan.MARGIN
    assert plan.due(cron_job(), every, at("11:00"), 0.0, at("13:00")) == plan.Due(
        at("12:30"), next_in=3600 + plan.MARGIN
    )


def test_a_schedule_that_never_comes_is_not_looked_at_again() -> None:
    assert plan.due(cron_job(), cron.parse("0 0 30 2 *"), None, 0.0, at("10:00")) == plan.Due(None)


def test_without_a_zone_the_schedule_is_in_utc() -> None:
    assert plan.schedule_of(cron_job()).next(at("09:30")) == at("10:00")
    berlin = cron_job(schedule="0 12 * * *", timeZone="Europe/Berlin")
    assert plan.schedule_of(berlin).next(at("09:30")) == at("10:00")


# looking


def listing(*uids: str) -> Object:
    return cron_job() | {"status": {"active": [{"uid": uid, "name": uid} for uid in uids]}}


def test_jobs_at_work_keep_their_reference() -> None:
    seen = plan.see(listing("a"), [job("a"), job("b", at_time="10:00")])
    assert seen.active == [{"uid": "a", "name": "a"}, plan.reference_to(job("b"))]
    assert seen.last_schedule == at("10:00")


def test_a_listed_job_that_finished_is_completed() -> None:
    seen = plan.see(listing("a", "b"), [job("a", "Complete"), job("b", "Failed"), job("c", "Complete")])
    assert names(seen.completed) == ["a", "b"]
    assert seen.active == []
    assert seen.last_success == at("09:00") + 30


def test_a_listed_job_that_is_gone_is_missing() -> None:
    assert plan.see(listing("a"), []).missing == [{"uid": "a", "name": "a"}]


def test_a_job_that_no_schedule_started_is_unexpected() -> None:
    seen = plan.see(listing(), [job("by-hand", ours=False)])
    assert names(seen.unexpected) == ["by-hand"]
    assert seen.active == []
    assert seen.last_schedule is None


def test_a_job_on_its_way_out_does_not_come_back_to_the_list() -> None:
    leaving = job("a", deletionTimestamp=rfc3339(at("10:00")))
    assert plan.see(listing(), [leaving]).active == []


# history


def test_history_keeps_the_youngest_of_each_kind() -> None:
    jobs = [job(f"good-{hour}", "Complete", f"0{hour}:00") for hour in range(4)]
    jobs += [job(f"bad-{hour}", "Failed", f"0{hour}:00") for hour in range(3)] + [job("at-work")]
    kept = cron_job(successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    assert names(plan.superfluous(kept, reversed(jobs))) == ["good-0", "bad-0", "bad-1"]
    assert len(plan.superfluous(cron_job(successfulJobsHistoryLimit=0), jobs)) == 4
    assert plan.superfluous(cron_job(), jobs) == []


# the Job


def test_a_job_carries_its_set_time() -> None:
    template = {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"backoffLimit": 4}}
    owner = cron_job(jobTemplate=template, timeZone="Europe/Berlin")
    made = plan.job_for(owner, at("10:00"))
    assert made == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"report-{int(at('10:00')) // 60}",
            "namespace": "default",
            "labels": {"a": "b"},
            "annotations": {"c": "d", plan.SCHEDULED_AT: "2026-05-04T12:00:00+02:00"},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": "report",
                    "uid": "cron",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"backoffLimit": 4},
    }
    assert plan.job_for(cron_job(), at("10:00"))["metadata"]["annotations"] == {
        plan.SCHEDULED_AT: "2026-05-04T10:00:00Z"
    }
