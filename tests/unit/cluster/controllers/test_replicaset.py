"""ReplicaSets against the real API, with pods made ready by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import replicaset
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

LABELS = {"app": "web"}


def make(replicas: int = 3, name: str = "web", **spec: Any) -> Object:
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [{"name": "c", "image": "web:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template, **spec},
    }


def pod(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or LABELS},
        "spec": {"containers": [{"name": "c", "image": "web:1"}]},
    }


async def started(world: World, obj: Object) -> Object:
    await world.start(replicaset.build)
    await world.create(obj)
    await world.settle()
    return await world.get("replicasets", objects.name(obj))


async def test_it_creates_what_is_missing_and_reports_it(world: World) -> None:
    found = await started(world, make(3))
    assert found["status"] == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    }
    pods = await world.pods()
    assert [objects.controller_of(pod) for pod in pods] == [objects.controller_reference(found)] * 3
    assert all(objects.name(pod).startswith("web-") for pod in pods)
    assert world.notes.reasons() == ["SuccessfulCreate"] * 3


async def test_a_settled_set_writes_nothing(world: World) -> None:
    await started(world, make(2))
    before = world.store.revision
    await world.after(3600)
    assert world.store.revision == before


async def test_scaling_down_deletes_the_pod_that_is_not_ready_first(world: World) -> None:
    await started(world, make(3))
    names = await world.pod_names()
    await world.ready(names[1], ready=False)
    await world.merge("replicasets", "web", {"spec": {"replicas": 2}})
    await world.settle()
    assert await world.pod_names() == [names[0], names[2]]
    assert world.notes.reasons().count("SuccessfulDelete") == 1


async def test_a_deleted_pod_is_replaced(world: World) -> None:
    await started(world, make(2))
    gone = (await world.pod_names())[0]
    await world.delete("pods", gone, "", grace=0)
    await world.settle()
    names = await world.pod_names()
    assert len(names) == 2 and gone not in names


async def test_a_finished_pod_is_replaced(world: World) -> None:
    await started(world, make(1))
    name = (await world.pod_names())[0]
    await world.set_pod(name, "Failed")
    await world.settle()
    assert len(await world.pod_names()) == 2
    assert (await world.get("replicasets", "web"))["status"]["replicas"] == 1


async def test_an_orphan_that_matches_is_adopted(world: World) -> None:
    await world.start(replicaset.build)
    await world.create(pod("lonely"))
    await world.create(make(1))
    await world.settle()
    assert await world.pod_names() == ["lonely"]
    assert (objects.controller_of((await world.pods())[0]) or {})["name"] == "web"


async def test_a_pod_that_stops_matching_is_let_go_and_replaced(world: World) -> None:
    await started(world, make(1))
    name = (await world.pod_names())[0]
    await world.merge("pods", name, {"metadata": {"labels": {"app": "other"}}}, "")
    await world.settle()
    assert objects.owner_references(await world.get("pods", name, "")) == []
    assert len(await world.pods()) == 2


async def test_ready_pods_become_available_after_min_ready_seconds(world: World) -> None:
    found = await started(world, make(1, minReadySeconds=10))
    assert "availableReplicas" not in found["status"]
    assert found["status"]["readyReplicas"] == 1
    await world.after(9)
    assert "availableReplicas" not in (await world.get("replicasets", "web"))["status"]
    await world.after(1)
    assert (await world.get("replicasets", "web"))["status"]["availableReplicas"] == 1


async def test_refused_pods_are_reported_and_tried_one_at_a_time(world: World) -> None:
    broken = make(5)
    broken["spec"]["template"]["spec"]["serviceAccountName"] = "nobody"
    await world.start(replicaset.build)
    refused = []
    create = world.client.create

    async def refusing(resource: Any, obj: Object, *rest: Any, **more: Any) -> Object:
        if resource.plural == "pods":
            from seatrial.kube.model.status import forbidden

            refused.append(obj)
            raise forbidden("no pods today")
        return await create(resource, obj, *rest, **more)

    world.client.create = refusing  # type: ignore[method-assign]
    await world.create(broken)
    await world.settle()
    condition = conditions.get(await world.get("replicasets", "web"), "ReplicaFailure") or {}
    assert (condition["status"], condition["reason"], condition["message"]) == ("True", "FailedCreate", "no pods today")
    tries = world.notes.reasons().count("FailedCreate")
    assert tries == len(refused) <= 3, "one pod per pass, not five"


def test_surplus_counts_the_pods_of_sibling_sets_on_a_node() -> None:
    def placed(name: str, node: str) -> Object:
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        meta = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
        return {"metadata": meta, "spec": {"nodeName": node}, "status": {"phase": "Running", "conditions": [ready]}}

    own = [placed("a", "n1"), placed("b", "n2")]
    sibling = placed("c", "n2")
    replica_set = {"spec": {"replicas": 1}}
    assert [objects.name(p) for p in replicaset.surplus(replica_set, own, [*own, sibling])] == ["b"]
    assert replicaset.surplus({"spec": {"replicas": 2}}, own, own) == []


def test_missing_is_bounded_per_pass() -> None:
    assert replicaset.missing({"spec": {"replicas": 2000}}, []) == replicaset.MOST_AT_ONCE
    assert replicaset.missing({"spec": {"replicas": 2}}, [{}, {}, {}]) == 0
