"""Creating what is there already, and names made by the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.apiserver.verbs import create
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene


def _service(name: str, port: int) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    spec = {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


async def test_a_service_that_exists_already_takes_no_port(scene: Scene) -> None:
    await scene.create(_service("web", 30_080))
    with pytest.raises(StatusError, match="already exists"):
        await scene.create(_service("web", 30_081))
    assert await scene.create(_service("other", 30_081))


async def test_a_generated_name_that_is_taken_is_made_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["web-a", "web-a", "web-a", "web-b"])
    monkeypatch.setattr(create, "generated_name", lambda _prefix: next(names))
    made = []
    for _ in range(2):
        config_map = scene.config_map("", generateName="web-")
        del config_map["metadata"]["name"]
        made.append((await scene.create(config_map))["metadata"]["name"])
    assert made == ["web-a", "web-b"]
