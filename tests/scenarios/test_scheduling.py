"""Pods find their nodes, in a whole cluster with nodes a test makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object

POOL = {"pool": "test"}


class Fleet:
    """Nodes of one pool, and the pods that go there."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    async def node(self, name: str, *, cpu: str = "4", pods: str = "10", zone: str = "", **spec: Any) -> Object:
        labels = {"seatrial.dev/simulated": "true", "kubernetes.io/hostname": name, **POOL}
        if zone:
            labels["zone"] = zone
        room = {"cpu": cpu, "memory": "8Gi", "pods": pods}
        status = {"capacity": room, "allocatable": room}
        meta = {"name": name, "labels": labels}
        return await self.scene.create(
            {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec, "status": status}
        )

    async def pod(self, name: str, cpu: str = "1", **fields: Any) -> Object:
        container = {"resources": {"requests": {"cpu": cpu}}}
        return await self.scene.create(self.scene.pod(name, container=container, **{"nodeSelector": POOL, **fields}))

    async def node_of(self, pod: str) -> str:
        found = await self.scene.ready(pod)
        name: str = found["spec"]["nodeName"]
        return name

    async def unschedulable(self, pod: str) -> str:
        """What the pod that waits says."""

        async def check() -> str | None:
            condition = conditions.get(await self.scene.get("pods", pod), "PodScheduled") or {}
            return condition.get("message") if condition.get("status") == "False" else None

        check.__doc__ = f"{pod} says why it waits"
        return await self.scene.until(check)


@pytest.fixture
def fleet(scene: Scene) -> Fleet:
    return Fleet(scene)


async def test_pods_fill_nodes_and_the_rest_wait_for_room(fleet: Fleet) -> None:
    await fleet.node("a", cpu="2")
    await fleet.node("b", cpu="2")
    for number in range(4):
        await fleet.pod(f"p{number}")
    nodes = [await fleet.node_of(f"p{number}") for number in range(4)]
    assert sorted(nodes) == ["a", "a", "b", "b"]
    await fleet.pod("late")
    assert await fleet.unschedulable("late") == (
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 Insufficient cpu."
    )
    await fleet.scene.delete("pods", "p0")
    assert await fleet.node_of("late") == nodes[0]


async def test_a_deployment_lies_evenly_over_its_zones(fleet: Fleet) -> None:
    for name, zone in (("a", "x"), ("b", "x"), ("c", "y")):
        await fleet.node(name, cpu="16", zone=zone)
    labels = {"app": "web"}
    spread = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
        "matchLabelKeys": ["pod-template-hash"],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "nodeSelector": POOL,
            "topologySpreadConstraints": [spread],
            "containers": [{"name": "main", "image": "i"}],
        },
    }
    spec = {"replicas": 6, "selector": {"matchLabels": labels}, "template": template}
    await fleet.scene.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": spec,
        }
    )

    async def ready() -> list[Object] | None:
        """six pods are ready"""
        found = await fleet.scene.list("pods", selector="app=web")
        return found if len(found) == 6 and all(conditions.is_true(pod, "Ready") for pod in found) else None

    found = await fleet.scene.until(ready)
    on = [pod["spec"]["nodeName"] for pod in found]
    assert on.count("c") == 3


async def test_a_cordoned_node_gets_no_more_pods_until_it_is_uncordoned(fleet: Fleet) -> None:
    await fleet.node("a")
    await fleet.pod("first")
    assert await fleet.node_of("first") == "a"
    await fleet.scene.merge("nodes", "a", {"spec": {"unschedulable": True}}, "")
    await fleet.pod("second")
    assert "1 node(s) were unschedulable" in await fleet.unschedulable("second")
    await fleet.scene.merge("nodes", "a", {"spec": {"unschedulable": False}}, "")
    assert await fleet.node_of("second") == "a"


async def test_a_tainted_node_is_for_those_who_tolerate_it(fleet: Fleet) -> None:
    await fleet.node("a", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    await fleet.pod("plain")
    await fleet.pod("fitting", tolerations=[{"key": "gpu", "operator": "Equal", "value": "yes"}])
    assert await fleet.node_of("fitting") == "a"
    assert "1 node(s) had untolerated taint(s)" in await fleet.unschedulable("plain")


async def test_pods_that_repel_each_other_share_no_node(fleet: Fleet) -> None:
    await fleet.node("a")
    await fleet.node("b")
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    far = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    for name in ("one", "two", "three"):
        await fleet.pod(name, cpu="100m", labels={"app": "db"}, affinity=far)
    assert {await fleet.node_of("one"), await fleet.node_of("two")} == {"a", "b"}
    assert "2 node(s) didn't match pod anti-affinity rules" in await fleet.unschedulable("three")


async def test_a_daemon_set_has_one_pod_on_every_node_of_its_pool(fleet: Fleet) -> None:
    await fleet.node("a")
    await fleet.node("b", unschedulable=True)
    labels = {"app": "agent"}
    spec = {"nodeSelector": POOL, "containers": [{"name": "main", "image": "i"}]}
    await fleet.scene.create(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "agent", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
    )
    await fleet.scene.until(daemons(fleet.scene, {"a", "b"}))
    await fleet.node("c")
    await fleet.scene.until(daemons(fleet.scene, {"a", "b", "c"}))


def daemons(scene: Scene, nodes: set[str]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        found = await scene.list("pods", selector="app=agent")
        ready = [pod["spec"].get("nodeName") for pod in found if conditions.is_true(pod, "Ready")]
        return sorted(ready) == sorted(nodes)

    check.__doc__ = f"one ready pod on each of {sorted(nodes)}"
    return check


async def test_a_pod_bound_by_hand_runs_where_it_was_put_and_takes_room(fleet: Fleet) -> None:
    await fleet.node("a", cpu="1")
    await fleet.pod("mine", nodeName="a")
    assert await fleet.node_of("mine") == "a"
    await fleet.pod("late")
    assert "1 Insufficient cpu" in await fleet.unschedulable("late")


async def test_scheduling_is_told_in_events(fleet: Fleet) -> None:
    await fleet.node("a", cpu="1")
    await fleet.pod("big", cpu="2")
    await fleet.unschedulable("big")

    async def told() -> Object | None:
        """a FailedScheduling event"""
        found = await fleet.scene.list("events")
        about = [event for event in found if event["involvedObject"]["name"] == "big"]
        return next((event for event in about if event["reason"] == "FailedScheduling"), None)

    event = await fleet.scene.until(told)
    assert event["source"]["component"] == "default-scheduler"
    assert objects.namespace(event) == "default"
