"""Phases, waves, hooks and prune (rules 2.1), through the whole engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.engine.conftest import annotated, by_name, config_map, deployment, job

from seatrial.gitops.api import names
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.engine.conftest import Stage

    from seatrial.kube.model.objects import Object


def failing(obj: Object) -> Object:
    """A job that fails, on simulated nodes as on real ones."""
    made = objects.clone(obj)
    template = made["spec"]["template"]
    template["metadata"] = {"annotations": {"seatrial.dev/simulated-exit-code": "1"}}
    template["spec"]["containers"][0]["command"] = ["false"]
    return made


async def test_2_1_1_the_revision_of_a_sync_is_resolved_at_its_start(stage: Stage) -> None:
    revision = stage.repository.commit({"app/map.yaml": config_map(color="blue")})
    await stage.start()
    await stage.create(stage.application(auto=None))
    await stage.until_app(sync="OutOfSync")
    state = await stage.sync(revision="main")
    assert state["syncResult"]["revision"] == revision


async def test_2_1_1_an_invalid_spec_makes_the_operation_an_error_and_applies_nothing(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(color="blue")})
    await stage.start()
    await stage.create(stage.application(auto=None, project="nowhere"))
    await stage.until_condition("InvalidSpecError")
    assert (await stage.sync())["phase"] == "Error"
    assert await stage.data("settings") is None


async def test_2_1_2_a_skipped_manifest_is_neither_applied_nor_compared(stage: Stage) -> None:
    app = await stage.deploy({"app/all.yaml": [config_map("a", k="v"), annotated(config_map("b", k="v"), hook="Skip")]})
    assert app["status"]["health"]["status"] == "Healthy"
    assert "status" not in by_name(app["status"]["resources"], "b")
    assert await stage.data("b") is None


async def test_2_1_3_a_hook_with_a_generated_name_carries_revision_and_phase(stage: Stage) -> None:
    hook = annotated(job("", generateName="migrate-"), hook="PreSync")
    app = await stage.deploy({"app/all.yaml": [config_map(k="v"), hook]})
    results = app["status"]["operationState"]["syncResult"]["resources"]
    found = next(item for item in results if item["kind"] == "Job")
    revision = app["status"]["sync"]["revision"]
    assert found["name"].startswith(f"migrate-{revision[:7]}-presync-")
    assert (found["hookType"], found["hookPhase"]) == ("PreSync", "Succeeded")


async def test_2_1_3_no_finalizer_stays_on_a_hook(stage: Stage) -> None:
    await stage.deploy({"app/all.yaml": [config_map(k="v"), annotated(job("before"), hook="PreSync")]})
    made = await stage.get("jobs", "before")
    assert made is not None and names.HOOK_FINALIZER not in objects.finalizers(made)


async def test_2_1_4_phases_and_waves_come_in_their_order(stage: Stage) -> None:
    await stage.deploy(
        {
            "app/all.yaml": [
                annotated(config_map("last"), sync_wave="2"),
                annotated(config_map("first"), sync_wave="-1"),
                config_map("middle"),
                annotated(config_map("before"), hook="PreSync"),
                annotated(config_map("after"), hook="PostSync"),
            ]
        }
    )
    made = [await stage.until_there("configmaps", name) for name in ("before", "first", "middle", "last", "after")]
    versions = [int(objects.metadata(obj)["resourceVersion"]) for obj in made if objects.name(obj) != "before"]
    assert versions == sorted(versions)


async def test_2_1_5_nothing_is_changed_when_a_dry_run_of_the_whole_fails(stage: Stage) -> None:
    broken = deployment()
    broken["spec"]["replicas"] = -1
    stage.repository.commit({"app/all.yaml": [config_map(k="v"), annotated(broken, sync_wave="1")]})
    await stage.start()
    await stage.create(stage.application(auto=None))
    state = await stage.sync()
    assert state["phase"] != "Succeeded"
    assert await stage.data("settings") is None


async def test_2_1_6_a_wave_waits_for_the_health_of_the_one_before(stage: Stage) -> None:
    app = await stage.deploy({"app/all.yaml": [deployment(), annotated(config_map("after"), sync_wave="1")]})
    assert app["status"]["operationState"]["message"].startswith("successfully synced")
    web, after = await stage.get("deployments", "web"), await stage.get("configmaps", "after")
    assert web is not None and after is not None
    assert web["status"]["availableReplicas"] == 1
    available = next(c for c in web["status"]["conditions"] if c["type"] == "Available")
    assert available["lastTransitionTime"] <= after["metadata"]["creationTimestamp"]


async def test_2_1_7_a_failed_hook_fails_the_sync_and_runs_the_sync_fail_hooks(stage: Stage) -> None:
    files = [
        config_map(k="v"),
        failing(annotated(job("before"), hook="PreSync")),
        annotated(config_map("sorry"), hook="SyncFail"),
    ]
    stage.repository.commit({"app/all.yaml": files})
    await stage.start()
    await stage.create(stage.application(auto=None))
    state = await stage.sync()
    assert state["phase"] == "Failed"
    assert await stage.data("settings") is None
    assert await stage.data("sorry") is not None


async def test_2_1_8_a_single_wave_succeeds_before_it_is_healthy(stage: Stage) -> None:
    web = deployment()
    web["spec"]["template"]["metadata"]["annotations"] = {"seatrial.dev/simulated-ready": "false"}
    web["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/never:1"
    app = await stage.deploy({"app/web.yaml": web})
    assert app["status"]["health"]["status"] == "Progressing"


async def test_2_1_9_a_hook_of_the_sync_before_is_replaced(stage: Stage) -> None:
    await stage.deploy({"app/all.yaml": [config_map(k="v"), annotated(job("before"), hook="PreSync")]})
    first = await stage.until_there("jobs", "before")
    revision = await stage.push({"app/more.yaml": config_map("more", k="v")})
    await stage.until_app(deployed=revision, phase="Succeeded")
    second = await stage.until_there("jobs", "before")
    assert objects.uid(first) != objects.uid(second)


async def test_2_1_9_a_hook_may_change_what_a_job_cannot(stage: Stage) -> None:
    """The one of the sync before goes first: its immutable template is no objection to the new one's."""
    hook = annotated(job("migrate"), hook="PreSync", hook_delete_policy="BeforeHookCreation")
    await stage.deploy({"app/hook.yaml": hook, "app/map.yaml": config_map(k="1")})
    first = await stage.until_there("jobs", "migrate")
    changed = objects.clone(hook)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:2"
    await stage.push({"app/hook.yaml": changed, "app/map.yaml": config_map(k="2")})
    await stage.until_data("settings", {"k": "2"})
    second = await stage.until_there("jobs", "migrate")
    assert objects.uid(first) != objects.uid(second)


async def test_2_1_10_prune_is_of_those_that_went_from_git(stage: Stage) -> None:
    await stage.deploy({"app/a.yaml": config_map("a"), "app/b.yaml": config_map("b")})
    await stage.push({"app/b.yaml": None})
    await stage.until_gone("configmaps", "b")
    app = await stage.until_app(sync="Synced", phase="Succeeded")
    results = app["status"]["operationState"]["syncResult"]["resources"]
    assert by_name(results, "b")["status"] == "Pruned"
    assert await stage.data("a") is not None


async def test_2_1_10_without_prune_it_stays_and_is_said(stage: Stage) -> None:
    await stage.deploy({"app/a.yaml": config_map("a"), "app/b.yaml": config_map("b")}, auto={"prune": False})
    await stage.push({"app/b.yaml": None})
    app = await stage.until_app(sync="OutOfSync")
    assert by_name(app["status"]["resources"], "b")["requiresPruning"] is True
    state = await stage.sync()
    assert state["phase"] == "Succeeded"
    assert by_name(state["syncResult"]["resources"], "b")["status"] == "PruneSkipped"
    assert await stage.data("b") is not None


async def test_2_1_10_prune_false_keeps(stage: Stage) -> None:
    kept = annotated(config_map("b"), sync_options="Prune=false")
    await stage.deploy({"app/a.yaml": config_map("a"), "app/b.yaml": kept})
    await stage.push({"app/b.yaml": None, "app/a.yaml": config_map("a", k="v")})
    await stage.until_data("a", {"k": "v"})
    await stage.until_ended()
    assert await stage.data("b") is not None


async def test_2_1_10_prune_confirm_waits_for_the_approval(stage: Stage) -> None:
    kept = annotated(config_map("b"), sync_options="Prune=confirm")
    await stage.deploy({"app/a.yaml": config_map("a"), "app/b.yaml": kept})
    await stage.push({"app/b.yaml": None})
    app = await stage.until_app(phase="Running")
    assert await stage.data("b") is not None
    started = app["status"]["operationState"]["startedAt"]
    year = str(int(started[:4]) + 1)
    await stage.annotate({names.DELETION_APPROVED: year + started[4:]})
    await stage.until_gone("configmaps", "b")
    await stage.until_app(sync="Synced", phase="Succeeded")


async def test_2_1_11_delete_policies_are_judged_by_the_end_of_the_sync(stage: Stage) -> None:
    def hook(name: str, policy: str) -> Object:
        return annotated(job(name), hook="PreSync", hook_delete_policy=policy)

    await stage.deploy({"app/all.yaml": [config_map(k="v"), hook("gone", "HookSucceeded"), hook("kept", "HookFailed")]})
    await stage.until_gone("jobs", "gone")
    assert await stage.get("jobs", "kept") is not None


async def test_2_1_12_terminate_stops_a_hook_and_fails_the_sync(stage: Stage) -> None:
    slow = annotated(job("slow", "sleep 600"), hook="PreSync")
    slow["spec"]["template"]["metadata"] = {"annotations": {"seatrial.dev/simulated-run-seconds": "600"}}
    slow["spec"]["template"]["spec"]["containers"][0]["command"] = ["sleep", "600"]
    stage.repository.commit({"app/all.yaml": [config_map(k="v"), slow]})
    await stage.start()
    await stage.create(stage.application(auto=None))
    await stage.sync(wait=False)
    await stage.until_there("jobs", "slow")
    await stage.until_app(phase="Running")
    await stage.patch_app({"status": {"operationState": {"phase": "Terminating"}}})
    state = await stage.until_ended()
    assert state["phase"] == "Failed"
    await stage.until_gone("jobs", "slow")
    assert await stage.data("settings") is None


async def test_2_1_13_results_say_what_became_of_each(stage: Stage) -> None:
    app = await stage.deploy({"app/map.yaml": config_map(k="v")})
    state = app["status"]["operationState"]
    result = by_name(state["syncResult"]["resources"], "settings")
    assert (result["status"], result["syncPhase"], result["kind"]) == ("Synced", "Sync", "ConfigMap")
    assert {"operation", "startedAt", "finishedAt", "message"} <= state.keys()
