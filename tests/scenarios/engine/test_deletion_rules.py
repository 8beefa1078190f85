"""Rollback and refusals (rules 2.8), deletion (2.9) and projects, through the whole engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.scenarios.engine.conftest import annotated, config_map, job

from seatrial.gitops.api import names
from seatrial.gitops.api.application import Application
from seatrial.gitops.history import rollback
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.engine.conftest import Stage

    from seatrial.kube.model.objects import Object

CASCADE: Object = {"finalizers": [names.RESOURCES_FINALIZER]}


async def roll_back(stage: Stage, id: int | None = None) -> Object:
    plan = rollback.plan(Application(await stage.app()), id, username="tester")
    patch = {"operation": plan.operation, "status": {"operationState": None}}
    await stage.patch_app({**patch, "metadata": {"annotations": plan.annotations}})
    return await stage.until_ended()


async def two_versions(stage: Stage) -> tuple[str, str]:
    await stage.deploy({"app/all.yaml": [config_map(k="1"), annotated(job("before"), hook="PreSync")]})
    first = (await stage.status())["sync"]["revision"]
    second = await stage.push({"app/all.yaml": [config_map(k="2"), annotated(job("before"), hook="PreSync")]})
    await stage.until_app(sync="Synced", deployed=second, phase="Succeeded")
    return first, second


async def test_2_8_a_rollback_stays_though_sync_is_automated_and_runs_no_hook(stage: Stage) -> None:
    first, _ = await two_versions(stage)
    before = await stage.until_there("jobs", "before")
    state = await roll_back(stage)
    assert (state["phase"], state["syncResult"]["revision"]) == ("Succeeded", first)
    await stage.refreshed()
    await stage.quiet()
    assert await stage.data("settings") == {"k": "1"}
    assert objects.uid(await stage.until_there("jobs", "before")) == objects.uid(before)
    third = await stage.push({"app/all.yaml": config_map(k="3")})
    await stage.until_app(sync="Synced", deployed=third)
    assert await stage.data("settings") == {"k": "3"}


async def test_2_8_a_rollback_works_while_git_is_away(stage: Stage) -> None:
    await two_versions(stage)
    stage.repository.vanish()
    assert (await roll_back(stage))["phase"] == "Succeeded"
    assert await stage.data("settings") == {"k": "1"}


async def test_2_9_without_the_finalizer_everything_stays(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")})
    await stage.delete_app()
    await stage.until_app_gone()
    await stage.quiet()
    assert await stage.data("settings") == {"k": "v"}


async def test_2_9_with_it_everything_goes_but_what_is_to_stay(stage: Stage) -> None:
    kept = annotated(config_map("kept"), sync_options="Delete=false")
    await stage.deploy({"app/all.yaml": [config_map(k="v"), kept]}, metadata=CASCADE)
    await stage.delete_app()
    await stage.until_app_gone()
    assert await stage.data("settings") is None
    assert await stage.data("kept") is not None


async def test_2_9_the_highest_wave_goes_first_and_is_waited_for(stage: Stage) -> None:
    second = annotated(config_map("second"), sync_wave="1")
    second["metadata"]["finalizers"] = ["example.com/wait"]
    await stage.deploy({"app/all.yaml": [config_map("first"), second]}, metadata=CASCADE)
    await stage.delete_app()

    async def going() -> bool:
        found = await stage.get("configmaps", "second")
        return found is not None and objects.is_deleting(found)

    await stage.until(going, "second is being deleted")
    assert await stage.data("first") is not None
    await stage.merge("configmaps", "second", {"metadata": {"finalizers": None}})
    await stage.until_app_gone()
    assert await stage.data("first") is None


async def test_2_9_delete_confirm_holds_the_deletion(stage: Stage) -> None:
    held = annotated(config_map("held"), sync_options="Delete=confirm")
    await stage.deploy({"app/all.yaml": [held]}, metadata=CASCADE)
    await stage.delete_app()
    await stage.until_condition("DeletionError", "held")
    started = objects.metadata(await stage.app())["deletionTimestamp"]
    await stage.annotate({names.DELETION_APPROVED: str(int(started[:4]) + 1) + started[4:]})
    await stage.until_app_gone()
    assert await stage.data("held") is None


async def test_2_9_hooks_run_before_and_after_the_deletion(stage: Stage) -> None:
    hooks = [annotated(config_map("leaving"), hook="PreDelete"), annotated(config_map("left"), hook="PostDelete")]
    for hook in hooks:
        hook["metadata"]["annotations"]["argocd.argoproj.io/hook-delete-policy"] = "HookFailed"
    await stage.deploy({"app/all.yaml": [config_map(k="v"), *hooks]}, metadata=CASCADE)
    assert await stage.data("leaving") is None
    await stage.delete_app()
    await stage.until_app_gone()
    assert await stage.data("settings") is None


async def test_2_9_an_unknown_destination_lets_the_application_go(stage: Stage) -> None:
    await stage.start()
    app = stage.application(metadata=CASCADE)
    app["spec"]["destination"] = {"server": "https://nowhere.invalid", "namespace": "default"}
    await stage.create(app)
    await stage.until_condition("InvalidSpecError")
    await stage.delete_app()
    await stage.until_app_gone()


async def test_an_operation_without_a_destination_ends_in_an_error(stage: Stage) -> None:
    await stage.start()
    app = stage.application(auto=None)
    app["spec"]["destination"] = {"name": "nobody", "namespace": "default"}
    await stage.create(app)
    await stage.until_condition("InvalidSpecError")
    assert (await stage.sync())["phase"] == "Error"


async def test_projects_a_source_that_is_not_permitted_is_not_deployed(stage: Stage) -> None:
    anywhere = [{"server": "*", "namespace": "*"}]
    await stage.start()
    await stage.project("narrow", sourceRepos=["https://example.com/*"], destinations=anywhere)
    stage.repository.commit({"app/map.yaml": config_map(k="v")})
    await stage.create(stage.application(project="narrow"))
    await stage.until_condition("InvalidSpecError")
    await stage.quiet()
    assert await stage.data("settings") is None


async def test_projects_a_kind_that_is_not_permitted_comes_by_no_way(stage: Stage) -> None:
    blacklist = [{"group": "", "kind": "Secret"}]
    anywhere = [{"server": "*", "namespace": "*"}]
    await stage.start()
    await stage.project("narrow", sourceRepos=["*"], destinations=anywhere, namespaceResourceBlacklist=blacklist)
    stage.repository.commit({"app/map.yaml": config_map(k="v")})
    await stage.create(stage.application(project="narrow", auto=None))
    await stage.until_app(sync="OutOfSync")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "smuggled"}, "stringData": {"a": "b"}}
    state = await stage.sync(manifests=[json.dumps(secret)])
    assert state["phase"] == "Error" and "Secret" in state["message"]
    assert await stage.get("secrets", "smuggled") is None


async def test_projects_a_change_of_the_project_is_heeded_by_an_operation_of_another_revision(stage: Stage) -> None:
    anywhere = [{"server": "*", "namespace": "*"}]
    await stage.start()
    await stage.project("narrow", sourceRepos=["*"], destinations=anywhere)
    first = stage.repository.commit({"app/map.yaml": config_map(k="1")})
    stage.repository.commit({"app/map.yaml": config_map(k="2")})
    await stage.create(stage.application(project="narrow", auto=None))
    await stage.until_app(sync="OutOfSync")
    narrow = {"spec": {"sourceRepos": ["https://example.com/*"]}}
    await stage.merge("appprojects", "narrow", narrow, stage.control)
    await stage.until_condition("InvalidSpecError")
    assert (await stage.sync(revision=first))["phase"] == "Error"
    assert await stage.data("settings") is None
