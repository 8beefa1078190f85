"""What the engine asks of the API server: for a sync, for drift, for a commit of somebody else's, and for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scenarios.engine.conftest import LIVE, config_map

if TYPE_CHECKING:
    from tests.scenarios.engine.conftest import Stage

pytestmark = pytest.mark.skipif(bool(LIVE), reason="counts calls of a cluster that is its own")

MANY = 10


def asked(stage: Stage) -> list[str]:
    """The calls since the last question, but for events and the sealing key that a first start makes."""
    found = [f"{method} {path}" for method, path in stage.calls if not path.endswith(("/events", "system/secrets"))]
    stage.calls.clear()
    return found


async def test_the_sync_of_one_config_map_is_four_calls_at_most(stage: Stage) -> None:
    """One dry run to compare, one apply, and the status twice; the engine knows the kind from another Application."""
    stage.repository.commit({"app/map.yaml": config_map(k="v"), "other/map.yaml": config_map("other", k="v")})
    await stage.start()
    await stage.create(stage.application("other", path="other"))
    await stage.until_app("other", sync="Synced", phase="Succeeded")
    await stage.quiet()
    asked(stage)
    await stage.create(stage.application())
    await stage.until_app(sync="Synced", phase="Succeeded", health="Healthy")
    await stage.quiet()
    calls = asked(stage)
    assert len(calls) <= 4, calls


async def test_drift_is_made_right_by_few_calls(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")})
    await stage.quiet()
    asked(stage)
    await stage.merge("configmaps", "settings", {"data": {"k": "x"}})
    await stage.until_data("settings", {"k": "v"})
    await stage.until_app(sync="Synced", phase="Succeeded")
    await stage.quiet()
    calls = asked(stage)
    assert len(calls) <= 5, calls
    assert not any(call.startswith("GET") for call in calls), calls


async def test_a_commit_makes_calls_for_the_application_it_touches_alone(stage: Stage) -> None:
    files = {f"app{n}/map.yaml": config_map(f"map{n}", k="v") for n in range(MANY)}
    stage.repository.commit(files)
    await stage.start()
    for n in range(MANY):
        await stage.create(stage.application(f"shop{n}", path=f"app{n}"))
    for n in range(MANY):
        await stage.until_app(f"shop{n}", sync="Synced", phase="Succeeded")
    await stage.quiet()
    asked(stage)
    stage.repository.commit({"app3/map.yaml": config_map("map3", k="w")})
    await stage.refresh(name="shop3")
    await stage.until_data("map3", {"k": "w"})
    await stage.until_app("shop3", sync="Synced", phase="Succeeded")
    await stage.quiet()
    calls = asked(stage)
    assert all(call.rpartition("/")[2].startswith(("shop3", "map3")) for call in calls), calls
    assert len(calls) <= 5, calls


async def test_nothing_is_asked_while_nothing_happens(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")}, auto={"prune": True, "selfHeal": True})
    await stage.quiet()
    asked(stage)
    await stage.quiet(3)
    assert asked(stage) == []
