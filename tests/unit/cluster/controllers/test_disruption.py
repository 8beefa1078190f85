"""How many pods may be disrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers import disruption

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = 1_700_000_000.0


def budget(disrupted: dict[str, float] | None = None, **spec: Any) -> Object:
    known = {name: rfc3339(NOW - ago) for name, ago in (disrupted or {}).items()}
    return {
        "metadata": {"name": "b", "namespace": "shop", "generation": 3},
        "spec": spec,
        "status": {"disruptedPods": known},
    }


def pods(ready: int, unready: int = 0, deleting: int = 0) -> list[Object]:
    states = [(True, False)] * ready + [(False, False)] * unready + [(True, True)] * deleting
    return [_pod(f"p{number}", *state) for number, state in enumerate(states)]


def _pod(name: str, ready: bool, deleting: bool) -> Object:
    metadata: Object = {"name": name}
    if deleting:
        metadata["deletionTimestamp"] = rfc3339(NOW)
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


@pytest.mark.parametrize(
    ("spec", "scale", "expected", "desired", "allowed"),
    [
        ({"minAvailable": 2}, 0, 5, 2, 2),
        ({"minAvailable": 5}, 0, 5, 5, 0),
        ({"minAvailable": 0}, 0, 5, 0, 4),
        ({"minAvailable": "50%"}, 7, 7, 4, 0),
        ({"minAvailable": "100%"}, 4, 4, 4, 0),
        ({"maxUnavailable": 1}, 4, 4, 3, 1),
        ({"maxUnavailable": "30%"}, 4, 4, 2, 2),
        ({"maxUnavailable": "0%"}, 4, 4, 4, 0),
        ({"maxUnavailable": 9}, 4, 4, 0, 4),
        ({}, 0, 5, 0, 4),
    ],
)
def test_shares_are_of_what_controllers_want_and_rounded_up(
    spec: dict[str, Any], scale: int, expected: int, desired: int, allowed: int
) -> None:
    made = disruption.plan(budget(**spec), pods(4, unready=1), scale, NOW)
    assert (made.expected, made.desired, made.healthy, made.allowed) == (expected, desired, 4, allowed)


def test_a_pod_being_deleted_is_not_healthy() -> None:
    assert disruption.plan(budget(minAvailable=1), pods(2, deleting=1), 0, NOW).healthy == 2


def test_a_budget_without_pods_allows_nothing() -> None:
    assert disruption.plan(budget(minAvailable=0), [], 0, NOW).allowed == 0


def test_a_pod_taken_by_an_eviction_is_not_healthy_until_it_is_overdue() -> None:
    made = disruption.plan(budget({"p0": 30.0, "p1": 121.0}, minAvailable=1), pods(3), 0, NOW)
    assert made.disrupted == {"p0": rfc3339(NOW - 30)}
    assert made.healthy == 2
    assert made.recheck_after == 90.0


def test_a_pod_whose_deletion_shows_is_forgotten() -> None:
    made = disruption.plan(budget({"p0": 1.0, "gone": 1.0}, minAvailable=1), pods(0, deleting=1), 0, NOW)
    assert made.disrupted == {}
    assert made.recheck_after is None


def test_the_status_names_what_was_observed() -> None:
    wanted = budget(minAvailable=2)
    status = disruption.status_of(wanted, disruption.plan(wanted, pods(2), 0, NOW), NOW)
    (condition,) = status.pop("conditions")
    assert status == {
        "currentHealthy": 2,
        "desiredHealthy": 2,
        "expectedPods": 2,
        "disruptionsAllowed": 0,
        "observedGeneration": 3,
    }
    assert (condition["status"], condition["reason"]) == ("False", "InsufficientPods")
    assert condition["observedGeneration"] == 3


def test_a_status_that_is_right_stays_the_same() -> None:
    wanted = budget(minAvailable=1)
    wanted["status"] = disruption.status_of(wanted, disruption.plan(wanted, pods(2), 0, NOW), NOW)
    assert disruption.status_of(wanted, disruption.plan(wanted, pods(2), 0, NOW), NOW + 60) == wanted["status"]
