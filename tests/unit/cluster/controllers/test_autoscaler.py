"""One autoscaler over time: its period, its patience, and zero replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.controllers import horizontalpodautoscaling
from seatrial.cluster.controllers.horizontalpodautoscaling import autoscaler, evaluation
from seatrial.cluster.controllers.horizontalpodautoscaling.autoscaler import Wanted
from seatrial.cluster.controllers.horizontalpodautoscaling.evaluation import Evaluated, Target
from seatrial.cluster.controllers.horizontalpodautoscaling.plan import MetricError
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.model import conditions, resources

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

GROUP = "autoscaling"


class Numbers:
    """What the metrics ask for, in their order; None is a failure."""

    def __init__(self) -> None:
        self.replicas: list[int | None] = [2]
        self.asked = 0

    async def evaluate(self, spec: evaluation.Spec, target: Target, _metrics: object) -> Evaluated:
        name = spec["external"]["metric"]["name"]
        self.asked += 1
        wanted = self.replicas[int(name)]
        if wanted is None:
            raise MetricError("away")
        return Evaluated(wanted, f"metric {name}", {"type": "External"})


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Numbers:
    made = Numbers()

    async def known(_self: RESTMapper, group: str, kind: str) -> Resource:
        return next(item for item in resources.builtin() if (item.group, item.kind) == (group, kind))

    monkeypatch.setattr(evaluation, "evaluate", made.evaluate)
    monkeypatch.setattr(RESTMapper, "for_group_kind", known)  # this world has no discovery
    return made


async def begin(world: World, metrics: int = 1, **spec: Any) -> None:
    await world.start(horizontalpodautoscaling.build)
    labels = {"app": "web"}
    container = {"name": "main", "image": "example.com/app:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    wanted = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": "web", "namespace": "default"}
    await world.create({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": wanted})
    listed = [_external(number) for number in range(metrics)]
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}
    full = {"scaleTargetRef": reference, "maxReplicas": 10, "metrics": listed, **spec}
    await world.create(
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": full}
    )
    await world.settle()


def _external(number: int) -> Object:
    target = {"type": "Value", "value": "1"}
    return {"type": "External", "external": {"metric": {"name": str(number)}, "target": target}}


async def replicas(world: World) -> int:
    return int((await world.get("replicasets", "web"))["spec"]["replicas"])


async def active(world: World) -> tuple[str, str]:
    found = conditions.get(await world.get("horizontalpodautoscalers", "web", GROUP), "ScalingActive")
    assert found is not None
    return found["status"], found["reason"]


async def test_it_looks_at_once_and_then_every_fifteen_seconds(world: World, numbers: Numbers) -> None:
    await begin(world)
    assert numbers.asked == 1
    await world.after(14)
    assert numbers.asked == 1
    await world.after(1)
    assert numbers.asked == 2


async def test_a_changed_spec_is_looked_at_at_once_a_changed_status_is_not(world: World, numbers: Numbers) -> None:
    await begin(world)
    await world.merge("horizontalpodautoscalers", "web", {"spec": {"maxReplicas": 9}}, GROUP)
    await world.settle()
    assert numbers.asked == 2


async def test_up_at_once_and_down_after_five_minutes(world: World, numbers: Numbers) -> None:
    await begin(world)
    numbers.replicas = [4]
    await world.after(15)
    assert await replicas(world) == 4
    numbers.replicas = [1]
    for _ in range(19):
        await world.after(15)
    assert await replicas(world) == 4
    await world.after(30)
    assert await replicas(world) == 1


async def test_the_metric_that_asks_for_most_decides(world: World, numbers: Numbers) -> None:
    numbers.replicas = [3, 4, 1]
    await begin(world, metrics=3)
    assert await replicas(world) == 4
    assert ("web", "SuccessfulRescale", "New size: 4; reason: metric 1 above target") in world.notes.seen


async def test_a_metric_that_fails_stops_the_way_down_but_not_up(world: World, numbers: Numbers) -> None:
    numbers.replicas = [None, 1]
    await begin(world, metrics=2)
    assert await replicas(world) == 2
    assert await active(world) == ("False", "FailedGetExternalMetric")
    numbers.replicas = [None, 4]
    await world.after(15)
    assert await replicas(world) == 4
    assert await active(world) == ("True", "ValidMetricFound")


@pytest.mark.parametrize(
    ("current", "least", "put_to_sleep", "metric", "disabled"),
    [
        (0, 0, True, "External", False),  # it may be woken by who put it to sleep
        (0, 0, True, "Resource", True),  # no pods, no numbers
        (0, 1, True, "Resource", False),  # the minimum was raised since
        (0, 0, False, "External", True),
        (0, 1, False, "External", True),
        (1, 1, False, "Resource", False),
    ],
)
def test_only_what_the_autoscaler_put_to_sleep_is_woken(
    current: int, least: int, put_to_sleep: bool, metric: str, disabled: bool
) -> None:
    listed = [{"type": "ScaledToZero", "status": str(put_to_sleep)}]
    hpa = {"spec": {"metrics": [{"type": metric}]}, "status": {"conditions": listed}}
    assert autoscaler.is_disabled(hpa, current, least) == disabled


async def test_a_settled_autoscaler_does_not_write(world: World, numbers: Numbers) -> None:
    await begin(world)
    await world.after(15)
    before = world.store.revision
    await world.after(15)
    assert numbers.asked == 3
    assert world.store.revision == before


@pytest.mark.parametrize(
    ("current", "wanted"),
    [
        (1, Wanted(2, "Current number of replicas below Spec.MinReplicas")),
        (9, Wanted(5, "Current number of replicas above Spec.MaxReplicas")),
        (3, None),
        (0, None),
    ],
)
def test_bounds_come_before_metrics(current: int, wanted: Wanted | None) -> None:
    assert autoscaler.forced(current, 2, 5) == wanted
