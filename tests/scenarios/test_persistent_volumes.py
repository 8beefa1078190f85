"""Claims and volumes in a whole cluster: bound, provisioned, protected, reclaimed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object

PVC, PV = "persistentvolumeclaims", "persistentvolumes"


def claim(name: str = "data", *, size: str = "1Gi", metadata: dict[str, Any] | None = None, **spec: Any) -> Object:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    meta = {"name": name, "namespace": "default", **(metadata or {})}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": asked}


def volume(name: str, size: str = "1Gi", **spec: Any) -> Object:
    given = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": f"/srv/{name}"},
        **spec,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": given}


def storage_class(name: str, **fields: Any) -> Object:
    given = {"provisioner": "seatrial.dev/local-path", **fields}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, **given}


def using(scene: Scene, pod: str, name: str = "data", **fields: Any) -> Object:
    return scene.pod(pod, volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": name}}], **fields)


async def until_phase(scene: Scene, kind: str, name: str, phase: str) -> Object:
    async def check() -> Object | None:
        found = await scene.get(kind, name, "default" if kind == PVC else "")
        return found if found is not None and found["status"]["phase"] == phase else None

    check.__doc__ = f"{kind} {name} is {phase}"
    return await scene.until(check)


async def until_event(scene: Scene, reason: str, name: str = "data") -> Object:
    async def check() -> Object | None:
        found = [e for e in await scene.list("events") if e["involvedObject"]["name"] == name and e["reason"] == reason]
        return found[0] if found else None

    check.__doc__ = f"{name} has an event {reason}"
    return await scene.until(check)


async def volumes(scene: Scene) -> list[Object]:
    return await scene.list(PV, "")


# made on demand


async def test_a_claim_without_a_class_is_bound_to_a_volume_made_for_it(scene: Scene) -> None:
    made = await scene.create(claim())
    assert made["spec"]["storageClassName"] == "standard"
    bound = await until_phase(scene, PVC, "data", "Bound")
    assert bound["spec"]["volumeName"] == f"pvc-{objects.uid(bound)}"
    assert bound["status"]["capacity"] == {"storage": "1Gi"}
    assert bound["status"]["accessModes"] == ["ReadWriteOnce"]
    assert objects.annotations(bound)["pv.kubernetes.io/bind-completed"] == "yes"
    assert objects.finalizers(bound) == ["kubernetes.io/pvc-protection"]
    found = await until_phase(scene, PV, bound["spec"]["volumeName"], "Bound")
    spec = found["spec"]
    assert spec["persistentVolumeReclaimPolicy"] == "Delete"
    assert spec["claimRef"]["uid"] == objects.uid(bound)
    assert spec["hostPath"]["path"].endswith(f"/volumes/{objects.uid(bound)}")
    event = await until_event(scene, "ProvisioningSucceeded")
    assert event["message"] == f"Successfully provisioned volume {objects.name(found)}"
    before = await scene.quiet()
    assert await scene.quiet() == before


async def test_a_deleted_claim_takes_its_volume_with_it(scene: Scene) -> None:
    await scene.create(claim())
    bound = await until_phase(scene, PVC, "data", "Bound")
    await scene.delete(PVC, "data")
    await scene.gone(PVC, "data")
    await scene.gone(PV, bound["spec"]["volumeName"], "")


async def test_with_retain_the_volume_stays_and_is_for_nobody_else(scene: Scene) -> None:
    await scene.create(storage_class("kept", reclaimPolicy="Retain"))
    await scene.create(claim(storageClassName="kept"))
    bound = await until_phase(scene, PVC, "data", "Bound")
    await scene.delete(PVC, "data")
    name = bound["spec"]["volumeName"]
    await until_phase(scene, PV, name, "Released")
    await scene.create(claim(storageClassName="kept"))
    again = await until_phase(scene, PVC, "data", "Bound")
    assert again["spec"]["volumeName"] != name
    await scene.delete(PV, name, "")
    await scene.gone(PV, name, "")


async def test_a_claim_in_use_is_deleted_after_its_pods(scene: Scene) -> None:
    await scene.create(claim())
    await scene.create(using(scene, "user"))
    await scene.ready("user")
    await scene.delete(PVC, "data")
    await scene.quiet()
    found = await scene.get(PVC, "data")
    assert found is not None
    assert objects.is_deleting(found)
    await scene.delete("pods", "user")
    await scene.gone(PVC, "data")


async def test_a_volume_in_use_is_deleted_after_its_claim(scene: Scene) -> None:
    await scene.create(claim())
    bound = await until_phase(scene, PVC, "data", "Bound")
    name = bound["spec"]["volumeName"]
    await scene.delete(PV, name, "")
    await scene.quiet()
    assert await scene.get(PV, name, "") is not None
    await scene.delete(PVC, "data")
    await scene.gone(PV, name, "")


async def test_a_claim_may_wait_for_its_first_pod(scene: Scene) -> None:
    await scene.create(storage_class("lazy", volumeBindingMode="WaitForFirstConsumer"))
    await scene.create(claim(storageClassName="lazy"))
    event = await until_event(scene, "WaitForFirstConsumer")
    assert event["message"] == "waiting for first consumer to be created before binding"
    assert await volumes(scene) == []
    await scene.create(using(scene, "user"))
    await until_phase(scene, PVC, "data", "Bound")
    await scene.ready("user")


async def test_a_bound_claim_may_grow(scene: Scene) -> None:
    await scene.create(claim())
    await until_phase(scene, PVC, "data", "Bound")
    await scene.merge(PVC, "data", {"spec": {"resources": {"requests": {"storage": "3Gi"}}}})

    async def check() -> bool:
        found = await scene.get(PVC, "data")
        return found is not None and found["status"]["capacity"]["storage"] == "3Gi"

    await scene.until(check)


async def test_what_no_directory_can_be_is_refused_with_a_reason(scene: Scene) -> None:
    await scene.create(claim(volumeMode="Block"))
    event = await until_event(scene, "ProvisioningFailed")
    assert "volumeMode Block" in event["message"]


async def test_a_class_that_does_not_exist_is_waited_for(scene: Scene) -> None:
    await scene.create(claim(storageClassName="fast"))
    event = await until_event(scene, "ProvisioningFailed")
    assert event["message"] == 'storageclass.storage.k8s.io "fast" not found'
    await scene.create(storage_class("fast"))
    await until_phase(scene, PVC, "data", "Bound")


# made by hand


async def test_the_smallest_volume_that_fits_is_taken(scene: Scene) -> None:
    for name, size in (("huge", "100Gi"), ("right", "5Gi"), ("small", "1Gi")):
        await scene.create(volume(name, size, storageClassName="manual"))
        await until_phase(scene, PV, name, "Available")
    await scene.create(claim(size="2Gi", storageClassName="manual"))
    bound = await until_phase(scene, PVC, "data", "Bound")
    assert bound["spec"]["volumeName"] == "right"
    assert bound["status"]["capacity"] == {"storage": "5Gi"}
    await scene.delete(PVC, "data")
    await until_phase(scene, PV, "right", "Released")


async def test_a_claim_without_class_waits_for_a_volume_that_fits(scene: Scene) -> None:
    await scene.create(claim(storageClassName="", selector={"matchLabels": {"disk": "fast"}}))
    await until_event(scene, "FailedBinding")
    await scene.create(volume("plain"))
    await until_phase(scene, PV, "plain", "Available")
    fast = volume("fast")
    fast["metadata"]["labels"] = {"disk": "fast"}
    await scene.create(fast)
    bound = await until_phase(scene, PVC, "data", "Bound")
    assert bound["spec"]["volumeName"] == "fast"


async def test_a_volume_reserved_for_a_claim_is_given_to_no_other(scene: Scene) -> None:
    await scene.create(volume("mine", storageClassName="m", claimRef={"namespace": "default", "name": "data"}))
    await until_phase(scene, PV, "mine", "Available")
    await scene.create(claim("other", storageClassName="m"))
    await scene.create(claim(storageClassName="m"))
    bound = await until_phase(scene, PVC, "data", "Bound")
    assert bound["spec"]["volumeName"] == "mine"
    await until_phase(scene, PVC, "other", "Pending")


async def test_a_claim_that_names_a_volume_gets_it_or_is_told_why_not(scene: Scene) -> None:
    await scene.create(volume("disk", storageClassName="m"))
    await until_phase(scene, PV, "disk", "Available")
    await scene.create(claim("big", size="2Gi", storageClassName="m", volumeName="disk"))
    event = await until_event(scene, "VolumeMismatch", "big")
    assert event["message"] == 'Cannot bind to requested volume "disk": requested PV is too small'
    await scene.create(claim(storageClassName="m", volumeName="disk"))
    await until_phase(scene, PVC, "data", "Bound")
    await scene.create(claim("late", storageClassName="m", volumeName="disk"))
    event = await until_event(scene, "FailedBinding", "late")
    assert "already bound to a different claim" in event["message"]


async def test_a_volume_nobody_here_can_delete_fails(scene: Scene) -> None:
    await scene.create(volume("disk", storageClassName="m", persistentVolumeReclaimPolicy="Delete"))
    await until_phase(scene, PV, "disk", "Available")
    await scene.create(claim(storageClassName="m"))
    await until_phase(scene, PVC, "data", "Bound")
    await scene.delete(PVC, "data")
    failed = await until_phase(scene, PV, "disk", "Failed")
    assert "Retain" in failed["status"]["message"]


async def test_a_claim_whose_volume_is_gone_is_lost(scene: Scene) -> None:
    await scene.create(volume("disk", storageClassName="m"))
    await until_phase(scene, PV, "disk", "Available")
    await scene.create(claim(storageClassName="m"))
    await until_phase(scene, PVC, "data", "Bound")
    await scene.delete(PV, "disk", "")
    await scene.quiet()
    await scene.merge(PV, "disk", {"metadata": {"finalizers": None}}, "")
    await until_phase(scene, PVC, "data", "Lost")
    await until_event(scene, "ClaimLost")


# with pods


async def test_each_pod_of_a_stateful_set_has_its_own_claim_and_keeps_it(scene: Scene) -> None:
    template = {
        "metadata": {"labels": {"app": "db"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "example.com/db:1"}]},
    }
    claims = [{"metadata": {"name": "data"}, "spec": claim()["spec"]}]
    spec = {
        "replicas": 2,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": template,
        "volumeClaimTemplates": claims,
    }
    meta = {"name": "db", "namespace": "default"}
    await scene.create({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": spec})
    for pod in ("db-0", "db-1"):
        await scene.ready(pod)
    first = await until_phase(scene, PVC, "data-db-1", "Bound")
    await scene.merge("statefulsets", "db", {"spec": {"replicas": 1}})
    await scene.gone("pods", "db-1")
    await scene.merge("statefulsets", "db", {"spec": {"replicas": 2}})
    await scene.ready("db-1")
    assert await until_phase(scene, PVC, "data-db-1", "Bound") == first
    assert len(await volumes(scene)) == 2


async def test_an_ephemeral_volume_lives_and_dies_with_its_pod(scene: Scene) -> None:
    template = {"metadata": {"labels": {"kind": "scratch"}}, "spec": claim()["spec"]}
    await scene.create(scene.pod("work", volumes=[{"name": "tmp", "ephemeral": {"volumeClaimTemplate": template}}]))
    await scene.ready("work")
    bound = await until_phase(scene, PVC, "work-tmp", "Bound")
    assert objects.labels(bound) == {"kind": "scratch"}
    await scene.delete("pods", "work")
    await scene.gone(PVC, "work-tmp")
    await scene.gone(PV, bound["spec"]["volumeName"], "")


async def test_a_pod_without_its_claim_goes_nowhere(scene: Scene) -> None:
    await scene.create(using(scene, "user"))
    event = await until_event(scene, "FailedScheduling", "user")
    assert event["message"] == '0/1 nodes are available: persistentvolumeclaim "data" not found.'
    await scene.create(claim())
    await scene.ready("user")


async def test_a_pod_waits_until_its_claim_is_bound(scene: Scene) -> None:
    await scene.create(claim(storageClassName="manual"))
    await scene.create(using(scene, "user"))
    event = await until_event(scene, "FailedScheduling", "user")
    assert event["message"] == "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    await scene.create(volume("disk", storageClassName="manual"))
    await scene.ready("user")


async def test_a_pod_goes_where_its_volume_is(scene: Scene) -> None:
    terms = [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]
    affinity = {"required": {"nodeSelectorTerms": terms}}
    await scene.create(volume("disk", storageClassName="manual", nodeAffinity=affinity))
    await scene.create(claim(storageClassName="manual"))
    await scene.create(using(scene, "user"))

    async def check() -> bool:
        found = [e for e in await scene.list("events") if e["reason"] == "FailedScheduling"]
        return any("1 node(s) didn't match PersistentVolume's node affinity" in e["message"] for e in found)

    await scene.until(check)
    node = objects.name((await scene.list("nodes", ""))[0])
    await scene.merge("nodes", node, {"metadata": {"labels": {"disk": "ssd"}}}, "")
    await scene.ready("user")


async def test_a_claim_for_one_pod_is_given_to_the_next_when_that_has_ended(scene: Scene) -> None:
    await scene.create(claim(accessModes=["ReadWriteOncePod"]))
    await scene.create(using(scene, "first"))
    await scene.ready("first")
    await scene.create(using(scene, "second"))
    event = await until_event(scene, "FailedScheduling", "second")
    assert "ReadWriteOncePod" in event["message"]
    await scene.delete("pods", "first")
    await scene.ready("second")
