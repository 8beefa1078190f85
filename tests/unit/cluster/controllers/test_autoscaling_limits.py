"""How far and how fast a replica count may move."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.controllers.horizontalpodautoscaling import limits
from seatrial.cluster.controllers.horizontalpodautoscaling.limits import Bounds, History, Limited, limit

NOW = 10_000.0
DEFAULT: dict[str, Any] = {
    "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": list(limits.DEFAULT_UP)},
    "scaleDown": {"selectPolicy": "Max", "policies": list(limits.DEFAULT_DOWN)},
}


def history(current: int, *recommended: tuple[float, int]) -> History:
    made = History()
    for ago, replicas in recommended:
        made.recommend(replicas, NOW - ago)
    made.begin(current, NOW - 10_000)
    return made


def ask(
    wanted: int, current: int, *recommended: tuple[float, int], behavior: dict[str, Any] | None = None, most: int = 100
) -> Limited:
    return limit(wanted, Bounds(current, 1, most), behavior, history(current, *recommended), NOW)


def rules(direction: str, **fields: Any) -> dict[str, Any]:
    return {**DEFAULT, direction: {**DEFAULT[direction], **fields}}


def policy(kind: str, value: int, period: int = 60) -> dict[str, Any]:
    return {"type": kind, "value": value, "periodSeconds": period}


@pytest.mark.parametrize("behavior", [None, DEFAULT])
@pytest.mark.parametrize(
    ("wanted", "current", "most", "replicas", "reason"),
    [
        (6, 4, 100, 6, "DesiredWithinRange"),
        (9, 1, 100, None, "ScaleUpLimit"),
        (20, 8, 100, 16, "ScaleUpLimit"),
        (20, 8, 10, 10, "TooManyReplicas"),
        (0, 4, 100, 1, "TooFewReplicas"),
        (2, 4, 100, 2, "DesiredWithinRange"),
    ],
)
def test_bounds(
    behavior: dict[str, Any] | None, wanted: int, current: int, most: int, replicas: int | None, reason: str
) -> None:
    found = limit(wanted, Bounds(current, 1, most), behavior, History(), NOW)
    fastest_from_one = 4 if behavior is None else 5
    assert found.replicas == (fastest_from_one if replicas is None else replicas)
    assert found.limited.reason == reason
    assert found.is_limited == (reason != "DesiredWithinRange")


@pytest.mark.parametrize("behavior", [None, DEFAULT])
def test_the_way_down_follows_the_highest_recommendation_of_five_minutes(behavior: dict[str, Any] | None) -> None:
    found = ask(2, 10, (400, 10), (200, 6), (100, 4), behavior=behavior)
    assert found.replicas == 6
    assert found.able.reason == "ScaleDownStabilized"
    assert ask(2, 10, (400, 10), behavior=behavior).able.reason == "ReadyForNewScale"


def test_what_was_there_at_first_counts_as_recommended() -> None:
    made = History()
    made.begin(10, NOW)
    assert limit(2, Bounds(10, 1, 100), None, made, NOW + 60).replicas == 10
    assert limit(2, Bounds(10, 1, 100), None, made, NOW + 301).replicas == 2


def test_a_window_for_the_way_up_follows_the_lowest_recommendation() -> None:
    slow = rules("scaleUp", stabilizationWindowSeconds=120)
    found = ask(8, 4, (100, 5), (30, 7), behavior=slow)
    assert (found.replicas, found.able.reason) == (5, "ScaleUpStabilized")
    assert ask(8, 4, (130, 5), behavior=slow).replicas == 8


def test_a_window_of_none_on_the_way_down_acts_at_once() -> None:
    quick = rules("scaleDown", stabilizationWindowSeconds=0)
    assert ask(2, 10, (10, 10), behavior=quick).replicas == 2


@pytest.mark.parametrize(("select", "replicas"), [("Max", 15), ("Min", 12), ("Disabled", 10)])
def test_policies_for_the_way_up(select: str, replicas: int) -> None:
    policies = [policy("Pods", 2), policy("Percent", 50)]
    found = ask(50, 10, behavior=rules("scaleUp", selectPolicy=select, policies=policies))
    assert found.replicas == replicas
    assert found.limited.reason == "ScaleUpLimit"


@pytest.mark.parametrize(("select", "replicas"), [("Max", 5), ("Min", 8), ("Disabled", 10)])
def test_policies_for_the_way_down(select: str, replicas: int) -> None:
    policies = [policy("Pods", 2), policy("Percent", 50)]
    behavior = rules("scaleDown", selectPolicy=select, policies=policies, stabilizationWindowSeconds=0)
    found = ask(1, 10, behavior=behavior)
    assert found.replicas == replicas
    assert found.limited.reason == "ScaleDownLimit"


def test_a_percentage_up_is_rounded_up_and_down_is_rounded_down() -> None:
    assert ask(50, 3, behavior=rules("scaleUp", policies=[policy("Percent", 10)])).replicas == 4
    down = rules("scaleDown", policies=[policy("Percent", 10)], stabilizationWindowSeconds=0)
    assert ask(1, 3, behavior=down).replicas == 2


def test_what_was_done_within_the_period_counts_against_a_policy() -> None:
    behavior = rules("scaleUp", policies=[policy("Pods", 4, 60)])
    made = History()
    made.scaled(6, 9, NOW - 30)
    assert limit(50, Bounds(9, 1, 100), behavior, made, NOW).replicas == 10
    assert limit(50, Bounds(9, 1, 100), behavior, made, NOW + 31).replicas == 13


def test_the_way_back_down_gives_the_way_up_its_room_again() -> None:
    behavior = rules("scaleUp", policies=[policy("Pods", 4, 60)])
    made = History()
    made.scaled(6, 10, NOW - 40)
    made.scaled(10, 8, NOW - 20)
    assert limit(50, Bounds(8, 1, 100), behavior, made, NOW).replicas == 10


def test_old_memories_fade() -> None:
    made = history(1, (4000, 5))
    made.recommend(2, NOW)
    assert [moment.replicas for moment in made.recommendations] == [2]
