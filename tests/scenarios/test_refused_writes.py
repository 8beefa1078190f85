"""When the disk refuses a write, nothing that followed from it stays: no right, no kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.scenarios.conftest import Scene

from seatrial.cluster.apiserver.auth.rules import Attributes
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.server import Cluster, Options
from seatrial.cluster.store.database import Database
from seatrial.cluster.store.errors import StoreFailed, StoreFull
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "rbac.authorization.k8s.io"
SOMEBODY = User("somebody", ("system:authenticated",))


def _may_read_secrets(cluster: Cluster) -> bool:
    asked = Attributes("get", version="v1", resource="secrets", namespace="default", name="s")
    return bool(cluster.core.authorizer.allowed(SOMEBODY, asked))


async def test_rights_and_kinds_go_with_the_writes_that_gave_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Cluster(Options(tmp_path)) as cluster:
        scene = Scene(cluster)
        await scene.quiet()

        def refuse(database: Database, _events: object) -> None:
            raise StoreFull(database.path, "the disk is full", "Free some space")

        monkeypatch.setattr(Database, "write", refuse)
        binding = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "gift"},
            "subjects": [{"kind": "User", "name": "somebody", "apiGroup": GROUP}],
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "cluster-admin"},
        }
        definition = scene.definition("widgets", "Widget")
        answers = await asyncio.gather(scene.create(binding), scene.create(definition), return_exceptions=True)
        assert all(isinstance(answer, StatusError) for answer in answers)
        with pytest.raises(StoreFailed):
            await cluster.wait()
        assert not _may_read_secrets(cluster)
        assert cluster.core.catalog.find("example.com", "v1", "widgets") is None


async def test_a_definition_without_its_names_is_not_served_after_a_restart_either(tmp_path: Path) -> None:
    first = Scene.definition(None, "widgets", "Widget")  # type: ignore[arg-type]
    second = Scene.definition(None, "gadgets", "Widget")  # type: ignore[arg-type]
    for start in range(2):
        async with Cluster(Options(tmp_path)) as cluster:
            scene = Scene(cluster)
            if not start:
                await scene.create(first)
                await scene.create(second)
            assert cluster.core.catalog.find("example.com", "v1", "widgets") is not None
            assert cluster.core.catalog.find("example.com", "v1", "gadgets") is None
