"""The SealedSecret controller on the real API: the Secret is there, stays right, and nobody else's is touched."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.tasks import TaskGroup
from seatrial.kube.control.context import ControlContext
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import objects
from seatrial.unseal import keys, sealedsecret
from seatrial.unseal.controller import SealedSecretController
from seatrial.unseal.definition import definition
from seatrial.unseal.sealedsecret import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object

NAMESPACE = "kube-system"


class Running:
    def __init__(self, scene: Scene, controller: SealedSecretController) -> None:
        self.scene = scene
        self.controller = controller
        self.key = keys.generate(NAMESPACE, 1_700_000_000.0, bits=2048)

    async def seal(self, name: str = "db", value: str = "canary", **metadata: Any) -> Object:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "default", **metadata},
            "stringData": {"password": value},
        }
        certificate = base64.b64decode(self.key["data"]["tls.crt"])
        sealed = sealedsecret.seal(secret, keys.public_key(certificate), Scope.STRICT)
        return await self.scene.create(sealed)

    async def secret(self, value: str, name: str = "db") -> Object:
        async def check() -> Object | None:
            found = await self.scene.get("secrets", name)
            wanted = base64.b64encode(value.encode()).decode()
            return found if found and (found.get("data") or {}).get("password") == wanted else None

        check.__doc__ = f"secret {name} holds {value}"
        return await self.scene.until(check)

    async def condition(self, status: str, name: str = "db") -> Object:
        async def check() -> Object | None:
            found = (await self.scene.get("sealedsecrets", name) or {}).get("status") or {}
            return next((c for c in found.get("conditions") or () if c["status"] == status), None)

        check.__doc__ = f"{name} has Synced={status}"
        return await self.scene.until(check)


@pytest.fixture
async def running(scene: Scene) -> AsyncIterator[Running]:
    await scene.create(definition())
    await scene.established("sealedsecrets.bitnami.com")
    async with TaskGroup() as tasks:
        clock = scene.cluster.clock
        informers = InformerFactory(scene.client, clock, tasks)
        context = ControlContext(scene.client, informers, clock, EventRecorder(scene.client, clock, "test"))
        found = Running(scene, SealedSecretController(context, NAMESPACE))
        await scene.create(found.key)
        informers.start()
        tasks.start("controller", found.controller.run())
        yield found


async def test_a_sealed_secret_becomes_its_secret(running: Running) -> None:
    await running.seal()
    secret = await running.secret("canary")
    await running.condition("True")
    owner = objects.controller_of(secret)
    assert owner is not None and (owner["kind"], owner["name"]) == ("SealedSecret", "db")
    await running.scene.delete("sealedsecrets", "db")
    await running.scene.gone("secrets", "db")


async def test_a_changed_or_deleted_secret_is_made_right_again(running: Running) -> None:
    await running.seal()
    await running.secret("canary")
    await running.scene.merge("secrets", "db", {"data": {"password": "eA==", "more": "eA=="}})
    assert (await running.secret("canary"))["data"].keys() == {"password"}
    await running.scene.delete("secrets", "db")
    await running.secret("canary")


async def test_somebody_else_s_secret_is_left_alone_until_it_is_handed_over(running: Running) -> None:
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "default"}}
    await running.scene.create({**other, "stringData": {"password": "theirs"}})
    await running.seal()
    problem = await running.condition("False")
    assert problem["message"] == 'Resource "db" already exists and is not managed by SealedSecret'
    assert (await running.secret("theirs"))["metadata"].get("ownerReferences") is None
    await running.scene.merge("secrets", "db", {"metadata": {"annotations": {sealedsecret.MANAGED: "true"}}})
    await running.scene.merge("sealedsecrets", "db", {"metadata": {"annotations": {"touch": "1"}}})
    await running.secret("canary")


async def test_a_patched_secret_keeps_its_other_entries(running: Running) -> None:
    metadata = {"name": "db", "namespace": "default", "annotations": {sealedsecret.PATCH: "true"}}
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"mine": "kept"}}
    await running.scene.create(other)
    await running.seal()
    secret = await running.secret("canary")
    assert base64.b64decode(secret["data"]["mine"]) == b"kept" and not objects.owner_references(secret)


async def test_what_another_cluster_sealed_says_so_and_opens_when_its_key_arrives(running: Running) -> None:
    ours, running.key = running.key, keys.generate(NAMESPACE, 1_600_000_000.0, bits=2048)
    await running.seal()
    problem = await running.condition("False")
    assert problem["message"] == "no key could decrypt secret: password"
    assert await running.scene.get("secrets", "db") is None
    await running.scene.create(running.key)
    await running.secret("canary")
    assert ours is not running.key


async def test_the_first_start_makes_a_key_and_rotation_another(scene: Scene) -> None:
    await scene.create(definition())
    await scene.established("sealedsecrets.bitnami.com")

    async def count() -> int:
        return len(await scene.list("secrets", NAMESPACE, selector=keys.LABEL))

    async with TaskGroup() as tasks:
        clock = scene.cluster.clock
        informers = InformerFactory(scene.client, clock, tasks)
        context = ControlContext(scene.client, informers, clock, EventRecorder(scene.client, clock, "test"))
        controller = SealedSecretController(context, NAMESPACE)
        informers.start()
        tasks.start("controller", controller.run())
        await scene.until(count, seconds=30)
        await controller.rotate()
        await asyncio.sleep(0)
    found = [keys.parse(item) for item in await scene.list("secrets", NAMESPACE, selector=keys.LABEL)]
    assert len(found) == 2 and all(item.seals and item.private.key_size == 4096 for item in found)
