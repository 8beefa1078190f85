"""The definitions: accepted by an API server, strict about what they do not know, content with what Argo CD takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seatrial.cluster.server import Cluster, Options
from seatrial.gitops.api import resources
from seatrial.gitops.api.application import Application
from seatrial.gitops.api.clusters import Clusters
from seatrial.gitops.api.project import Project
from seatrial.gitops.api.resources import APPLICATIONS, PROJECTS
from seatrial.gitops.api.validate import problems
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import resources as kinds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.kube.client.client import Client

MANIFESTS = Path(__file__).parent / "manifests"
FILES = sorted(MANIFESTS.glob("*.yaml"))
DEFINITIONS = kinds.for_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Cluster(Options(tmp_path, in_memory=True)) as cluster:
        made = cluster.client("tester")
        await resources.bootstrap(made)
        yield made


async def strictly(client: Client, obj: dict[str, Any]) -> dict[str, Any]:
    kind = APPLICATIONS if obj["kind"] == "Application" else PROJECTS
    answer = await client.raw(
        "POST", kind.path("argocd"), query=[("fieldValidation", "Strict")],
        headers={"content-type": "application/json"}, body=obj,
    )  # fmt: skip
    assert answer.status == 201
    return await client.get(kind, obj["metadata"]["name"], "argocd")


async def test_real_world_manifests_are_taken_unchanged(client: Client) -> None:
    assert len(FILES) >= 12
    for path in FILES:
        obj = loaded(path)
        stored = await strictly(client, obj)
        assert stored["spec"] == obj["spec"], path.name


async def test_bootstrap_again_writes_nothing(client: Client) -> None:
    async def versions() -> list[str]:
        found = [await client.get(DEFINITIONS, made["metadata"]["name"]) for made in resources.definitions()]
        found.append(await client.get(PROJECTS, "default", "argocd"))
        return [obj["metadata"]["resourceVersion"] for obj in found]

    before = await versions()
    await resources.bootstrap(client)
    assert await versions() == before


async def test_bootstrap_leaves_a_changed_default_project_alone(client: Client) -> None:
    patch = {"spec": {"description": "ours"}}
    await client.patch(PROJECTS, "default", patch, "argocd", type=PatchType.MERGE)
    await resources.bootstrap(client)
    assert (await client.get(PROJECTS, "default", "argocd"))["spec"]["description"] == "ours"


async def test_status_is_written_with_the_object(client: Client) -> None:
    await strictly(client, loaded(MANIFESTS / "guestbook.yaml"))
    patch = {"status": {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}, "operation": {"sync": {}}}
    await client.patch(APPLICATIONS, "guestbook", patch, "argocd", type=PatchType.MERGE)
    found = await client.get(APPLICATIONS, "guestbook", "argocd")
    assert found["status"]["sync"]["status"] == "Synced"
    assert found["operation"] == {"sync": {}}


def test_definitions_carry_no_prose() -> None:
    def described(schema: Any) -> bool:
        if isinstance(schema, list):
            return any(described(item) for item in schema)
        if not isinstance(schema, dict):
            return False
        return isinstance(schema.get("description"), str) or any(described(value) for value in schema.values())

    assert not any(described(made["spec"]["versions"]) for made in resources.definitions())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_real_world_manifests_are_valid(path: Path) -> None:
    obj = loaded(path)
    if obj["kind"] != "Application":
        return
    application = Application(obj)
    project = Project({**resources.default_project(), "metadata": {"name": application.project}})
    remote = {
        "metadata": {"name": "c", "labels": {"argocd.argoproj.io/secret-type": "cluster"}},
        "stringData": {"name": "staging-eu", "server": "https://203.0.113.7:6443"},
    }
    assert problems(application, project, Clusters.of([remote]), control_namespace="argocd") == ()
