"""Recorded manifests: kept in the cluster, whole or not at all, without the values of Secrets in clear."""

from __future__ import annotations

import base64
import gzip
import secrets
from typing import TYPE_CHECKING

import pytest
from tests.scenarios.gitops.driving import config_map

from seatrial.gitops.api.application import Application
from seatrial.gitops.api.resources import APPLICATIONS, install
from seatrial.gitops.history.records import PART_BYTES, Damaged, Recorded, Records, Seal
from seatrial.kube.model import objects
from seatrial.kube.model.objects import Ref

if TYPE_CHECKING:
    from tests.scenarios.gitops.driving import Driver

    from seatrial.kube.model.objects import Object

CANARY = "canary-4711"
SEAL = Seal(lambda plain, _label: plain[::-1], lambda sealed, _label: sealed[::-1])


def secret() -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": CANARY}}


async def stored(driver: Driver) -> list[Object]:
    found = await driver.client.list(await driver.live.mapper.for_name("secrets"), "default")
    return [obj for obj in found.items if obj["type"] == "seatrial.dev/manifests"]


class Recorder:
    """Records of one Application that is really there: without it they would be collected as garbage."""

    def __init__(self, records: Records, app: Application) -> None:
        self.records = records
        self.app = app

    async def record(self, id: int, *manifests: Object) -> None:
        await self.records.record(self.app, id, manifests)

    async def read(self, id: int) -> Recorded | None:
        return await self.records.read(self.app, id)

    def limited(self, limit: int) -> Recorder:
        changed = {**self.app.object, "spec": {**self.app.object["spec"], "revisionHistoryLimit": limit}}
        return Recorder(self.records, Application(changed))

    def sealed(self, driver: Driver) -> Recorder:
        return Recorder(Records(driver.client, SEAL), self.app)


@pytest.fixture
async def recorder(driver: Driver) -> Recorder:
    await install(driver.client)
    spec = {"project": "default", "source": {"repoURL": "https://example.com/r.git"}, "destination": {}}
    metadata = {"name": "app", "namespace": "default"}
    app = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}
    return Recorder(Records(driver.client), Application(await driver.client.create(APPLICATIONS, app)))


async def test_what_was_recorded_is_read_again(recorder: Recorder) -> None:
    manifests = [config_map("a"), config_map("b")]
    await recorder.record(3, *manifests)
    found = await recorder.read(3)
    assert found is not None
    assert list(found.manifests) == manifests
    assert await recorder.read(2) is None


async def test_large_records_are_split(driver: Driver, recorder: Recorder) -> None:
    noise = [config_map(f"a{number}", data={"key": secrets.token_hex(700_000)}) for number in range(2)]
    await recorder.record(0, *noise)
    assert len(await stored(driver)) > 1
    assert all(len(base64.b64decode(obj["data"]["manifests"])) <= PART_BYTES for obj in await stored(driver))
    found = await recorder.read(0)
    assert found is not None
    assert list(found.manifests) == noise


async def test_entries_reuse_the_names_of_those_that_fell_off(driver: Driver, recorder: Recorder) -> None:
    recorder = recorder.limited(2)
    for id in range(5):
        await recorder.record(id, config_map(f"a{id}"))
    assert len(await stored(driver)) == 2
    assert await recorder.read(2) is None
    found = await recorder.read(4)
    assert found is not None
    assert objects.name(found.manifests[0]) == "a4"


async def test_values_of_secrets_are_left_out_without_a_key(driver: Driver, recorder: Recorder) -> None:
    await recorder.record(0, config_map("a"), secret())
    found = await recorder.read(0)
    assert found is not None
    assert found.omitted == (Ref("", "Secret", "", "s"),)
    (kept,) = await stored(driver)
    assert CANARY.encode() not in gzip.decompress(base64.b64decode(kept["data"]["manifests"]))


async def test_values_of_secrets_are_sealed_with_one(driver: Driver, recorder: Recorder) -> None:
    sealing = recorder.sealed(driver)
    await sealing.record(0, config_map("a"), secret())
    (kept,) = await stored(driver)
    assert CANARY.encode() not in gzip.decompress(base64.b64decode(kept["data"]["manifests"]))
    found = await sealing.read(0)
    assert found is not None
    assert secret() in found.manifests
    without_key = await recorder.read(0)
    assert without_key is not None
    assert without_key.omitted == (Ref("", "Secret", "", "s"),)  # to be rendered again


async def test_a_changed_record_is_refused(driver: Driver, recorder: Recorder) -> None:
    await recorder.record(0, config_map("a"))
    (kept,) = await stored(driver)
    await driver.merge_only("secrets", objects.name(kept), {"data": {"manifests": base64.b64encode(b"x").decode()}})
    with pytest.raises(Damaged, match="were changed"):
        await recorder.read(0)


async def test_a_lowered_limit_is_tidied(driver: Driver, recorder: Recorder) -> None:
    for id in range(3):
        await recorder.record(id, config_map("a"))
    await recorder.records.tidy(recorder.app, [2])
    assert [objects.annotations(obj)["seatrial.dev/history-id"] for obj in await stored(driver)] == ["2"]
