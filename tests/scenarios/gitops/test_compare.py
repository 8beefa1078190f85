"""False positives: what was just applied is Synced with an empty diff, also after a restart; a change shows as itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seatrial.base.clock import SystemClock
from seatrial.gitops.api.application import Application
from seatrial.gitops.diff.compare import Comparer
from seatrial.gitops.diff.rules import Rules
from seatrial.gitops.diff.targets import track
from seatrial.gitops.diff.text import text_diff
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.model import objects
from seatrial.kube.model.patch import json_patch

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

CORPUS = sorted(Path(__file__).with_name("corpus").glob("*.yaml"))
MANAGER = "argocd-controller"
APPLICATION = Application(
    {"metadata": {"name": "corpus", "namespace": "argocd"}, "spec": {"destination": {"namespace": "default"}}}
)


class Counting:
    """A client's transport that counts what is sent."""

    def __init__(self, client: Client) -> None:
        self._transport = client.transport
        self.sent = 0
        client.transport = self

    async def send(self, request: Any) -> Any:
        self.sent += 1
        return await self._transport.send(request)

    def watch(self, request: Any) -> Any:
        return self._transport.watch(request)

    async def close(self) -> None:
        await self._transport.close()


class Bench:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.mapper = RESTMapper(client)
        self.rules = Rules.of()

    def comparer(self) -> Comparer:
        return Comparer(self.client, self.mapper, SystemClock())

    async def targets(self, manifests: list[Object]) -> tuple[Object, ...]:
        scopes = {(item.api_version, item.kind): item.namespaced for item in await self.mapper.resources()}
        return track(manifests, APPLICATION, lambda version, kind: scopes.get((version, kind))).objects

    async def apply(self, target: Object) -> Object:
        resource = await self.mapper.for_kind(target["apiVersion"], target["kind"])
        return await self.client.apply(resource, target, force=True, field_manager=MANAGER)

    async def live(self, target: Object) -> Object:
        resource = await self.mapper.for_kind(target["apiVersion"], target["kind"])
        return await self.client.get(resource, objects.name(target), objects.namespace(target))


@pytest.fixture
def bench(scene: Any) -> Bench:
    return Bench(scene.client)


def read(path: Path) -> tuple[dict[str, Any], list[Object]]:
    case, *manifests = yaml.safe_load_all(path.read_text())
    return case, manifests


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
async def test_what_was_applied_is_synced_and_a_change_shows_as_itself(path: Path, bench: Bench) -> None:
    case, manifests = read(path)
    targets = await bench.targets(manifests)
    for target in targets:
        await bench.apply(target)
    for comparer in (bench.comparer(), bench.comparer()):
        for target in targets:
            difference = await comparer.compare(target, await bench.live(target), bench.rules)
            assert (difference.state, difference.message, text_diff([difference])) == ("Synced", "", "")

    kind, name, pointer, value = case["change"]
    manifest = next(item for item in manifests if (item["kind"], objects.name(item)) == (kind, name))
    (changed,) = await bench.targets([json_patch.apply(manifest, [{"op": "add", "path": pointer, "value": value}])])
    difference = await bench.comparer().compare(changed, await bench.live(changed), bench.rules)
    shown = text_diff([difference])
    assert difference.state == "OutOfSync"
    lines = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert any(case["shows"] in line for line in lines), shown
    assert 1 <= len(lines) <= 3, shown
    assert "canary" not in shown
