"""Rules 6 to 9 of the sync pipeline: phases, waves, what is waited for, when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.gitops.driving import annotated, config_map, deployment, hook

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.gitops.driving import Driver

HEALTH = "test/health"


async def test_a_sync_without_hooks_and_waves_is_one_step(driver: Driver) -> None:
    state = await driver.sync(config_map("a"), config_map("b"))
    assert (state["phase"], state["message"]) == ("Succeeded", "successfully synced (all tasks run)")
    assert driver.result(state, "a")["message"] == "configmap/a serverside-applied"
    assert len(driver.states) == 1


async def test_a_single_step_succeeds_without_waiting_for_health(driver: Driver) -> None:
    state = await driver.sync(deployment("web", replicas=1, paused=True))
    assert state["phase"] == "Succeeded"
    assert driver.result(state, "web")["hookPhase"] == "Running"


async def test_results_have_the_shape_of_argo_cd(driver: Driver) -> None:
    state = await driver.sync(deployment("web"))
    assert driver.result(state, "web") == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
        "namespace": "default",
        "name": "web",
        "status": "Synced",
        "message": "deployment.apps/web serverside-applied",
        "hookPhase": "Running",
        "syncPhase": "Sync",
        "images": ["example.com/app:1"],
    }


async def test_waves_are_applied_in_order(driver: Driver) -> None:
    await driver.sync(config_map("last", 5), config_map("first", -1), config_map("middle"))
    assert driver.order() == ["first", "middle", "last"]


async def test_a_wave_waits_for_the_health_of_the_one_before(driver: Driver) -> None:
    slow = annotated(config_map("slow", 0), HEALTH, "Progressing")
    operation = driver.operation(slow, config_map("next", 1))
    state = await driver.until(operation, lambda state: "waiting for healthy" in state["message"])
    assert state["message"] == "waiting for healthy state of /ConfigMap/next"  # the tasks that remain, as in Argo CD
    state = await driver.until(operation, lambda state: "slow" in state["message"])
    assert await driver.get("configmaps", "next") is None
    await driver.merge("configmaps", "slow", {"metadata": {"annotations": {HEALTH: "Healthy"}}})
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert await driver.get("configmaps", "next") is not None


async def test_a_wave_sees_its_own_change_and_not_the_health_from_before(driver: Driver) -> None:
    """The watch may be behind: a Deployment that was healthy before the new image is not so after it."""
    await driver.sync(deployment("web", 0))
    await driver.until(
        driver.operation(deployment("web", 0), config_map("next", 1)), lambda state: state["phase"] == "Succeeded"
    )
    changed = deployment("web", 0, replicas=3)
    state = await driver.sync(changed, config_map("later", 1))
    assert state["phase"] == "Succeeded"
    web = await driver.get("deployments", "web")
    assert web is not None
    assert web["status"]["availableReplicas"] == 3


async def test_a_degraded_resource_of_a_wave_fails_the_sync(driver: Driver) -> None:
    bad = annotated(config_map("bad", 0), HEALTH, "Degraded:it broke")
    state = await driver.sync(bad, config_map("next", 1))
    assert (state["phase"], state["message"]) == (
        "Failed",
        "one or more synchronization tasks completed unsuccessfully",
    )
    assert driver.result(state, "bad")["message"] == "it broke"
    assert await driver.get("configmaps", "next") is None


async def test_a_running_task_whose_object_vanished_is_an_error(driver: Driver) -> None:
    slow = annotated(config_map("slow", 0), HEALTH, "Progressing")
    operation = driver.operation(slow, config_map("next", 1))
    await driver.until(operation, lambda state: "slow" in state["message"])
    resource = await driver.live.mapper.for_name("configmaps")
    await driver.client.delete(resource, "slow", "default")
    state = await driver.drive(operation)
    assert state["phase"] == "Failed"
    assert driver.result(state, "slow")["hookPhase"] == "Error"


async def test_the_phases_come_in_their_order(driver: Driver) -> None:
    made = [hook("after", "PostSync"), config_map("main"), hook("before", "PreSync"), hook("beside", "Sync", wave=1)]
    state = await driver.sync(*made)
    assert state["phase"] == "Succeeded"
    assert [item["name"] for item in state["syncResult"]["resources"]] == ["before", "main", "beside", "after"]
    assert [item["syncPhase"] for item in state["syncResult"]["resources"]] == ["PreSync", "Sync", "Sync", "PostSync"]


async def test_post_sync_waits_until_everything_is_healthy(driver: Driver) -> None:
    operation = driver.operation(deployment("web", paused=False), hook("after", "PostSync"))
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert driver.result(state, "web")["hookPhase"] == "Succeeded"


async def test_a_failed_apply_stops_before_the_next_wave_and_not_inside_its_own(driver: Driver) -> None:
    bad = config_map("a-bad", 0)
    bad["data"] = {"key": {"not": "text"}}
    objects.metadata(bad)
    state = await driver.sync(bad, config_map("b-good"), annotated(config_map("never"), "x", "y"))
    assert state["phase"] == "Failed"
    assert state["message"].startswith("one or more objects failed to apply, reason: ")
    assert driver.result(state, "a-bad")["status"] == "SyncFailed"
    assert await driver.get("configmaps", "b-good") is not None


async def test_a_failing_dry_run_of_many_steps_changes_nothing(driver: Driver) -> None:
    bad = config_map("bad", 1)
    bad["data"] = {"key": {"not": "text"}}
    state = await driver.sync(config_map("good", 0), bad)
    assert state["message"].startswith("one or more objects failed to apply (dry run)")
    assert await driver.get("configmaps", "good") is None


async def test_an_object_deleted_while_pruned_holds_the_step(driver: Driver) -> None:
    held = annotated(config_map("held", 0), "x", "y")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await driver.sync(held)
    operation = driver.operation(config_map("next", 3), prune=True)
    state = await driver.until(operation, lambda state: "waiting for deletion" in state["message"])
    assert state["message"] == "waiting for deletion of /ConfigMap/held"
    await driver.merge_only("configmaps", "held", {"metadata": {"finalizers": None}})
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert await driver.get("configmaps", "held") is None


async def test_between_two_waves_there_is_a_delay_and_none_after_the_last(driver: Driver) -> None:
    driver.wave_delay = 0.2
    operation = driver.operation(config_map("a", 0), config_map("b", 1))
    first = await operation.advance()
    assert first.requeue_after == 0.2
    early = await operation.advance()  # an object changed
    assert early.requeue_after is not None
    assert early.requeue_after > 0
    assert driver.result(early.state, "b") == {}
    begun = driver.clock.monotonic()
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert driver.clock.monotonic() - begun >= 0.1
