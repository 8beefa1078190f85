"""Deleting a namespace empties it: pods first, everything else after, and says what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object


async def shop(scene: Scene) -> None:
    """A namespace with its default account."""
    await scene.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})

    async def has_account() -> bool:
        return await scene.get("serviceaccounts", "default", "shop") is not None

    await scene.until(has_account)


async def test_a_new_namespace_has_the_default_account_and_the_authority(scene: Scene) -> None:
    await shop(scene)

    async def authority() -> Object | None:
        return await scene.get("configmaps", "kube-root-ca.crt", "shop")

    found = await scene.until(authority)
    assert found["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")


async def test_the_default_account_comes_back_when_deleted(scene: Scene) -> None:
    await shop(scene)
    before = await scene.get("serviceaccounts", "default", "shop")
    await scene.delete("serviceaccounts", "default", "shop")

    async def back() -> Object | None:
        return await scene.get("serviceaccounts", "default", "shop")

    assert objects.uid(await scene.until(back)) != objects.uid(before or {})


async def test_an_empty_namespace_goes_within_a_second(scene: Scene) -> None:
    await shop(scene)
    await scene.delete("namespaces", "shop", "")

    async def gone() -> bool:
        return await scene.get("namespaces", "shop", "") is None

    await scene.until(gone, seconds=1.0)


async def test_its_content_goes_with_it_custom_resources_too(scene: Scene) -> None:
    await shop(scene)
    await scene.create(scene.definition("ships", "Ship"))
    await scene.established("ships.example.com")
    metadata = {"name": "argo", "namespace": "shop"}
    await scene.create({"apiVersion": "example.com/v1", "kind": "Ship", "metadata": metadata})
    await scene.create(scene.config_map("settings", "shop"))
    await scene.create(scene.pod("web", "shop"))
    await scene.ready("web", "shop")
    await scene.delete("namespaces", "shop", "")
    await scene.gone("namespaces", "shop", "")
    for kind in ("pods", "configmaps", "ships.example.com", "serviceaccounts"):
        assert await scene.list(kind, "shop") == []


async def test_nothing_else_is_deleted_while_there_are_pods(scene: Scene) -> None:
    await shop(scene)
    await scene.create(scene.config_map("settings", "shop"))
    await scene.create(scene.pod("web", "shop", finalizers=["example.com/hold"]))
    await scene.delete("namespaces", "shop", "")

    async def told() -> Object | None:
        found = await scene.get("namespaces", "shop", "")
        return conditions.get(found, "NamespaceFinalizersRemaining") if found else None

    condition = await scene.until(told)
    assert condition["status"] == "True"
    assert condition["reason"] == "SomeFinalizersRemain"
    assert condition["message"] == (
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    )
    namespace = await scene.get("namespaces", "shop", "")
    remaining = conditions.get(namespace, "NamespaceContentRemaining")
    assert remaining is not None
    assert remaining["message"] == "Some resources are remaining: pods. has 1 resource instances"
    assert await scene.get("configmaps", "settings", "shop") is not None
    await scene.merge("pods", "web", {"metadata": {"finalizers": None}}, "shop")
    await scene.gone("namespaces", "shop", "")
