"""What is taken for Synced without asking is what a dry run says: manifests and drifts at random."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from seatrial.cluster.server import Cluster, Options
from seatrial.gitops.diff.compare import is_applied, predict
from seatrial.gitops.diff.normalise import normalise_pair
from seatrial.gitops.diff.rules import NOTHING
from seatrial.kube.client.client import Client, PatchType
from seatrial.kube.model import resources

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.kube.model.objects import Object

MANAGER = "argocd-controller"
DEPLOYMENTS = resources.for_kind("apps/v1", "Deployment")

texts = some.sampled_from(["", "a", "b"])
env = some.lists(
    some.fixed_dictionaries({"name": some.sampled_from("XYZ")}, optional={"value": texts}),
    max_size=3,
    unique_by=lambda item: item["name"],
)
ports = some.lists(
    some.fixed_dictionaries(
        {"containerPort": some.sampled_from([80, 81])}, optional={"protocol": some.sampled_from(["TCP", "UDP"])}
    ),
    max_size=2,
    unique_by=lambda item: (item["containerPort"], item.get("protocol", "TCP")),
)
containers = some.fixed_dictionaries(
    {"name": some.just("web"), "image": some.sampled_from(["a", "b"])},
    optional={
        "env": env,
        "ports": ports,
        "args": some.lists(texts, max_size=2),
        "securityContext": some.sampled_from([{}, {"runAsUser": 0}, {"privileged": False}]),
        "resources": some.sampled_from([{}, {"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}]),
        "stdin": some.booleans(),
    },
)
labels = some.dictionaries(some.sampled_from(["l", "m"]), texts, max_size=2)
specs = some.fixed_dictionaries(
    {"container": containers, "labels": labels},
    optional={"replicas": some.integers(0, 2), "paused": some.booleans(), "minReadySeconds": some.sampled_from([0, 5])},
)


def manifest(spec: dict[str, Any]) -> Object:
    fields = {key: value for key, value in spec.items() if key not in ("container", "labels")}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [spec["container"]]}}
    metadata: Object = {"name": "a", "namespace": "default", "labels": spec["labels"]}
    body = {"selector": {"matchLabels": {"app": "a"}}, "template": template, **fields}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


def test_what_is_recognised_a_dry_run_leaves_alone(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    recognised: list[bool] = []

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(first=specs, drift=some.none() | specs, desired=specs, same=some.booleans())
    def check(first: dict[str, Any], drift: dict[str, Any] | None, desired: dict[str, Any], same: bool) -> None:
        wanted = manifest(first if same else desired)
        loop.run_until_complete(one(manifest(first), drift and manifest(drift), wanted))

    async def one(first: Object, drift: Object | None, wanted: Object) -> None:
        await client.apply(DEPLOYMENTS, first, force=True, field_manager=MANAGER)
        if drift is not None:
            await client.patch(DEPLOYMENTS, "a", drift, "default", type=PatchType.STRATEGIC, field_manager="else")
        live = await client.get(DEPLOYMENTS, "a", "default")
        answer = await client.apply(DEPLOYMENTS, wanted, force=True, dry_run=True, field_manager=MANAGER)
        alike = is_applied(wanted, live)
        recognised.append(alike)
        shown = normalise_pair(live, predict(wanted, live, answer), NOTHING)
        whole = normalise_pair(live, answer, NOTHING)
        if alike:
            assert shown[0] == shown[1]
            assert whole[0] == whole[1]
        # What an apply changes shows, and what shows it changes (there are no webhooks here).
        assert (shown[0] == shown[1]) == (whole[0] == whole[1])
        await client.delete(DEPLOYMENTS, "a", "default", propagation="Background")

    async def start() -> tuple[Cluster, Client]:
        cluster = Cluster(Options(tmp_path, in_memory=True))
        await cluster.__aenter__()
        return cluster, cluster.client("tester")

    cluster, client = loop.run_until_complete(start())
    try:
        check()
    finally:
        loop.run_until_complete(cluster.__aexit__(None, None, None))
        loop.close()
    assert any(recognised)
    assert not all(recognised)
