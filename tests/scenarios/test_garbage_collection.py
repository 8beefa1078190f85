"""Garbage collection: what becomes of dependents, by propagation policy, in a whole cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object


async def family(scene: Scene, *, block: bool = False, finalizers: list[str] | None = None) -> tuple[Object, Object]:
    """An owner and its dependent."""
    owner = await scene.create(scene.config_map("owner"))
    references = [scene.owner(owner, block=block)]
    child = scene.config_map("child", ownerReferences=references, finalizers=finalizers or [])
    return owner, await scene.create(child)


async def test_background_deletes_the_owner_at_once_and_the_dependents_after(scene: Scene) -> None:
    await family(scene)
    await scene.delete("configmaps", "owner", propagation="Background")
    assert await scene.get("configmaps", "owner") is None
    await scene.gone("configmaps", "child")


async def test_foreground_keeps_the_owner_until_its_blocking_dependents_are_gone(scene: Scene) -> None:
    await family(scene, block=True, finalizers=["example.com/hold"])
    await scene.delete("configmaps", "owner", propagation="Foreground")

    async def child_is_going() -> bool:
        child = await scene.get("configmaps", "child")
        return child is not None and objects.is_deleting(child)

    await scene.until(child_is_going)
    owner = await scene.get("configmaps", "owner")
    assert owner is not None
    assert objects.finalizers(owner) == ["foregroundDeletion"]
    await scene.merge("configmaps", "child", {"metadata": {"finalizers": None}})
    await scene.gone("configmaps", "child")
    await scene.gone("configmaps", "owner")


async def test_foreground_does_not_wait_for_a_dependent_that_does_not_block(scene: Scene) -> None:
    await family(scene, finalizers=["example.com/hold"])
    await scene.delete("configmaps", "owner", propagation="Foreground")
    await scene.gone("configmaps", "owner")


async def test_foreground_goes_down_through_the_generations(scene: Scene) -> None:
    _, child = await family(scene, block=True)
    await scene.create(scene.config_map("grandchild", ownerReferences=[scene.owner(child, block=True)]))
    await scene.delete("configmaps", "owner", propagation="Foreground")
    for name in ("grandchild", "child", "owner"):
        await scene.gone("configmaps", name)


async def test_owners_that_own_each_other_can_be_deleted_in_foreground(scene: Scene) -> None:
    _, child = await family(scene, block=True)
    await scene.merge("configmaps", "owner", {"metadata": {"ownerReferences": [scene.owner(child, block=True)]}})
    await scene.delete("configmaps", "owner", propagation="Foreground")
    await scene.gone("configmaps", "child")
    await scene.gone("configmaps", "owner")


async def test_orphan_leaves_the_dependents_without_the_reference(scene: Scene) -> None:
    await family(scene)
    await scene.delete("configmaps", "owner", propagation="Orphan")
    await scene.gone("configmaps", "owner")
    child = await scene.get("configmaps", "child")
    assert child is not None
    assert objects.owner_references(child) == []


async def test_a_dependent_with_another_owner_loses_only_the_reference(scene: Scene) -> None:
    first = await scene.create(scene.config_map("first"))
    second = await scene.create(scene.config_map("second"))
    await scene.create(scene.config_map("child", ownerReferences=[scene.owner(first), scene.owner(second)]))
    await scene.delete("configmaps", "first")

    async def has_one_owner() -> bool:
        child = await scene.get("configmaps", "child")
        assert child is not None
        return [owner["name"] for owner in objects.owner_references(child)] == ["second"]

    await scene.until(has_one_owner)


async def test_an_owner_that_never_was_takes_its_dependent_along(scene: Scene) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "never", "uid": "no-such-uid"}}
    await scene.create(scene.config_map("child", ownerReferences=[scene.owner(owner)]))
    await scene.gone("configmaps", "child")


async def test_a_namesake_of_a_deleted_owner_is_not_the_owner(scene: Scene) -> None:
    owner, _ = await family(scene)
    await scene.create(scene.config_map("other"))
    gone = {**owner, "metadata": {"name": "other", "uid": objects.uid(owner) + "-before"}}
    await scene.create(scene.config_map("stray", ownerReferences=[scene.owner(gone)]))
    await scene.gone("configmaps", "stray")
    assert await scene.get("configmaps", "child") is not None


async def test_an_owner_in_another_namespace_counts_as_absent_and_is_told(scene: Scene) -> None:
    owner = await scene.create(scene.config_map("owner", namespace="kube-public"))
    await scene.create(scene.config_map("child", ownerReferences=[scene.owner(owner)]))
    await scene.gone("configmaps", "child")

    async def told() -> list[Object]:
        return [event for event in await scene.list("events") if event["reason"] == "OwnerRefInvalidNamespace"]

    assert await scene.until(told)


async def test_a_cluster_scoped_object_is_not_collected_for_a_namespaced_owner(scene: Scene) -> None:
    owner = await scene.create(scene.config_map("owner"))
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "stray", "ownerReferences": [scene.owner(owner)]},
        "rules": [],
    }
    await scene.create(role)
    await scene.quiet()
    assert await scene.get("clusterroles", "stray", "") is not None


async def test_custom_resources_own_and_are_owned(scene: Scene) -> None:
    await scene.create(scene.definition("ships", "Ship"))
    await scene.established("ships.example.com")
    ship = await scene.create(
        {"apiVersion": "example.com/v1", "kind": "Ship", "metadata": {"name": "argo", "namespace": "default"}}
    )
    await scene.create(scene.config_map("cargo", ownerReferences=[scene.owner(ship)]))
    await scene.delete("ships.example.com", "argo")
    await scene.gone("configmaps", "cargo")


async def test_deleting_a_definition_deletes_its_instances_and_what_they_own(scene: Scene) -> None:
    await scene.create(scene.definition("ships", "Ship"))
    await scene.established("ships.example.com")
    ship = await scene.create(
        {"apiVersion": "example.com/v1", "kind": "Ship", "metadata": {"name": "argo", "namespace": "default"}}
    )
    await scene.create(scene.config_map("cargo", ownerReferences=[scene.owner(ship)]))
    await scene.delete("customresourcedefinitions", "ships.example.com", "")
    await scene.gone("customresourcedefinitions", "ships.example.com", "")
    await scene.gone("configmaps", "cargo")


async def test_a_definition_waits_for_an_instance_with_a_finalizer(scene: Scene) -> None:
    await scene.create(scene.definition("ships", "Ship"))
    await scene.established("ships.example.com")
    metadata = {"name": "argo", "namespace": "default", "finalizers": ["example.com/hold"]}
    await scene.create({"apiVersion": "example.com/v1", "kind": "Ship", "metadata": metadata})
    await scene.delete("customresourcedefinitions", "ships.example.com", "")

    async def in_progress() -> bool:
        found = await scene.get("customresourcedefinitions", "ships.example.com", "")
        assert found is not None
        reasons = {item["type"]: item["reason"] for item in found["status"]["conditions"]}
        return reasons.get("Terminating") == "InstanceDeletionInProgress"

    await scene.until(in_progress)
    await scene.merge("ships.example.com", "argo", {"metadata": {"finalizers": None}})
    await scene.gone("customresourcedefinitions", "ships.example.com", "")
