"""Grace, defaults and preconditions of deletions, as upstream's registries decide them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import parse_time
from seatrial.kube.model import conditions, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object

PODS = resources.for_plural("pods")


async def held(scene: Scene, grace: int) -> Object:
    """A pod that somebody's finalizer keeps, being deleted with this grace."""
    await scene.create(scene.pod("a", finalizers=["example.com/hold"]))
    await scene.ready("a")
    return await scene.client.delete(PODS, "a", "default", grace=grace)


async def release(scene: Scene) -> None:
    await scene.merge("pods", "a", {"metadata": {"finalizers": None}})


async def test_a_shorter_grace_counts_from_the_begin_of_the_deletion(scene: Scene) -> None:
    first = await held(scene, 1000)
    second = await scene.client.delete(PODS, "a", "default", grace=600)
    begin = parse_time(first["metadata"]["deletionTimestamp"]) - 1000
    assert parse_time(second["metadata"]["deletionTimestamp"]) == begin + 600
    assert second["metadata"]["deletionGracePeriodSeconds"] == 600
    await release(scene)


async def test_a_longer_grace_changes_nothing(scene: Scene) -> None:
    first = await held(scene, 600)
    second = await scene.client.delete(PODS, "a", "default", grace=1000)
    assert second["metadata"]["deletionTimestamp"] == first["metadata"]["deletionTimestamp"]
    await release(scene)


async def test_a_negative_grace_is_one_second(scene: Scene) -> None:
    deleted = await held(scene, -5)
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 1
    await release(scene)


async def test_pods_of_a_deleted_replication_controller_stay_by_default(scene: Scene) -> None:
    controller = await scene.create(
        {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": "old", "namespace": "default"},
            "spec": {"replicas": 0, "selector": {"app": "old"}, "template": _template("old")},
        }
    )
    await scene.create(scene.pod("kept", labels={"app": "other"}, ownerReferences=[scene.owner(controller)]))
    await scene.delete("replicationcontrollers", "old")
    await scene.gone("replicationcontrollers", "old")
    kept = await scene.get("pods", "kept")
    assert kept is not None and not kept["metadata"].get("ownerReferences")


def _template(app: str) -> Object:
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


async def evict(scene: Scene, **options: object) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}, "deleteOptions": options}
    await scene.client.create(PODS, body, "default", subresource="eviction", name="a")


async def test_an_evicted_pod_says_why_it_ends(scene: Scene) -> None:
    await scene.create(scene.pod("a", finalizers=["example.com/hold"]))
    await scene.ready("a")
    await evict(scene)
    condition = conditions.get(await scene.get("pods", "a"), "DisruptionTarget")
    assert condition is not None and condition["reason"] == "EvictionByEvictionAPI"
    await release(scene)


async def test_an_eviction_whose_precondition_fails_costs_no_budget(scene: Scene) -> None:
    await scene.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 0},
        }
    )
    await scene.create(scene.pod("a", labels={"app": "web"}))
    await scene.ready("a")

    async def counted() -> Object | None:
        """the budget has counted the pod"""
        found = await scene.get("poddisruptionbudgets", "web")
        return found if found and found["status"].get("disruptionsAllowed") == 1 else None

    await scene.until(counted)
    with pytest.raises(StatusError) as refused:
        await evict(scene, preconditions={"uid": "00000000-0000-0000-0000-000000000000"})
    assert refused.value.code == 409
    budget = await scene.get("poddisruptionbudgets", "web")
    assert budget is not None and "disruptedPods" not in budget["status"]
    assert conditions.get(await scene.get("pods", "a"), "DisruptionTarget") is None


async def test_a_page_of_a_revision_is_of_that_revision(scene: Scene) -> None:
    first = await scene.create(scene.config_map("a"))
    await scene.create(scene.config_map("b"))
    version = first["metadata"]["resourceVersion"]
    maps = resources.for_plural("configmaps")
    page = await scene.client.list(maps, "default", limit=10, resource_version=version)
    assert (page.resource_version, "b" in [item["metadata"]["name"] for item in page.items]) == (version, False)


@pytest.mark.parametrize("path", ["/livezping", "/healthz-check", "/readyz/nothing"])
async def test_what_only_begins_like_a_health_check_is_none(scene: Scene, path: str) -> None:
    with pytest.raises(StatusError) as refused:
        await scene.client.raw("GET", path)
    assert refused.value.code == 404


async def test_a_health_check_may_be_left_out(scene: Scene) -> None:
    answer = await scene.client.raw("GET", "/readyz", query=[("verbose", ""), ("exclude", "store")])
    assert b"store" not in answer.body and b"ping" in answer.body
