"""Deployments and ReplicaSets together, against the real API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import deployment, pods, replicaset
from seatrial.kube.model import conditions, objects, resources

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

LABELS = {"app": "web"}
REVISION = "deployment.kubernetes.io/revision"
POD = resources.for_plural("pods")


def make(replicas: int = 3, image: str = "web:1", **spec: Any) -> Object:
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [{"name": "c", "image": image}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template, **spec},
    }


async def started(world: World, obj: Object) -> Object:
    await world.start(deployment.build, replicaset.build)
    await world.create(obj)
    await world.settle()
    return await world.get("deployments", "web")


async def set_image(world: World, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    await world.merge("deployments", "web", patch)
    await world.settle()


async def images(world: World) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in await world.pods())


def reason(obj: Object, type_: str = "Progressing") -> str:
    return str((conditions.get(obj, type_) or {}).get("reason"))


async def sizes(world: World) -> dict[str, int]:
    sets = await world.list("replicasets")
    return {found["spec"]["template"]["spec"]["containers"][0]["image"]: found["spec"]["replicas"] for found in sets}


async def test_a_new_deployment_becomes_available(world: World) -> None:
    found = await started(world, make(3))
    status = found["status"]
    assert status["replicas"] == status["updatedReplicas"] == status["availableReplicas"] == 3
    assert status["observedGeneration"] == found["metadata"]["generation"]
    assert reason(found) == "NewReplicaSetAvailable"
    assert reason(found, "Available") == "MinimumReplicasAvailable"
    assert objects.annotations(found)[REVISION] == "1"
    replica_set = (await world.list("replicasets"))[0]
    label = objects.labels(replica_set)["pod-template-hash"]
    assert objects.name(replica_set) == f"web-{label}"
    assert replica_set["spec"]["selector"]["matchLabels"] == {**LABELS, "pod-template-hash": label}
    assert objects.annotations(replica_set)["deployment.kubernetes.io/desired-replicas"] == "3"
    assert objects.annotations(replica_set)["deployment.kubernetes.io/max-replicas"] == "4"


async def test_a_settled_deployment_writes_nothing(world: World) -> None:
    await started(world, make(2))
    before = world.store.revision
    await world.after(7200)
    assert world.store.revision == before


async def test_a_new_template_rolls_out_and_keeps_the_old_set(world: World) -> None:
    await started(world, make(4))
    await set_image(world, "web:2")
    found = await world.get("deployments", "web")
    assert await images(world) == ["web:2"] * 4
    assert await sizes(world) == {"web:1": 0, "web:2": 4}
    assert objects.annotations(found)[REVISION] == "2"
    assert reason(found) == "NewReplicaSetAvailable"
    assert any("Scaled down replica set" in message for _, _, message in world.notes.seen)


async def test_a_rollout_that_never_gets_ready_stops_at_the_floor_and_times_out(world: World) -> None:
    await started(world, make(4, progressDeadlineSeconds=60))
    world.pods_become_ready = False
    await set_image(world, "web:bad")
    # 25 % of 4: ceiling 5, floor 3.
    assert await sizes(world) == {"web:1": 3, "web:bad": 2}
    await world.after(62)
    found = await world.get("deployments", "web")
    assert reason(found) == "ProgressDeadlineExceeded"
    assert (conditions.get(found, "Progressing") or {})["status"] == "False"
    assert reason(found, "Available") == "MinimumReplicasAvailable"


async def test_the_old_template_again_uses_its_set_again(world: World) -> None:
    await started(world, make(2))
    await set_image(world, "web:2")
    await set_image(world, "web:1")
    sets = {
        found["spec"]["template"]["spec"]["containers"][0]["image"]: found for found in await world.list("replicasets")
    }
    assert len(sets) == 2
    assert objects.annotations(sets["web:1"])[REVISION] == "3"
    assert objects.annotations(sets["web:1"])["deployment.kubernetes.io/revision-history"] == "1"
    assert objects.annotations(await world.get("deployments", "web"))[REVISION] == "3"


async def test_scaling_changes_one_set_and_no_revision(world: World) -> None:
    await started(world, make(2))
    await world.merge("deployments", "web", {"spec": {"replicas": 5}})
    await world.settle()
    found = await world.get("deployments", "web")
    assert len(await world.pods()) == 5
    assert objects.annotations(found)[REVISION] == "1"
    replica_set = (await world.list("replicasets"))[0]
    assert objects.annotations(replica_set)["deployment.kubernetes.io/desired-replicas"] == "5"


async def test_a_paused_deployment_scales_but_does_not_roll(world: World) -> None:
    await started(world, make(2))
    await world.merge("deployments", "web", {"spec": {"paused": True, "replicas": 3}})
    await set_image(world, "web:2")
    assert await images(world) == ["web:1"] * 3
    assert reason(await world.get("deployments", "web")) == "DeploymentPaused"
    await world.merge("deployments", "web", {"spec": {"paused": False}})
    await world.settle()
    assert await images(world) == ["web:2"] * 3
    assert reason(await world.get("deployments", "web")) == "NewReplicaSetAvailable"


async def test_recreate_waits_until_the_last_old_pod_is_gone(world: World) -> None:
    await started(world, make(2, strategy={"type": "Recreate"}))
    names = await world.pod_names()
    for name in names:  # a finalizer stands for a container that takes its time to stop
        await world.merge("pods", name, {"metadata": {"finalizers": ["test/slow"]}}, "")
    await set_image(world, "web:2")
    assert await images(world) == []
    assert (await world.get("deployments", "web"))["status"]["terminatingReplicas"] == 2
    await world.merge("pods", names[0], {"metadata": {"finalizers": None}}, "")
    await world.settle()
    assert await images(world) == []
    await world.merge("pods", names[1], {"metadata": {"finalizers": None}}, "")
    await world.settle()
    assert await images(world) == ["web:2"] * 2


async def test_history_beyond_the_limit_is_deleted(world: World) -> None:
    await started(world, make(1, revisionHistoryLimit=1))
    for number in range(2, 5):
        await set_image(world, f"web:{number}")
    assert await sizes(world) == {"web:3": 0, "web:4": 1}


async def test_min_ready_seconds_hold_a_rollout_back(world: World) -> None:
    await started(world, make(1, minReadySeconds=5, strategy={"rollingUpdate": {"maxUnavailable": 0}}))
    await world.after(5)
    await set_image(world, "web:2")
    assert await images(world) == ["web:1", "web:2"]
    await world.after(5)
    assert await images(world) == ["web:2"]


async def test_a_replica_set_that_matches_is_adopted(world: World) -> None:
    await world.start(deployment.build, replicaset.build)
    template = make()["spec"]["template"]
    orphan = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "orphan", "namespace": "default", "labels": LABELS},
        "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template},
    }
    await world.create(orphan)
    await world.create(make(2))
    await world.settle()
    sets = await world.list("replicasets")
    assert [objects.name(found) for found in sets] == ["orphan"]
    assert sets[0]["spec"]["replicas"] == 2


async def test_a_taken_name_is_answered_by_another_hash(world: World) -> None:
    await world.start(deployment.build, replicaset.build)
    await world.create(make(1))
    await world.settle()
    taken = objects.name((await world.list("replicasets"))[0])
    await world.delete("deployments", "web", propagation="Orphan")
    await world.delete("replicasets", taken)
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": taken, "namespace": "default"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "foreign"}},
            "template": {"metadata": {"labels": {"app": "foreign"}}, "spec": make()["spec"]["template"]["spec"]},
        },
    }
    await world.create(foreign)
    await world.merge("deployments", "web", {"metadata": {"finalizers": None}})
    await world.create(make(1))
    await world.after(5)
    found = await world.get("deployments", "web")
    assert found["status"]["collisionCount"] == 1
    assert found["status"]["availableReplicas"] == 1


async def test_the_bounds_hold_after_every_single_write_of_a_rollout(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await started(world, make(10, strategy=rolling))
    informer = world.informers.get(POD)
    seen: list[tuple[int, int]] = []

    def look(_old: Object | None, _new: Object | None) -> None:
        active = [pod for pod in informer.list("default") if pods.is_active(pod)]
        seen.append((len(active), sum(map(pods.is_ready, active))))

    informer.on_change(look)
    await set_image(world, "web:2")
    assert await images(world) == ["web:2"] * 10
    assert max(total for total, _ in seen) <= 13
    assert min(ready for _, ready in seen) >= 8
    assert max(total for total, _ in seen) > 10, "surge was used"
