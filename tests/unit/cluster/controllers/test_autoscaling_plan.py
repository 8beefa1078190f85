"""From the numbers of one metric to a replica count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers.horizontalpodautoscaling import plan
from seatrial.cluster.controllers.horizontalpodautoscaling.plan import MetricError, Sample, Tolerance

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = 1_700_000_000.0
EXACT = Tolerance()


def pod(name: str, *, ready: bool = True, phase: str = "Running", age: float = 3600.0, **more: Any) -> Object:
    started = rfc3339(NOW - age)
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": more.pop("changed", started)}
    container = {"name": "main", "resources": {"requests": {"cpu": "1"}}}
    return {
        "metadata": {"name": name, **more},
        "spec": {"containers": [container]},
        "status": {"phase": phase, "startTime": started, "conditions": [condition]},
    }


def samples(*values: int) -> dict[str, Sample]:
    return {f"p{number}": Sample(value, NOW) for number, value in enumerate(values)}


def by_utilization(pods: list[Object], measured: dict[str, Sample], target: int, current: int) -> plan.Proposal:
    groups = plan.group(pods, measured, "cpu", NOW)
    requests = plan.requests_of(pods, "cpu")
    return plan.by_utilization(measured, pods, requests, target, current, EXACT, groups)


def pods(count: int) -> list[Object]:
    return [pod(f"p{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("used", "target", "replicas"),
    [
        ((300, 500, 700), 30, 5),  # 50 % of 30 %: 3 x 5/3
        ((300, 500, 700), 50, 3),
        ((100, 300, 500), 50, 2),  # 30 % of 50 %: 3 x 0.6 = 1.8
        ((1010, 1030, 1020), 100, 3),  # within the tolerance of a tenth
        ((1120, 1120, 1120), 100, 4),
        ((890, 890, 890), 100, 3),  # 2.67 rounded up
        ((0, 0, 0), 50, 0),
    ],
)
def test_the_ratio_of_usage_to_target_is_rounded_up(used: tuple[int, ...], target: int, replicas: int) -> None:
    found = by_utilization(pods(3), samples(*used), target, 3)
    assert found.replicas == replicas
    assert found.usage == sum(used) // 3
    assert found.utilization == sum(used) * 100 // 3000


def test_a_pod_without_numbers_counts_in_full_on_the_way_down() -> None:
    # 10 % measured of a target of 50 %; with 100 % assumed for the third: (100 + 100 + 1000) / 3000 = 40 %
    assert by_utilization(pods(3), samples(100, 100), 50, 3).replicas == 3
    # without it, two pods would have become one
    assert by_utilization(pods(2), samples(100, 100), 50, 2).replicas == 1


def test_a_pod_without_numbers_counts_nothing_on_the_way_up() -> None:
    assert by_utilization(pods(3), samples(900, 900), 30, 3).replicas == 6
    assert by_utilization(pods(3), samples(500, 500), 40, 3).replicas == 3, "the change would turn round"


def test_a_pod_that_is_starting_counts_nothing_on_the_way_up() -> None:
    waiting = [pod("p0"), pod("p1"), pod("p2", ready=False, age=10.0)]
    assert by_utilization(waiting, samples(900, 900, 900), 30, 3).replicas == 6


def test_a_pod_that_is_starting_does_not_matter_on_the_way_down() -> None:
    waiting = [pod("p0"), pod("p1"), pod("p2", phase="Pending")]
    assert by_utilization(waiting, samples(200, 200), 50, 3).replicas == 1


def test_deleted_and_failed_pods_are_ignored() -> None:
    gone = [pod("p0"), pod("p1", deletionTimestamp=rfc3339(NOW)), pod("p2", phase="Failed")]
    found = by_utilization(gone, samples(500, 0, 0), 50, 3)
    assert (found.replicas, found.utilization) == (3, 50), "within the tolerance nothing changes"


def test_without_any_number_that_counts_there_is_no_proposal() -> None:
    with pytest.raises(MetricError, match="did not receive metrics"):
        by_utilization([pod("p0", phase="Pending")], samples(100), 50, 1)
    with pytest.raises(MetricError, match="no pods returned by selector"):
        by_utilization([], samples(100), 50, 1)


def test_a_missing_request_makes_a_utilization_meaningless() -> None:
    bare = pod("p0")
    del bare["spec"]["containers"][0]["resources"]
    with pytest.raises(MetricError, match="missing request for cpu in container main of Pod p0"):
        plan.requests_of([bare], "cpu")


def test_requests_of_one_container_of_sidecars_and_of_the_pod() -> None:
    found = pod("p0")
    side = {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}
    found["spec"]["initContainers"] = [side, {"name": "init"}]
    assert plan.requests_of([found], "cpu") == {"p0": 1500}
    assert plan.requests_of([found], "cpu", "side") == {"p0": 500}
    with pytest.raises(MetricError, match="container other not found"):
        plan.requests_of([found], "cpu", "other")
    found["spec"]["resources"] = {"requests": {"cpu": "3"}}
    assert plan.requests_of([found], "cpu") == {"p0": 3000}


@pytest.mark.parametrize(
    ("fields", "starting"),
    [
        ({"age": 3600.0}, False),
        ({"age": 3600.0, "ready": False}, True),  # never was ready: changed when it started
        ({"age": 3600.0, "ready": False, "changed": rfc3339(NOW - 60)}, False),  # was ready, is not now
        ({"age": 100.0, "ready": False}, True),
        ({"age": 100.0, "changed": rfc3339(NOW - 90)}, False),
        ({"age": 100.0, "changed": rfc3339(NOW - 5)}, True),  # measured before it was ready
    ],
)
def test_young_pods_count_with_care_for_cpu(fields: dict[str, Any], starting: bool) -> None:
    measured = {"p": Sample(1, NOW, window=30.0)}
    groups = plan.group([pod("p", **fields)], measured, "cpu", NOW)
    assert groups.unready == ({"p"} if starting else set())
    assert plan.group([pod("p", **fields)], measured, "memory", NOW).ready == {"p"}


def test_an_average_per_pod() -> None:
    groups = plan.group(pods(3), samples(20, 10, 10), "", NOW)
    found = plan.by_average(samples(20, 10, 10), pods(3), 20, 3, EXACT, groups)
    assert (found.replicas, found.usage, found.utilization) == (2, 13, None)


def test_a_pod_without_numbers_counts_as_on_target_on_the_way_down() -> None:
    measured = samples(10, 10)
    groups = plan.group(pods(3), measured, "", NOW)
    assert plan.by_average(measured, pods(3), 20, 3, EXACT, groups).replicas == 2


@pytest.mark.parametrize(
    ("usage", "current", "replicas"), [(200, 3, 6), (105, 3, 3), (50, 3, 2), (250, 0, 3), (0, 0, 0), (0, 3, 0)]
)
def test_one_value_for_all_is_kept_at_its_target(usage: int, current: int, replicas: int) -> None:
    assert plan.by_value(usage, 100, current, pods(3), EXACT).replicas == replicas


def test_one_value_for_all_counts_ready_pods_only() -> None:
    some = [pod("p0"), pod("p1", ready=False)]
    assert plan.by_value(200, 100, 2, some, EXACT).replicas == 2


@pytest.mark.parametrize(
    ("usage", "observed", "replicas", "average"),
    [(500, 4, 5, 125), (410, 4, 4, 103), (100, 4, 1, 25), (100, 0, 1, 100)],
)
def test_one_value_is_shared_out(usage: int, observed: int, replicas: int, average: int) -> None:
    found = plan.by_share(usage, 100, observed, EXACT)
    assert (found.replicas, found.usage) == (replicas, average)


def test_tolerances_may_differ_by_direction() -> None:
    uneven = Tolerance(down=0.5, up=0.01)
    assert uneven.allows(0.6)
    assert not uneven.allows(1.05)
