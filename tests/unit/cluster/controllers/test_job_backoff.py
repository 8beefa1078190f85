"""How long failed pods hold up the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers.job import backoff
from seatrial.cluster.controllers.job.backoff import NO_FAILURES, Record

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def ended(*times: float, **more: Any) -> Object:
    """A pod whose containers ended then; 0: still running."""
    states: list[Object] = [
        {"terminated": {"finishedAt": rfc3339(time)}} if time else {"running": {}} for time in times
    ]
    statuses = [{"name": f"c{number}", "state": state} for number, state in enumerate(states)]
    return {
        "metadata": {"creationTimestamp": rfc3339(1), **more.pop("metadata", {})},
        "spec": {"containers": [], **more.pop("spec", {})},
        "status": {"containerStatuses": statuses, **more},
    }


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 360), (500, 360)]
)
def test_the_delay_doubles_up_to_six_minutes(failures: int, seconds: float) -> None:
    assert backoff.remaining(Record(failures, 1000.0), 1000.0) == seconds


def test_the_delay_counts_from_the_end_of_the_last_failure() -> None:
    assert backoff.remaining(Record(2, 1000.0), 1012.0) == 8.0
    assert backoff.remaining(Record(2, 1000.0), 1020.0) == 0.0
    assert backoff.remaining(Record(2, 1000.0), 5000.0) == 0.0


def test_failures_add_up() -> None:
    record = backoff.advance(NO_FAILURES, [], [ended(100), ended(90)])
    assert record == Record(2, 100.0)
    assert backoff.advance(record, [], [ended(130)]) == Record(3, 130.0)
    assert backoff.advance(record, [], []) == record


def test_a_success_takes_back_the_failures_before_it() -> None:
    assert backoff.advance(Record(4, 100.0), [ended(110)], []) == NO_FAILURES
    failed = [ended(105), ended(110), ended(120), ended(115)]
    assert backoff.advance(Record(4, 100.0), [ended(110), ended(90)], failed) == Record(2, 120.0)


def test_a_pod_ends_with_its_last_container() -> None:
    assert backoff.finished_at(ended(100, 140, 120)) == 140.0


def test_sidecars_count_and_other_init_containers_do_not() -> None:
    inits = [
        {"name": "setup", "state": {"terminated": {"finishedAt": rfc3339(900)}}},
        {"name": "proxy", "state": {"terminated": {"finishedAt": rfc3339(150)}}},
    ]
    spec = {"initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]}
    assert backoff.finished_at(ended(100, initContainerStatuses=inits, spec=spec)) == 150.0


def test_without_ended_containers_other_traces_tell() -> None:
    unready = [{"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(70)}]
    assert backoff.finished_at(ended(100, 0, conditions=unready)) == 70.0
    leaving = {"deletionTimestamp": rfc3339(90), "deletionGracePeriodSeconds": 30}
    assert backoff.finished_at(ended(0, metadata=leaving)) == 60.0
    assert backoff.finished_at(ended()) == 1.0
