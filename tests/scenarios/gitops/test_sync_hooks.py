"""Rules 2, 3, 7, 9, 11 and 12 of the sync pipeline: hooks, how they run, end and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.scenarios.gitops.driving import annotated, config_map, hook

from seatrial.base.clock import parse_time
from seatrial.gitops.api import names
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.gitops.driving import Driver

    from seatrial.kube.model.objects import Object

HEALTH = "test/health"


def job(name: str, phase: str, policy: str = "", **spec: Any) -> Object:
    container = {"name": "main", "image": "example.com/job:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    made: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "annotations": {names.HOOK: phase}},
        "spec": {"template": template, **spec},
    }
    return annotated(made, names.HOOK_DELETE_POLICY, policy) if policy else made


async def complete(driver: Driver, name: str, type: str = "Complete") -> None:
    """As the Job controller ends one: it says how before the condition that counts."""
    time = "2026-01-01T00:00:00Z"
    before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[type]
    shown = [
        {"type": kind, "status": "True", "lastTransitionTime": time, "lastProbeTime": time, "message": "so it ended"}
        for kind in (before, type)
    ]
    status: Object = {"conditions": shown, "startTime": time, "ready": 0, "active": 0, "terminating": 0}
    status |= {"completionTime": time, "succeeded": 1} if type == "Complete" else {"failed": 1}
    status["uncountedTerminatedPods"] = {}
    await driver.merge("jobs", name, {"status": status}, "status")


def suspended(name: str, phase: str, policy: str = "", **spec: Any) -> Object:
    """Nothing but the test ends it."""
    return job(name, phase, policy, suspend=True, **spec)


async def test_a_hook_runs_in_each_phase_it_names(driver: Driver) -> None:
    state = await driver.sync(hook("both", "PreSync, PostSync"), config_map("main"))
    assert state["phase"] == "Succeeded"
    assert [item["syncPhase"] for item in state["syncResult"]["resources"]] == ["PreSync", "Sync", "PostSync"]
    assert driver.result(state, "both", "PostSync")["hookType"] == "PostSync"


async def test_skip_and_unknown_hooks_are_never_applied(driver: Driver) -> None:
    state = await driver.sync(hook("skipped", "Skip"), hook("odd", "Sometime"), config_map("main"))
    assert state["phase"] == "Succeeded"
    assert await driver.get("configmaps", "skipped") is None
    assert await driver.get("configmaps", "odd") is None


async def test_a_hook_with_a_generated_name_is_named_by_revision_phase_and_start(driver: Driver) -> None:
    made = hook("x", "PreSync")
    del made["metadata"]["name"]
    made["metadata"]["generateName"] = "migrate-"
    operation = driver.operation(made, config_map("main"))
    state = await driver.drive(operation)
    started = int(parse_time(state["startedAt"]))
    assert driver.result(state, f"migrate-1234567-presync-{started}", "PreSync")["hookPhase"] == "Succeeded"


async def test_a_sync_waits_for_its_pre_sync_hook(driver: Driver) -> None:
    operation = driver.operation(suspended("migrate", "PreSync"), config_map("main"))
    state = await driver.until(operation, lambda state: "completion of hook" in state["message"])
    assert state["message"] == "waiting for completion of hook batch/Job/migrate"
    assert await driver.get("configmaps", "main") is None
    found = await driver.get("jobs", "migrate")
    assert found is not None
    assert objects.finalizers(found) == [names.HOOK_FINALIZER]
    await complete(driver, "migrate")
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert driver.result(state, "migrate", "PreSync")["hookPhase"] == "Succeeded"
    found = await driver.get("jobs", "migrate")
    assert found is not None
    assert objects.finalizers(found) == []


async def test_a_failed_hook_fails_the_sync_and_runs_the_sync_fail_hooks(driver: Driver) -> None:
    operation = driver.operation(suspended("migrate", "PreSync"), config_map("main"), hook("alarm", "SyncFail"))
    await driver.until(operation, lambda state: "completion of hook" in state["message"])
    await complete(driver, "migrate", "Failed")
    state = await driver.drive(operation)
    assert state["phase"] == "Failed"
    assert driver.result(state, "migrate", "PreSync")["hookPhase"] == "Failed"
    assert driver.result(state, "alarm", "SyncFail")["hookPhase"] == "Succeeded"
    assert await driver.get("configmaps", "main") is None


async def test_a_failed_apply_runs_the_sync_fail_hooks(driver: Driver) -> None:
    bad = config_map("bad")
    bad["data"] = {"key": {"not": "text"}}
    good = config_map("good")
    state = await driver.sync(bad, good, hook("alarm", "SyncFail"))
    assert state["phase"] == "Failed"
    assert await driver.get("configmaps", "good") is None  # the dry run came first


async def test_sync_fail_hooks_do_not_run_after_a_success(driver: Driver) -> None:
    state = await driver.sync(config_map("main"), hook("alarm", "SyncFail"), hook("after", "PostSync"))
    assert state["phase"] == "Succeeded"
    assert await driver.get("configmaps", "alarm") is None


async def test_delete_policies_are_judged_by_the_outcome_of_the_sync(driver: Driver) -> None:
    made = [hook("ok", "PreSync", "HookSucceeded"), hook("bad", "PreSync", "HookFailed"), config_map("main")]
    state = await driver.sync(*made)
    assert state["phase"] == "Succeeded"
    assert await driver.get("configmaps", "ok") is None
    assert await driver.get("configmaps", "bad") is not None


async def test_hook_failed_hooks_go_when_the_sync_failed(driver: Driver) -> None:
    made = [hook("ok", "PreSync", "HookSucceeded"), hook("bad", "PreSync", "HookFailed")]
    broken = annotated(config_map("broken"), HEALTH, "Degraded:no")
    state = await driver.sync(*made, broken, hook("after", "PostSync"))
    assert state["phase"] == "Failed"
    assert await driver.get("configmaps", "ok") is not None
    assert await driver.get("configmaps", "bad") is None


async def test_a_hook_of_an_earlier_sync_is_deleted_before_it_is_made_again(driver: Driver) -> None:
    await driver.sync(hook("migrate", "PreSync"), config_map("main"))
    first = await driver.get("configmaps", "migrate")
    await driver.sync(hook("migrate", "PreSync"), config_map("main"))
    second = await driver.get("configmaps", "migrate")
    assert first is not None
    assert second is not None
    assert objects.uid(first) != objects.uid(second)


async def test_helm_hooks_run_in_the_phases_of_argo_cd(driver: Driver) -> None:
    first = annotated(config_map("first"), names.HELM_HOOK, "pre-install,pre-upgrade")
    test = annotated(config_map("test"), names.HELM_HOOK, "test")
    last = annotated(config_map("last"), names.HELM_HOOK, "post-install")
    state = await driver.sync(first, config_map("main"), test, last)
    shown = [(item["name"], item["syncPhase"]) for item in state["syncResult"]["resources"]]
    assert shown == [("first", "PreSync"), ("main", "Sync"), ("last", "PostSync")]


async def test_hooks_are_not_pruned(driver: Driver) -> None:
    await driver.sync(hook("after", "PostSync"), config_map("main"))
    await driver.sync(config_map("main"), prune=True)
    assert await driver.get("configmaps", "after") is not None


async def test_a_hook_that_vanished_after_its_success_counts(driver: Driver) -> None:
    operation = driver.operation(suspended("migrate", "PreSync"), annotated(config_map("main"), HEALTH, "Progressing"),
                                 hook("after", "PostSync"))  # fmt: skip
    await driver.until(operation, lambda state: "completion of hook" in state["message"])
    await complete(driver, "migrate")
    await driver.until(operation, lambda state: "main" in state["message"])
    await driver.client.delete(
        await driver.live.mapper.for_name("jobs"), "migrate", "default", propagation="Background"
    )
    await driver.merge("configmaps", "main", {"metadata": {"annotations": {HEALTH: "Healthy"}}})
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert await driver.get("jobs", "migrate") is None


async def test_a_hook_deleted_by_its_time_to_live_is_seen_to_its_end(driver: Driver) -> None:
    operation = driver.operation(suspended("migrate", "PreSync", ttlSecondsAfterFinished=0), config_map("main"))
    await driver.until(operation, lambda state: "completion of hook" in state["message"])
    await complete(driver, "migrate")
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"


async def test_a_hook_that_vanished_before_its_end_is_an_error(driver: Driver) -> None:
    operation = driver.operation(suspended("migrate", "PreSync"), config_map("main"))
    await driver.until(operation, lambda state: "completion of hook" in state["message"])
    await driver.merge_only("jobs", "migrate", {"metadata": {"finalizers": None}})
    await driver.client.delete(
        await driver.live.mapper.for_name("jobs"), "migrate", "default", propagation="Background"
    )
    state = await driver.drive(operation)
    assert state["phase"] == "Failed"
    assert "vanished" in driver.result(state, "migrate", "PreSync")["message"]


async def test_terminate_stops_hooks_and_nothing_else(driver: Driver) -> None:
    operation = driver.operation(config_map("main"), suspended("test", "PostSync"))
    await driver.until(operation, lambda state: bool(driver.result(state, "test", "PostSync")))
    operation.terminate()
    state = await driver.drive(operation)
    assert (state["phase"], state["message"]) == ("Failed", "Operation terminated")
    assert driver.result(state, "test", "PostSync")["message"] == "Terminated"
    await driver.gone(objects.Ref("batch", "Job", "default", "test"), "batch/v1")
    assert await driver.get("configmaps", "main") is not None


async def test_strategy_apply_and_a_selection_leave_hooks_out(driver: Driver) -> None:
    made = (hook("before", "PreSync"), config_map("main"))
    await driver.sync(*made, syncStrategy={"apply": {}})
    await driver.sync(*made, resources=[{"kind": "ConfigMap", "name": "main"}])
    assert await driver.get("configmaps", "before") is None
