"""The scheduler at work: what it binds, what it says of what it cannot bind, and when it tries again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.errors import Retryable
from seatrial.cluster.scheduler import scheduler
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object


@pytest.fixture
async def land(world: World) -> World:
    world.pods_become_ready = False
    await world.start(scheduler.build)
    return world


async def node(land: World, name: str, cpu: str = "1", **labels: str) -> None:
    made = await land.node(name, labels)
    made["status"] = {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"}}
    await land.client.update(resources.for_plural("nodes"), made, subresource="status")
    await land.settle()


def pod(name: str, cpu: str = "1", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


async def placed(land: World) -> dict[str, str]:
    """Which node each pod is on; "" for none."""
    await land.settle()
    return {objects.name(found): found["spec"].get("nodeName", "") for found in await land.pods()}


async def scheduled(land: World, name: str) -> dict[str, Any]:
    found = conditions.get(await land.get("pods", name, ""), "PodScheduled") or {}
    return {key: found.get(key) for key in ("status", "reason", "message")}


async def test_a_pod_gets_a_node_a_condition_and_an_event(land: World) -> None:
    await node(land, "a")
    await land.create(pod("p"))
    assert await placed(land) == {"p": "a"}
    assert (await scheduled(land, "p"))["status"] == "True"
    assert ("p", "Scheduled", "Successfully assigned default/p to a") in land.notes.seen


async def test_a_pod_that_fits_nowhere_says_why(land: World) -> None:
    await node(land, "a")
    await land.create(pod("p", cpu="2"))
    assert await placed(land) == {"p": ""}
    message = "0/1 nodes are available: 1 Insufficient cpu."
    assert await scheduled(land, "p") == {"status": "False", "reason": "Unschedulable", "message": message}
    assert ("p", "FailedScheduling", message) in land.notes.seen


async def test_what_fits_nowhere_is_not_written_again_and_again(land: World) -> None:
    await node(land, "a")
    await land.create(pod("p", cpu="2"))
    await land.settle()
    revision = land.store.revision
    await land.after(1000)
    assert land.store.revision == revision


async def test_many_pods_at_once_never_share_the_same_room(land: World) -> None:
    for name in ("a", "b", "c"):
        await node(land, name, cpu="2")
    for number in range(10):
        await land.create(pod(f"p{number}"))
    found = list((await placed(land)).values())
    assert sorted(found) == ["", "", "", "", "a", "a", "b", "b", "c", "c"]


async def test_room_that_becomes_free_is_given_to_who_waits(land: World) -> None:
    await node(land, "a")
    await land.create(pod("first"))
    await land.settle()
    await land.create(pod("second"))
    assert await placed(land) == {"first": "a", "second": ""}
    await land.delete("pods", "first", "", grace=0)
    assert await placed(land) == {"second": "a"}


async def test_a_pod_that_ends_makes_room(land: World) -> None:
    await node(land, "a")
    await land.create(pod("first"))
    await land.settle()
    await land.create(pod("second"))
    await land.settle()
    await land.set_pod("first", "Succeeded")
    assert (await placed(land))["second"] == "a"


async def relabelled(land: World) -> None:
    await land.merge("nodes", "a", {"metadata": {"labels": {"disk": "ssd"}}}, "")


async def uncordoned(land: World) -> None:
    await land.merge("nodes", "a", {"spec": {"unschedulable": None, "taints": None}}, "")


async def another(land: World) -> None:
    await node(land, "b", disk="ssd")


@pytest.mark.parametrize(
    ("before", "spec", "change", "goes_to"),
    [
        ({}, {"nodeSelector": {"disk": "ssd"}}, relabelled, "a"),
        ({"unschedulable": True}, {}, uncordoned, "a"),
        ({"taints": [{"key": "k", "effect": "NoSchedule"}]}, {}, uncordoned, "a"),
        ({}, {"nodeSelector": {"disk": "ssd"}}, another, "b"),
    ],
)
async def test_a_change_of_nodes_is_another_chance(
    land: World, before: dict[str, Any], spec: dict[str, Any], change: Callable[[World], Any], goes_to: str
) -> None:
    await node(land, "a")
    await land.merge("nodes", "a", {"spec": before}, "")
    await land.create(pod("p", **spec))
    assert await placed(land) == {"p": ""}
    await change(land)
    assert await placed(land) == {"p": goes_to}


def near(app: str, **more: Any) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname", **more}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


async def test_a_pod_follows_the_one_it_wants_to_be_near_as_soon_as_that_is_placed(land: World) -> None:
    await node(land, "a", cpu="4")
    await node(land, "b", cpu="4")
    await land.create(pod("follower", affinity=near("web")))
    assert await placed(land) == {"follower": ""}
    await land.create(pod("leader", labels={"app": "web"}, nodeSelector={"kubernetes.io/hostname": "b"}))
    assert await placed(land) == {"follower": "b", "leader": "b"}


async def test_a_neighbour_that_changes_its_labels_is_another_chance(land: World) -> None:
    await node(land, "a", cpu="4")
    await land.create(pod("leader"))
    await land.create(pod("follower", affinity=near("web")))
    assert (await placed(land))["follower"] == ""
    await land.merge("pods", "leader", {"metadata": {"labels": {"app": "web"}}}, "")
    assert (await placed(land))["follower"] == "a"


async def test_a_namespace_that_changes_its_labels_is_another_chance(land: World) -> None:
    await node(land, "a", cpu="4")
    await land.create(pod("leader", labels={"app": "web"}))
    await land.create(pod("follower", affinity=near("web", namespaceSelector={"matchLabels": {"team": "b"}})))
    assert (await placed(land))["follower"] == ""
    namespaces = resources.for_plural("namespaces")
    change = {"metadata": {"labels": {"team": "b"}}}
    await land.client.patch(namespaces, "default", change, type=PatchType.MERGE)
    assert (await placed(land))["follower"] == "a"


async def test_gates_hold_a_pod_until_the_last_is_gone(land: World) -> None:
    await node(land, "a", cpu="4")
    await land.create(pod("p", schedulingGates=[{"name": "example.com/x"}]))
    assert await placed(land) == {"p": ""}
    assert (await scheduled(land, "p"))["reason"] == "SchedulingGated"
    await land.merge("pods", "p", {"spec": {"schedulingGates": None}}, "")
    assert await placed(land) == {"p": "a"}


async def test_the_pods_of_other_schedulers_are_theirs_but_take_room(land: World) -> None:
    await node(land, "a")
    await land.create(pod("theirs", schedulerName="other"))
    assert await placed(land) == {"theirs": ""}
    await land.create(pod("bound", schedulerName="other", nodeName="a"))
    await land.create(pod("mine"))
    assert (await placed(land))["mine"] == ""


async def test_a_pod_that_has_ended_without_a_node_is_not_scheduled(land: World) -> None:
    await land.create(pod("p"))
    await land.set_pod("p", "Failed")
    await node(land, "a")
    assert await placed(land) == {"p": ""}


@pytest.mark.parametrize(
    "error", [StatusError(500, "InternalError", "no"), Retryable("cut off"), RuntimeError("a bug")]
)
async def test_a_binding_that_fails_is_tried_again(
    land: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    left = [error, error]
    create = land.client.create

    async def failing(*arguments: Any, **options: Any) -> Object:
        if options.get("subresource") == "binding" and left:
            raise left.pop()
        return await create(*arguments, **options)

    monkeypatch.setattr(land.client, "create", failing)
    await node(land, "a")
    await land.create(pod("p"))
    assert await placed(land) == {"p": ""}
    await land.after(1)
    assert await placed(land) == {"p": "a"}


async def test_a_binding_that_fails_frees_the_room_for_others(land: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create = land.client.create

    async def refusing(*arguments: Any, **options: Any) -> Object:
        if options.get("name") == "cursed":
            raise StatusError(500, "InternalError", "no")
        return await create(*arguments, **options)

    monkeypatch.setattr(land.client, "create", refusing)
    await node(land, "a")
    await land.create(pod("cursed"))
    await land.settle()
    await land.create(pod("p"))
    assert await placed(land) == {"cursed": "", "p": "a"}


async def test_a_pod_deleted_while_it_is_bound_takes_no_room(land: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create = land.client.create

    async def late(*arguments: Any, **options: Any) -> Object:
        if options.get("name") == "short":
            await land.client.delete(resources.for_plural("pods"), "short", "default", grace=0)
        return await create(*arguments, **options)

    monkeypatch.setattr(land.client, "create", late)
    await node(land, "a")
    await land.create(pod("short"))
    await land.settle()
    await land.create(pod("p"))
    assert await placed(land) == {"p": "a"}
