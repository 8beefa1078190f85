"""The data of deleted volumes."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.controllers.persistentvolume import names, standard
from seatrial.cluster.node.volumes import claims, reclaimer
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cluster.controllers.conftest import World

PV = resources.for_plural("persistentvolumes")


def volume(identity: str, policy: str = "Delete", *, ours: bool = True, **metadata: Any) -> dict[str, Any]:
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/etc"},
        "persistentVolumeReclaimPolicy": policy,
    }
    provisioner = claims.PROVISIONER if ours else "example.com/disks"
    given = {"name": f"pvc-{identity}", "annotations": {claims.PROVISIONED_BY: provisioner}, **metadata}
    given.setdefault("finalizers", [reclaimer.FINALIZER])
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": given, "spec": spec}


async def gone(world: World, name: str) -> bool:
    try:
        await world.client.get(PV, name)
    except StatusError:
        return True
    return False


async def delete(world: World, directory: Path, made: dict[str, Any]) -> None:
    await world.start(lambda context: reclaimer.build(context.client, context.informers, context.clock, directory))
    await world.create(made)
    await world.client.delete(PV, made["metadata"]["name"])


async def reclaim(world: World, directory: Path, made: dict[str, Any]) -> None:
    """Return when the deleted volume is gone."""
    await delete(world, directory, made)
    async with asyncio.timeout(5):
        while not await gone(world, made["metadata"]["name"]):
            await asyncio.sleep(0.001)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "volumes" / str(uuid.uuid4())
    (made / "d").mkdir(parents=True)
    (made / "d" / "file").write_text("x")
    (tmp_path / "outside").write_text("x")
    (made / "link").symlink_to(tmp_path / "outside")
    return made


async def test_data_goes_before_its_volume(world: World, data: Path) -> None:
    await reclaim(world, data.parent, volume(data.name))
    assert not data.exists()
    assert (data.parent.parent / "outside").exists()


async def test_data_that_is_to_be_retained_stays(world: World, data: Path) -> None:
    await reclaim(world, data.parent, volume(data.name, "Retain"))
    assert data.exists()


async def test_data_is_not_removed_for_a_volume_of_somebody_else(world: World, data: Path) -> None:
    await reclaim(world, data.parent, volume(data.name, ours=False))
    assert data.exists()


async def test_nothing_happens_while_a_claim_has_the_volume(world: World, data: Path) -> None:
    kept = [names.VOLUME_PROTECTION, reclaimer.FINALIZER]
    await delete(world, data.parent, volume(data.name, finalizers=kept))
    await world.settle()
    assert not await gone(world, f"pvc-{data.name}")
    assert data.exists()


@pytest.mark.parametrize("name", ["pvc-..", "pvc-" + "../" * 12, "data", "pvc-" + "x" * 36])
def test_only_directories_of_claims_are_ours(name: str, tmp_path: Path) -> None:
    given = volume("x")
    given["metadata"]["name"] = name
    assert claims.directory_of(given, tmp_path) is None


def test_the_controllers_and_the_node_mean_the_same() -> None:
    assert (names.DATA, names.VOLUME_PROTECTION) == (reclaimer.FINALIZER, "kubernetes.io/pv-protection")
    assert (standard.PROVISIONER, names.PROVISIONED_BY) == (claims.PROVISIONER, claims.PROVISIONED_BY)
