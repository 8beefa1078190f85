"""Rules 10 and 13 of the sync pipeline: what is pruned, in which order, and what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.gitops.driving import annotated, config_map

from seatrial.gitops.api import names
from seatrial.gitops.sync.plan import tracking_id
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.gitops.driving import Driver


async def test_without_prune_extras_stay_and_the_sync_succeeds(driver: Driver) -> None:
    await driver.sync(config_map("old"))
    state = await driver.sync(config_map("new"))
    assert state["phase"] == "Succeeded"
    result = driver.result(state, "old")
    assert (result["status"], result["message"]) == ("PruneSkipped", "ignored (requires pruning)")
    assert await driver.get("configmaps", "old") is not None


async def test_prune_deletes_what_git_no_longer_has(driver: Driver) -> None:
    await driver.sync(config_map("old"))
    state = await driver.sync(config_map("new"), prune=True)
    result = driver.result(state, "old")
    assert (result["status"], result["message"], result["hookPhase"]) == ("Pruned", "pruned", "Succeeded")
    assert await driver.get("configmaps", "old") is None


async def test_prune_false_on_the_object_keeps_it(driver: Driver) -> None:
    await driver.sync(annotated(config_map("kept"), names.SYNC_OPTIONS, "Prune=false"), config_map("a"))
    state = await driver.sync(config_map("a"), prune=True)
    assert driver.result(state, "kept")["message"] == "ignored (no prune)"
    assert await driver.get("configmaps", "kept") is not None


async def test_the_object_beats_the_application(driver: Driver) -> None:
    driver.options = ("Prune=false",)
    await driver.sync(annotated(config_map("goes"), names.SYNC_OPTIONS, "Prune=true"), config_map("kept"))
    await driver.sync(config_map("a"), prune=True)
    assert await driver.get("configmaps", "goes") is None
    assert await driver.get("configmaps", "kept") is not None


async def test_prune_confirm_waits_for_an_approval_newer_than_the_operation(driver: Driver) -> None:
    await driver.sync(annotated(config_map("precious"), names.SYNC_OPTIONS, "Prune=confirm"), config_map("other"))
    driver.approved_at = driver.clock.time() - 100  # of an earlier time
    operation = driver.operation(config_map("a"), prune=True)
    state = await driver.until(operation, lambda state: "confirmation" in state["message"])
    assert state["message"] == "Waiting for pruning confirmation of v1/ConfigMap/precious"
    assert await driver.get("configmaps", "other") is not None
    driver.approved_at = driver.clock.time() + 2
    operation.use(driver.desired(config_map("a")))
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert await driver.get("configmaps", "precious") is None


async def test_what_was_made_last_is_pruned_first(driver: Driver) -> None:
    await driver.sync(config_map("base", 0), config_map("top", 2))
    state = await driver.sync(config_map("a"), prune=True)
    pruned = [item["name"] for item in state["syncResult"]["resources"] if item["status"] == "Pruned"]
    assert pruned == ["top", "base"]


async def test_prune_last_comes_after_the_last_wave(driver: Driver) -> None:
    await driver.sync(annotated(config_map("old", -1), names.SYNC_OPTIONS, "PruneLast=true"))
    state = await driver.sync(config_map("new", 3), prune=True)
    assert [item["name"] for item in state["syncResult"]["resources"]] == ["new", "old"]


async def test_an_id_copied_from_another_object_makes_nothing_ours(driver: Driver) -> None:
    copied = config_map("copy")
    copied["metadata"]["namespace"] = "default"
    original = config_map("original")
    original["metadata"]["namespace"] = "default"
    await driver.create(annotated(copied, names.TRACKING_ID, tracking_id(original, "app")))
    state = await driver.sync(config_map("a"), prune=True)
    assert driver.result(state, "copy") == {}
    assert await driver.get("configmaps", "copy") is not None


async def test_what_has_an_owner_is_not_pruned(driver: Driver) -> None:
    await driver.sync(config_map("owner"))
    owner = await driver.get("configmaps", "owner")
    assert owner is not None
    child = config_map("child")
    child["metadata"]["namespace"] = "default"
    child["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": objects.uid(owner)}
    ]
    await driver.create(annotated(child, names.TRACKING_ID, tracking_id(child, "app")))
    await driver.sync(config_map("owner"), prune=True)
    assert await driver.get("configmaps", "child") is not None


async def test_helm_keep_stays(driver: Driver) -> None:
    await driver.sync(annotated(config_map("kept"), names.HELM_RESOURCE_POLICY, "keep"), config_map("a"))
    await driver.sync(config_map("a"), prune=True)
    assert await driver.get("configmaps", "kept") is not None


async def test_what_was_given_away_meanwhile_is_not_pruned(driver: Driver) -> None:
    """The watch may be behind: the object is looked at again when the server says that it changed."""
    await driver.sync(config_map("moved"))
    operation = driver.operation(config_map("a"), prune=True)
    moved = config_map("moved")
    moved["metadata"]["namespace"] = "default"
    await driver.merge_only(
        "configmaps", "moved", {"metadata": {"annotations": {names.TRACKING_ID: tracking_id(moved, "other")}}}
    )
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert await driver.get("configmaps", "moved") is not None


async def test_a_dry_run_prunes_and_applies_nothing(driver: Driver) -> None:
    await driver.sync(config_map("old"))
    state = await driver.sync(config_map("new"), prune=True, dryRun=True)
    assert state["phase"] == "Succeeded"
    assert driver.result(state, "old")["message"] == "pruned (dry run)"
    assert driver.result(state, "new")["message"] == "configmap/new serverside-applied (dry run)"
    assert await driver.get("configmaps", "old") is not None
    assert await driver.get("configmaps", "new") is None


async def test_a_selection_prunes_only_what_it_names(driver: Driver) -> None:
    await driver.sync(config_map("one"), config_map("two"))
    await driver.sync(prune=True, resources=[{"kind": "ConfigMap", "name": "one"}])
    assert await driver.get("configmaps", "one") is None
    assert await driver.get("configmaps", "two") is not None
