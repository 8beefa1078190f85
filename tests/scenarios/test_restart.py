"""A cluster that stops and starts again on the same data is the same cluster."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.scenarios.conftest import Scene

from seatrial.cluster.server import Cluster, Options
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


KINDS = (
    "namespaces",
    "pods",
    "deployments",
    "replicasets",
    "services",
    "endpointslices",
    "endpoints",
    "serviceaccounts",
    "configmaps",
    "clusterroles",
    "clusterrolebindings",
    "roles",
    "rolebindings",
    "priorityclasses",
    "customresourcedefinitions",
    "widgets",
)


@asynccontextmanager
async def running(directory: Path, port: int = 0) -> AsyncIterator[Scene]:
    async with Cluster(Options(directory, port=port)) as cluster:
        yield Scene(cluster)


async def everything(scene: Scene) -> dict[str, str]:
    """The version of each object but the node and its lease."""
    found = {}
    for kind in KINDS:
        for obj in await scene.list(kind, ""):
            name = f"{kind}/{objects.namespace(obj)}/{objects.name(obj)}"
            found[name] = obj["metadata"]["resourceVersion"]
    return found


async def populated(scene: Scene) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "i"}]}}
    meta = {"name": "web", "namespace": "default"}
    await scene.create(scene.definition("widgets", "Widget"))
    await scene.create({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": meta, "spec": {"size": 1}})
    await scene.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    service = {"type": "NodePort", "selector": labels, "ports": [{"port": 80}]}
    await scene.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service})

    async def ready() -> bool:
        """all three pods are ready"""
        found = await scene.list("pods")
        return len(found) == 3 and all(conditions.is_true(pod, "Ready") for pod in found)

    await scene.until(ready)
    await scene.quiet()


async def test_a_second_start_changes_nothing_but_the_node_and_its_lease(tmp_path: Path) -> None:
    async with running(tmp_path) as scene:
        await populated(scene)
        before, port = await everything(scene), scene.cluster.port
        addresses = {objects.name(pod): pod["status"]["podIP"] for pod in await scene.list("pods")}
        revision = await scene.quiet()
    async with running(tmp_path, port) as scene:
        await scene.quiet()
        assert await everything(scene) == before
        assert {objects.name(pod): pod["status"]["podIP"] for pod in await scene.list("pods")} == addresses
        assert scene.cluster.store.revision <= revision + 2, "the Node's heartbeat and its lease, and no more"


async def test_new_pods_and_services_get_what_no_old_one_has(tmp_path: Path) -> None:
    async with running(tmp_path) as scene:
        await populated(scene)
    async with running(tmp_path) as scene:
        await scene.create(scene.pod("late"))
        late = await scene.ready("late")
        pods = [pod["status"]["podIP"] for pod in await scene.list("pods")]
        assert len(set(pods)) == 4
        assert late["status"]["podIP"] in pods
        meta = {"name": "late", "namespace": "default"}
        spec = {"type": "NodePort", "ports": [{"port": 80}]}
        await scene.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
        services = await scene.list("services", "")
        assert len({found["spec"]["clusterIP"] for found in services}) == len(services)
        ports = [port["nodePort"] for found in services for port in found["spec"]["ports"] if "nodePort" in port]
        assert len(set(ports)) == len(ports) == 2


async def test_another_port_is_published(tmp_path: Path) -> None:
    async with running(tmp_path) as scene:
        before = scene.cluster.port
    async with running(tmp_path) as scene:
        endpoints = await scene.get("endpoints", "kubernetes")
        slices = await scene.get("endpointslices", "kubernetes")
        assert endpoints is not None and slices is not None
        ports = {endpoints["subsets"][0]["ports"][0]["port"], slices["ports"][0]["port"]}
        assert ports == {scene.cluster.port}
        assert scene.cluster.port != before


async def test_what_was_on_its_way_goes_on(tmp_path: Path) -> None:
    """A pod bound and a deletion begun before the stop come to their end after the start."""
    async with Cluster(Options(tmp_path, pod_start_seconds=60.0)) as cluster:
        scene = Scene(cluster)
        await scene.create(scene.pod("slow"))
        await scene.create(scene.config_map("held", finalizers=["example.com/hold"]))
        await scene.delete("configmaps", "held")

        async def bound() -> bool:
            found = await scene.get("pods", "slow") or {}
            return bool(found.get("spec", {}).get("nodeName"))

        await scene.until(bound)
    async with running(tmp_path) as scene:
        await scene.ready("slow")
        await scene.merge("configmaps", "held", {"metadata": {"finalizers": None}})
        await scene.gone("configmaps", "held")


async def test_a_settled_cluster_writes_nothing(scene: Scene) -> None:
    await populated(scene)
    revision = await scene.quiet()
    assert await scene.quiet() == revision
