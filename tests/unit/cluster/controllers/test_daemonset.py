"""DaemonSets against the real API. Nobody schedules here: pods say by their affinity which node they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import daemonset
from seatrial.cluster.controllers.daemonset import placement
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

LABELS = {"app": "agent"}


def make(image: str = "agent:1", **spec: Any) -> Object:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": template, **spec},
    }


async def started(world: World, obj: Object, *nodes: str) -> Object:
    await world.start(daemonset.build)
    for name in nodes:
        await world.node(name)
    await world.create(obj)
    await world.settle()
    return await world.get("daemonsets", "agent")


async def set_image(world: World, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    await world.merge("daemonsets", "agent", patch)
    await world.settle()


async def images(world: World) -> dict[str, str]:
    return {placement.target(pod): pod["spec"]["containers"][0]["image"] for pod in await world.pods()}


async def test_every_node_gets_a_pod_and_the_status_says_so(world: World) -> None:
    found = await started(world, make(), "a", "b")
    assert await images(world) == {"a": "agent:1", "b": "agent:1"}
    assert found["status"] == {
        "currentNumberScheduled": 2,
        "desiredNumberScheduled": 2,
        "numberAvailable": 2,
        "numberMisscheduled": 0,
        "numberReady": 2,
        "observedGeneration": 1,
        "updatedNumberScheduled": 2,
    }


async def test_a_node_that_joins_gets_a_pod_and_one_that_is_tainted_loses_it(world: World) -> None:
    await started(world, make(), "a")
    await world.node("b")
    await world.settle()
    assert sorted(await images(world)) == ["a", "b"]
    taints = [{"key": "maintenance", "effect": "NoExecute"}]
    await world.client.patch(resources.for_plural("nodes"), "a", {"spec": {"taints": taints}}, type=PatchType.MERGE)
    await world.settle()
    assert sorted(await images(world)) == ["b"]


async def test_a_settled_set_writes_nothing(world: World) -> None:
    await started(world, make(), "a", "b")
    before = world.store.revision
    await world.after(3600)
    assert world.store.revision == before


async def test_an_update_replaces_pods_and_keeps_its_history(world: World) -> None:
    await started(world, make(), "a", "b")
    await set_image(world, "agent:2")
    assert await images(world) == {"a": "agent:2", "b": "agent:2"}
    revisions = await world.list("controllerrevisions")
    assert sorted(found["revision"] for found in revisions) == [1, 2]
    newest = max(revisions, key=lambda found: int(found["revision"]))
    marks = {objects.labels(pod)["controller-revision-hash"] for pod in await world.pods()}
    assert marks == {objects.labels(newest)["controller-revision-hash"]}


async def test_an_update_stops_while_a_new_pod_is_not_ready(world: World) -> None:
    await started(world, make(), "a", "b", "c")
    world.pods_become_ready = False
    await set_image(world, "agent:bad")
    assert sorted((await images(world)).values()) == ["agent:1", "agent:1", "agent:bad"]
    status = (await world.get("daemonsets", "agent"))["status"]
    assert (status["updatedNumberScheduled"], status["numberUnavailable"]) == (1, 1)


async def test_on_delete_replaces_only_what_is_deleted(world: World) -> None:
    await started(world, make(updateStrategy={"type": "OnDelete"}), "a", "b")
    await set_image(world, "agent:2")
    assert await images(world) == {"a": "agent:1", "b": "agent:1"}
    first = next(pod for pod in await world.pods() if placement.target(pod) == "a")
    await world.delete("pods", objects.name(first), "", grace=0)
    await world.settle()
    assert await images(world) == {"a": "agent:2", "b": "agent:1"}


async def test_pods_that_keep_failing_are_replaced_more_and_more_slowly(world: World) -> None:
    await started(world, make(), "a")

    async def fail() -> bool:
        """Fail the pod there is; was it replaced at once?"""
        name = (await world.pod_names())[0]
        await world.set_pod(name, "Failed")
        await world.settle()
        return name not in await world.pod_names()

    assert await fail()
    assert not await fail()
    await world.after(1)
    assert not await fail()
    await world.after(1)
    assert "FailedDaemonPod" in world.notes.reasons()
    name = (await world.pod_names())[0]
    await world.after(1)
    assert name not in await world.pod_names()
