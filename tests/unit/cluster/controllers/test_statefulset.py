"""StatefulSets against the real API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import garbagecollector, statefulset
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

LABELS = {"app": "db"}
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def make(replicas: int = 3, **spec: Any) -> Object:
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [{"name": "c", "image": "db:1"}]},
    }
    selector = {"matchLabels": LABELS}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {"replicas": replicas, "serviceName": "db", "selector": selector, "template": template, **spec},
    }


async def started(world: World, obj: Object) -> Object:
    await world.start(statefulset.build, garbagecollector.build)
    await world.create(obj)
    await world.settle()
    return await world.get("statefulsets", "db")


async def set_image(world: World, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    await world.merge("statefulsets", "db", patch)
    await world.settle()


async def images(world: World) -> dict[str, str]:
    return {objects.name(pod): pod["spec"]["containers"][0]["image"] for pod in await world.pods()}


async def claims(world: World) -> list[str]:
    return [objects.name(claim) for claim in await world.list("persistentvolumeclaims", "")]


async def test_pods_come_up_in_order_each_waiting_for_the_last(world: World) -> None:
    world.pods_become_ready = False
    await started(world, make(2))
    assert await world.pod_names() == ["db-0"]
    await world.ready("db-0")
    await world.settle()
    assert await world.pod_names() == ["db-0", "db-1"]


async def test_a_complete_set_reports_its_numbers_and_revision(world: World) -> None:
    found = await started(world, make(3))
    revisions = await world.list("controllerrevisions")
    assert len(revisions) == 1 and revisions[0]["revision"] == 1
    name = objects.name(revisions[0])
    assert found["status"] == {
        "observedGeneration": 1,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": name,
        "updateRevision": name,
        "collisionCount": 0,
    }
    assert {objects.labels(pod)["controller-revision-hash"] for pod in await world.pods()} == {name}


async def test_a_settled_set_writes_nothing(world: World) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    await started(world, make(2, volumeClaimTemplates=[CLAIM], persistentVolumeClaimRetentionPolicy=policy))
    before = world.store.revision
    await world.after(3600)
    assert world.store.revision == before


async def test_an_update_replaces_every_pod_and_an_undo_uses_the_old_revision_again(world: World) -> None:
    await started(world, make(2))
    first = (await world.get("statefulsets", "db"))["status"]["currentRevision"]
    await set_image(world, "db:2")
    assert await images(world) == {"db-0": "db:2", "db-1": "db:2"}
    status = (await world.get("statefulsets", "db"))["status"]
    assert status["currentRevision"] == status["updateRevision"] != first
    await set_image(world, "db:1")
    revisions = {objects.name(found): found["revision"] for found in await world.list("controllerrevisions")}
    assert len(revisions) == 2 and revisions[first] == 3


async def test_the_partition_keeps_low_ordinals_at_the_old_revision_even_when_made_anew(world: World) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    await started(world, make(2, updateStrategy=strategy))
    await set_image(world, "db:2")
    assert await images(world) == {"db-0": "db:1", "db-1": "db:2"}
    await world.delete("pods", "db-0", "", grace=0)
    await world.settle()
    assert await images(world) == {"db-0": "db:1", "db-1": "db:2"}
    status = (await world.get("statefulsets", "db"))["status"]
    assert (status["currentReplicas"], status["updatedReplicas"]) == (1, 1)


async def test_a_pod_that_is_deleted_comes_back_with_its_name_and_claim(world: World) -> None:
    await started(world, make(1, volumeClaimTemplates=[CLAIM]))
    before = (await world.pods())[0]
    await world.delete("pods", "db-0", "", grace=0)
    await world.settle()
    after = (await world.pods())[0]
    assert objects.uid(after) != objects.uid(before)
    assert after["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "data-db-0"
    assert await claims(world) == ["data-db-0"]


async def test_claims_stay_by_default_and_go_when_the_policy_says_so(world: World) -> None:
    await started(world, make(2, volumeClaimTemplates=[CLAIM]))
    await world.merge("statefulsets", "db", {"spec": {"replicas": 1}})
    await world.settle()
    assert await claims(world) == ["data-db-0", "data-db-1"]
    policy = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    await world.merge("statefulsets", "db", {"spec": {"replicas": 2, "persistentVolumeClaimRetentionPolicy": policy}})
    await world.settle()
    await world.merge("statefulsets", "db", {"spec": {"replicas": 1}})
    await world.after(2)
    assert await claims(world) == ["data-db-0"]


async def test_history_beyond_the_limit_is_deleted(world: World) -> None:
    await started(world, make(1, revisionHistoryLimit=1))
    for number in range(2, 5):
        await set_image(world, f"db:{number}")
    assert sorted(found["revision"] for found in await world.list("controllerrevisions")) == [3, 4]


async def test_a_revision_is_a_patch_that_brings_its_template_back(world: World) -> None:
    from seatrial.kube.client.client import PatchType
    from seatrial.kube.model import resources

    await started(world, make(1))
    await set_image(world, "db:2")
    first = min(await world.list("controllerrevisions"), key=lambda found: int(found["revision"]))
    resource = resources.for_plural("statefulsets", "apps")
    await world.client.patch(resource, "db", first["data"], "default", type=PatchType.STRATEGIC)
    await world.settle()
    assert await images(world) == {"db-0": "db:1"}
