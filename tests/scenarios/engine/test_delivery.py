"""From a commit to a cluster that is as it says, and stays so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.engine.conftest import config_map

if TYPE_CHECKING:
    from tests.scenarios.engine.conftest import Stage


async def test_what_is_committed_is_deployed(stage: Stage) -> None:
    revision = stage.repository.commit({"app/map.yaml": config_map(color="blue")})
    await stage.start()
    await stage.create(stage.application())
    app = await stage.until_app(sync="Synced", health="Healthy", phase="Succeeded", revision=revision)
    made = await stage.get("configmaps", "settings")
    assert made is not None and made["data"] == {"color": "blue"}
    assert [entry["revision"] for entry in app["status"]["history"]] == [revision]
    assert "operation" not in app


async def test_a_new_commit_follows(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(color="blue")})
    await stage.start()
    await stage.create(stage.application())
    await stage.until_app(sync="Synced", phase="Succeeded")
    revision = stage.repository.commit({"app/map.yaml": config_map(color="red")})
    await stage.refresh()
    await stage.until_app(sync="Synced", deployed=revision)
    made = await stage.get("configmaps", "settings")
    assert made is not None and made["data"] == {"color": "red"}


async def test_drift_is_healed(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(color="blue")})
    await stage.start()
    await stage.create(stage.application())
    await stage.until_app(sync="Synced", phase="Succeeded")
    await stage.merge("configmaps", "settings", {"data": {"color": "green"}})

    async def healed() -> bool:
        found = await stage.get("configmaps", "settings")
        return found is not None and found["data"] == {"color": "blue"}

    await stage.until(healed, "the config map is blue again")
    await stage.delete("configmaps", "settings")
    await stage.until(healed, "the config map is there again")


async def test_what_is_removed_is_pruned(stage: Stage) -> None:
    stage.repository.commit({"app/a.yaml": config_map("a"), "app/b.yaml": config_map("b")})
    await stage.start()
    await stage.create(stage.application())
    await stage.until_app(sync="Synced", phase="Succeeded")
    stage.repository.commit({"app/b.yaml": None})
    await stage.refresh()
    await stage.until_gone("configmaps", "b")
    assert await stage.get("configmaps", "a") is not None
    await stage.until_app(sync="Synced", phase="Succeeded")
