"""Pods nobody would finish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import podgc
from seatrial.kube.model import resources

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

NODES = resources.for_plural("nodes")


def pod(name: str, **spec: Any) -> Object:
    containers = [{"name": "main", "image": "example.com/app:1"}]
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}


async def test_pods_of_a_node_that_is_gone_go_after_a_while(world: World) -> None:
    await world.start(podgc.build)
    await world.node("n")
    await world.create(pod("a", nodeName="n"))
    await world.settle()
    await world.client.delete(NODES, "n")
    await world.settle()
    await world.after(podgc.QUARANTINE_SECONDS - 1)
    assert await world.pod_names() == ["a"]
    await world.after(1)
    assert await world.pod_names() == []


async def test_a_node_that_comes_back_in_time_keeps_its_pods(world: World) -> None:
    await world.start(podgc.build)
    await world.create(pod("a", nodeName="n"))
    await world.settle()
    await world.after(podgc.QUARANTINE_SECONDS - 1)
    await world.node("n")
    await world.after(podgc.QUARANTINE_SECONDS)
    assert await world.pod_names() == ["a"]


async def test_a_pod_deleted_before_it_was_bound_goes(world: World) -> None:
    world.pods_become_ready = False
    await world.start(podgc.build)
    await world.create({**pod("a"), "metadata": {"name": "a", "namespace": "default", "finalizers": ["x.example/y"]}})
    await world.delete("pods", "a", "")
    await world.merge("pods", "a", {"metadata": {"finalizers": None}}, "")
    await world.settle()
    assert await world.list("pods", "") == []
