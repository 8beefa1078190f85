"""False positives: what was just applied is Synced, also after a restart; a change shows as itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.gitops.api.application import Application
from seatrial.gitops.diff.compare import Comparer
from seatrial.gitops.diff.rules import Rules, scaled_by
from seatrial.gitops.diff.targets import track
from seatrial.gitops.diff.text import text_diff
from seatrial.gitops.sync import clientside
from seatrial.kube.client.client import PatchType
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.client.transport import TransportError
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


class Silent(Counting):
    async def send(self, request: Any) -> Any:
        self.sent += 1
        raise TransportError("no answer")


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

    async def create(self, target: Object) -> Object:
        """As client-side apply does."""
        resource = await self.mapper.for_kind(target["apiVersion"], target["kind"])
        return await self.client.create(resource, clientside.with_last_applied(target))

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
        await (bench.create(target) if case.get("client-side") else bench.apply(target))
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


async def test_unchanged_objects_cost_no_call_and_status_changes_cost_none_either(bench: Bench) -> None:
    _, manifests = read(Path(__file__).with_name("corpus") / "probes.yaml")
    (target,) = await bench.targets(manifests)
    comparer = bench.comparer()
    comparer.remember(target, await bench.apply(target))
    live = await bench.live(target)
    churned = objects.clone(live)
    churned["metadata"]["resourceVersion"] = "999999"
    churned["status"] = {"replicas": 7}
    counting = Counting(bench.client)
    for seen in (live, churned, live):
        difference = await comparer.compare(target, seen, bench.rules)
        assert (difference.state, difference.cached) == ("Synced", True)
    assert counting.sent == 0


async def test_after_a_restart_what_is_as_applied_costs_no_call(bench: Bench) -> None:
    for name in ("roles", "network", "texts", "jobs"):
        _, manifests = read(Path(__file__).with_name("corpus") / f"{name}.yaml")
        target = (await bench.targets(manifests))[-1 if name == "jobs" else 0]
        live = await bench.apply(target)
        counting = Counting(bench.client)
        difference = await bench.comparer().compare(target, live, bench.rules)
        assert (name, difference.state, counting.sent) == (name, "Synced", 0)


async def test_a_field_dropped_from_git_is_a_difference(bench: Bench) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}
    (target,) = await bench.targets([manifest])
    live = await bench.apply(target)
    (changed,) = await bench.targets([{**manifest, "data": {"x": "1"}}])
    difference = await bench.comparer().compare(changed, live, bench.rules)
    assert difference.state == "OutOfSync"
    assert "\n-  y: '2'\n" in text_diff([difference])


async def test_a_field_dropped_since_client_side_apply_is_a_difference_and_its_neighbours_are_not(bench: Bench) -> None:
    container = {"name": "web", "image": "example.com/web:1", "env": [{"name": "A", "value": "1"}, {"name": "B"}]}
    manifest: Any = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "old", "labels": {"keep": "1", "drop": "1"}},
        "spec": {
            "selector": {"matchLabels": {"app": "old"}},
            "template": {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [container]}},
        },
    }
    (target,) = await bench.targets([manifest])
    resource = await bench.mapper.for_kind("apps/v1", "Deployment")
    old_client = type(bench.client)(bench.client.transport, field_manager="kubectl-client-side-apply")
    live = await old_client.create(resource, clientside.with_last_applied(target))
    assert (await bench.comparer().compare(target, live, bench.rules)).state == "Synced"

    changed = objects.clone(target)
    del changed["metadata"]["labels"]["drop"]
    del changed["spec"]["template"]["spec"]["containers"][0]["env"][0]
    shown = text_diff([await bench.comparer().compare(changed, live, bench.rules)])
    lines = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert [line.strip() for line in lines] == ["-    drop: '1'", "-        - name: A", "-          value: '1'"]


async def test_drift_of_a_field_that_was_equal_before_git_had_it_is_seen(bench: Bench) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    (target,) = await bench.targets([manifest])
    await bench.apply(target)
    resource = await bench.mapper.for_kind("v1", "ConfigMap")

    async def edit(value: str) -> Object:
        return await bench.client.patch(resource, "a", {"data": {"y": value}}, "default", type=PatchType.MERGE)

    (wider,) = await bench.targets([{**manifest, "data": {"x": "1", "y": "2"}}])
    comparer = bench.comparer()
    assert (await comparer.compare(wider, await edit("2"), bench.rules)).state == "Synced"
    assert (await comparer.compare(wider, await edit("3"), bench.rules)).state == "OutOfSync"


async def test_what_the_server_refuses_is_unknown_with_its_cause(bench: Bench) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Y2FuYXJ5"}}
    (target,) = await bench.targets([manifest])
    live = await bench.apply(target)
    broken = {**target, "data": {"a": "canary, not base64"}}
    difference = await bench.comparer().compare(broken, live, bench.rules)
    assert (difference.state, difference.retryable) == ("Unknown", False)
    assert "Secret default/s" in difference.message
    assert "canary" not in difference.message


async def test_a_kind_that_is_not_served_is_unknown(bench: Bench) -> None:
    manifest = {"apiVersion": "no.example.com/v1", "kind": "No", "metadata": {"name": "s", "uid": "1"}}
    difference = await bench.comparer().compare(manifest, manifest, bench.rules)
    assert (difference.state, difference.retryable) == ("Unknown", True)
    assert "no.example.com/v1" in difference.message


async def test_a_server_that_does_not_answer_is_asked_again_and_then_unknown(bench: Bench) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    (target,) = await bench.targets([manifest])
    live = await bench.apply(target)
    await bench.mapper.resources()
    silent = Silent(bench.client)
    clock = ManualClock()
    comparer = Comparer(bench.client, bench.mapper, clock)
    asked = asyncio.ensure_future(comparer.compare({**target, "data": {"x": "2"}}, live, bench.rules))
    await clock.advance(10)
    difference = await asked
    assert (difference.state, difference.retryable, silent.sent) == ("Unknown", True, 3)


async def test_replicas_under_an_autoscaler_and_ignored_fields_are_no_difference(bench: Bench) -> None:
    _, manifests = read(Path(__file__).with_name("corpus") / "quantities.yaml")
    (target,) = await bench.targets(manifests)
    await bench.apply(target)
    resource = await bench.mapper.for_kind("apps/v1", "Deployment")
    live = await bench.client.patch(
        resource, objects.name(target), {"spec": {"replicas": 5}}, "default", type=PatchType.MERGE
    )
    hpa = {
        "metadata": {"name": "h", "namespace": "default"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": objects.name(target)}},
    }
    by_pointer = [{"group": "apps", "kind": "*", "jsonPointers": ["/spec/replicas", "/spec/not/there"]}]
    by_manager = [{"group": "*", "kind": "Deployment", "managedFieldsManagers": [bench.client.field_manager]}]
    elsewhere = [{"group": "apps", "kind": "Deployment", "name": "other", "jsonPointers": ["/spec/replicas"]}]
    expected = (
        (Rules.of(), "OutOfSync"),
        (Rules.of(scaled=scaled_by([hpa])), "Synced"),
        (Rules.of(by_pointer), "Synced"),
        (Rules.of(by_manager), "Synced"),
        (Rules.of(elsewhere), "OutOfSync"),
    )
    comparer = bench.comparer()
    for rules, state in expected:
        assert (await comparer.compare(target, live, rules)).state == state
