"""Aggregated ClusterRoles follow the roles they gather."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import clusterroleaggregation
from seatrial.kube.model import resources

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

ROLES = resources.for_plural("clusterroles", "rbac.authorization.k8s.io")
GROUP = "rbac.authorization.k8s.io"


def role(name: str, *plurals: str, labels: dict[str, str] | None = None, gathers: str = "") -> dict[str, Any]:
    rules = [{"apiGroups": ["example.com"], "resources": [plural], "verbs": ["get"]} for plural in plurals]
    made: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels or {}},
        "rules": rules,
    }
    if gathers:
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {gathers: "true"}}]}
    return made


async def gathered(world: World, name: str) -> list[str]:
    found = await world.client.get(ROLES, name)
    return [resource for rule in found.get("rules") or () for resource in rule["resources"]]


async def test_a_role_gathers_what_it_selects_through_other_gatherers_too(world: World) -> None:
    await world.start(clusterroleaggregation.build)
    await world.create(role("top", gathers="to-top"))
    await world.create(role("middle", gathers="to-middle", labels={"to-top": "true"}))
    await world.create(role("leaf", "ships", labels={"to-middle": "true"}))
    await world.settle()
    assert await gathered(world, "middle") == ["ships"]
    assert await gathered(world, "top") == ["ships"]


async def test_what_is_no_longer_selected_is_lost(world: World) -> None:
    await world.start(clusterroleaggregation.build)
    await world.create(role("top", gathers="to-top"))
    await world.create(role("leaf", "ships", labels={"to-top": "true"}))
    await world.settle()
    await world.client.delete(ROLES, "leaf")
    await world.settle()
    assert await gathered(world, "top") == []
