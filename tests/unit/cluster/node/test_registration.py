"""The Node of this process and its heartbeat."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import rfc3339, rfc3339_micro
from seatrial.cluster.node.registration import Heart
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

NODES = resources.for_plural("nodes")
LEASES = resources.for_plural("leases", "coordination.k8s.io")


@pytest.fixture
async def land(world: World) -> World:
    await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-node-lease"}})
    return world


@asynccontextmanager
async def beating(world: World) -> AsyncIterator[None]:
    heart = Heart(world.client, world.clock, "n", {"cpu": "4", "pods": "10"}, "10.0.0.1")
    task = asyncio.create_task(heart.run())
    await world.settle()
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def node(world: World) -> Object:
    return await world.client.get(NODES, "n")


async def lease(world: World) -> Object:
    return await world.client.get(LEASES, "n", "kube-node-lease")


async def test_a_node_registers_ready_with_its_room(land: World) -> None:
    async with beating(land):
        found = await node(land)
    assert conditions.is_true(found, "Ready")
    assert found["status"]["allocatable"] == {"cpu": "4", "pods": "10"}
    assert found["metadata"]["labels"]["seatrial.dev/simulated"] == "true"


async def test_the_lease_is_renewed_every_ten_seconds_and_nothing_else_is_written(land: World) -> None:
    async with beating(land):
        first, revision = await lease(land), land.store.revision
        await land.after(30)
        last = await lease(land)
    assert first["spec"]["holderIdentity"] == "n"
    assert last["spec"]["renewTime"] == rfc3339_micro(land.clock.time())
    assert land.store.revision == revision + 3


async def test_the_lease_belongs_to_the_node(land: World) -> None:
    async with beating(land):
        (owner,) = (await lease(land))["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Node", objects.uid(await node(land)))


async def test_a_second_start_renews_at_once_and_changes_nothing_of_the_node_but_its_heartbeat(land: World) -> None:
    async with beating(land):
        before = await node(land)
    await land.after(100)
    async with beating(land):
        after = await node(land)
        assert (await lease(land))["spec"]["renewTime"] == rfc3339_micro(land.clock.time())
    assert objects.uid(before) == objects.uid(after)
    ready = conditions.get(after, "Ready") or {}
    assert ready["lastTransitionTime"] == (conditions.get(before, "Ready") or {})["lastTransitionTime"]
    assert ready["lastHeartbeatTime"] == rfc3339(land.clock.time())


async def test_a_start_keeps_labels_cordons_and_conditions_of_others(land: World) -> None:
    async with beating(land):
        found = await node(land)
    found["metadata"]["labels"]["mine"] = "yes"
    found["spec"]["unschedulable"] = True
    found = await land.client.update(NODES, found)
    found["status"]["conditions"].append({"type": "Mine", "status": "True"})
    found["status"]["conditions"][3]["status"] = "Unknown"
    await land.client.update(NODES, found, subresource="status")
    await land.after(5)
    async with beating(land):
        after = await node(land)
    assert (after["metadata"]["labels"]["mine"], after["spec"]["unschedulable"]) == ("yes", True)
    assert conditions.is_true(after, "Mine")
    assert (conditions.get(after, "Ready") or {})["lastTransitionTime"] == rfc3339(land.clock.time())


async def test_a_deleted_node_is_registered_again_at_the_next_beat(land: World) -> None:
    async with beating(land):
        old = await node(land)
        await land.client.delete(NODES, "n")
        await land.after(10)
        new = await node(land)
        (owner,) = (await lease(land))["metadata"]["ownerReferences"]
    assert objects.uid(new) != objects.uid(old)
    assert owner["uid"] == objects.uid(new)


async def test_a_deleted_lease_comes_back(land: World) -> None:
    async with beating(land):
        await land.client.delete(LEASES, "n", "kube-node-lease")
        await land.after(10)
        assert (await lease(land))["spec"]["holderIdentity"] == "n"


async def test_an_api_that_refuses_is_asked_again(land: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create, left = land.client.create, ["once"]

    async def refusing(*arguments: Any, **options: Any) -> Object:
        if left:
            left.pop()
            raise StatusError(503, "ServiceUnavailable", "not yet")
        return await create(*arguments, **options)

    monkeypatch.setattr(land.client, "create", refusing)
    async with beating(land):
        await land.after(10)
        assert conditions.is_true(await node(land), "Ready")
