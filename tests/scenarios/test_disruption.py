"""Disruption budgets and eviction: the budget knows its pods, eviction spends it, and nobody overdraws."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.kube.model import conditions
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object


async def budget(scene: Scene, **spec: Any) -> Object:
    return await scene.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
        }
    )


async def pods(scene: Scene, *names: str, **fields: Any) -> None:
    for name in names:
        await scene.create(scene.pod(name, labels={"app": "web"}, **fields))
    for name in names:
        await scene.ready(name)


async def until_status(scene: Scene, **wanted: int) -> Object:
    async def check() -> Object | None:
        found = (await scene.get("poddisruptionbudgets", "web") or {}).get("status") or {}
        return found if all(found.get(key) == value for key, value in wanted.items()) else None

    check.__doc__ = f"the budget's status has {wanted}"
    return await scene.until(check)


async def test_the_budget_counts_its_pods(scene: Scene) -> None:
    await budget(scene, minAvailable=2)
    await pods(scene, "a", "b", "c")
    status = await until_status(scene, expectedPods=3, desiredHealthy=2, currentHealthy=3, disruptionsAllowed=1)
    assert status["observedGeneration"] == 1
    assert conditions.get(status["conditions"], "DisruptionAllowed") is not None
    assert status["conditions"][0]["reason"] == "SufficientPods"


async def test_an_eviction_is_refused_when_too_few_would_be_left(scene: Scene) -> None:
    await budget(scene, minAvailable=2)
    await pods(scene, "a", "b")
    await until_status(scene, currentHealthy=2, disruptionsAllowed=0)
    with pytest.raises(StatusError) as refused:
        await scene.evict("a")
    assert refused.value.code == 429
    assert refused.value.details["causes"][0]["reason"] == "DisruptionBudget"


async def test_an_eviction_is_forgotten_once_the_pod_is_gone(scene: Scene) -> None:
    await budget(scene, minAvailable=1)
    await pods(scene, "a", "b")
    await until_status(scene, disruptionsAllowed=1)
    await scene.evict("a")
    await scene.gone("pods", "a")
    status = await until_status(scene, expectedPods=1, currentHealthy=1, disruptionsAllowed=0)
    assert "disruptedPods" not in status


async def test_evictions_at_the_same_time_do_not_overdraw(scene: Scene) -> None:
    await budget(scene, minAvailable=3)
    names = [f"p{number}" for number in range(6)]
    await pods(scene, *names)
    await until_status(scene, disruptionsAllowed=3)
    answers = await asyncio.gather(*(scene.evict(name) for name in names), return_exceptions=True)
    assert sum(answer is None for answer in answers) <= 3
    await until_status(scene, disruptionsAllowed=0, currentHealthy=3)


async def test_a_percentage_is_one_of_what_the_controller_wants(scene: Scene) -> None:
    wanted = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"app": "none"}, "template": _template()},
    }
    controller = await scene.create(wanted)
    await budget(scene, maxUnavailable="50%")
    await pods(scene, "a", "b", ownerReferences=[{**scene.owner(controller), "controller": True}])
    await until_status(scene, expectedPods=3, desiredHealthy=1, currentHealthy=2, disruptionsAllowed=1)
    await scene.merge("replicationcontrollers", "web", {"spec": {"replicas": 6}})
    await until_status(scene, expectedPods=6, desiredHealthy=3, disruptionsAllowed=0)


async def test_a_controller_nobody_knows_stops_all_evictions(scene: Scene) -> None:
    owner = await scene.create(scene.config_map("owner"))
    await budget(scene, maxUnavailable=1)
    await pods(scene, "a", ownerReferences=[{**scene.owner(owner), "controller": True}])

    async def failed() -> Object | None:
        found = await scene.get("poddisruptionbudgets", "web")
        condition = conditions.get(found, "DisruptionAllowed")
        return condition if condition and condition["reason"] == "SyncFailed" else None

    condition = await scene.until(failed)
    assert condition["message"] == "configmaps does not implement the scale subresource"
    with pytest.raises(StatusError):
        await scene.evict("a")


def _template() -> Object:
    return {
        "metadata": {"labels": {"app": "none"}},
        "spec": {"containers": [{"name": "main", "image": "example.com/app:1"}]},
    }
