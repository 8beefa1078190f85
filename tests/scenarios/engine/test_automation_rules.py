"""Health (rules 2.4), auto-sync and self-heal (2.5), refresh (2.6) and status (2.7), through the whole engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.engine.conftest import annotated, by_name, config_map, deployment, git, job

from seatrial.gitops.api import names

if TYPE_CHECKING:
    from tests.scenarios.engine.conftest import Stage

    from seatrial.kube.model.objects import Object


async def test_2_4_an_application_is_as_ill_as_its_worst_resource(stage: Stage) -> None:
    ill = job("ill")
    ill["spec"]["template"]["metadata"] = {"annotations": {"seatrial.dev/simulated-exit-code": "1"}}
    ill["spec"]["template"]["spec"]["containers"][0]["command"] = ["false"]
    await stage.deploy({"app/all.yaml": [config_map(k="v"), deployment(), ill]})
    app = await stage.until_app(health="Degraded")
    assert by_name(app["status"]["resources"], "ill")["health"]["status"] == "Degraded"
    assert "health" not in by_name(app["status"]["resources"], "settings")


async def test_2_4_a_deployment_is_healthy_when_its_pods_are(stage: Stage) -> None:
    await stage.deploy({"app/web.yaml": deployment(replicas=2)})
    app = await stage.until_app(health="Healthy")
    assert by_name(app["status"]["resources"], "web")["health"]["status"] == "Healthy"


async def test_2_4_a_paused_deployment_is_suspended(stage: Stage) -> None:
    web = deployment()
    web["spec"]["paused"] = True
    await stage.deploy({"app/web.yaml": web})
    await stage.until_app(health="Suspended")


async def test_2_4_health_that_is_to_be_ignored_does_not_count(stage: Stage) -> None:
    web = deployment()
    web["spec"]["paused"] = True
    await stage.deploy({"app/all.yaml": [config_map(k="v"), annotated(web, ignore_healthcheck="true")]})
    await stage.until_app(health="Healthy")


async def test_2_5_without_automation_nothing_is_synced(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(k="v")})
    await stage.start()
    await stage.create(stage.application(auto=None))
    await stage.until_app(sync="OutOfSync")
    await stage.refreshed()
    assert await stage.data("settings") is None and "operationState" not in await stage.status()


async def test_2_5_without_self_heal_drift_is_shown_and_left(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")}, auto={"prune": True})
    await stage.merge("configmaps", "settings", {"data": {"k": "x"}})
    await stage.until_app(sync="OutOfSync")
    await stage.refreshed()
    assert await stage.data("settings") == {"k": "x"}


async def test_2_5_self_heal_syncs_what_drifted_and_runs_no_hook(stage: Stage) -> None:
    hook = annotated(config_map("hook"), hook="PreSync")
    files = {"app/all.yaml": [config_map("a", k="v"), config_map("b", k="v"), hook]}
    await stage.deploy(files, metadata={"annotations": {names.SELF_HEAL_DELAY: "0"}})
    before = await stage.until_there("configmaps", "hook")
    await stage.merge("configmaps", "a", {"data": {"k": "x"}})
    await stage.until_data("a", {"k": "v"})
    state = await stage.until_ended()
    assert [item["name"] for item in state["syncResult"]["resources"]] == ["a"]
    assert state["operation"]["initiatedBy"] == {"automated": True}
    after = await stage.until_there("configmaps", "hook")
    assert before["metadata"]["uid"] == after["metadata"]["uid"]


async def test_2_5_an_attempt_that_cannot_succeed_is_not_repeated(stage: Stage) -> None:
    broken = deployment()
    broken["spec"]["selector"]["matchLabels"] = {"app": "other"}
    stage.repository.commit({"app/web.yaml": broken})
    await stage.start()
    await stage.create(stage.application(retry={"limit": 0}))
    await stage.until_condition("SyncError")
    state = (await stage.status())["operationState"]
    await stage.refreshed()
    assert (await stage.status())["operationState"]["startedAt"] == state["startedAt"]
    revision = await stage.push({"app/web.yaml": deployment()})
    await stage.until_app(sync="Synced", deployed=revision)


async def test_2_5_automation_does_not_empty_an_application(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v"), "app/README": "x"})
    await stage.push({"app/map.yaml": None})
    await stage.until_condition("SyncError", "wipe out")
    assert await stage.data("settings") == {"k": "v"}


async def test_2_5_allow_empty_lets_it(stage: Stage) -> None:
    auto = {"prune": True, "allowEmpty": True}
    await stage.deploy({"app/map.yaml": config_map(k="v"), "app/README": "x"}, auto=auto)
    await stage.push({"app/map.yaml": None})
    await stage.until_gone("configmaps", "settings")


async def test_2_5_a_failed_sync_is_retried_and_counted(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(k="v")})
    missing = stage.unique("later")
    await stage.start()
    retry = {"limit": 20, "backoff": {"duration": "200ms", "factor": 1, "maxDuration": "1s"}}
    await stage.create(stage.application(namespace=missing, auto=None))
    await stage.until_app(sync="OutOfSync")
    await stage.sync(wait=False, retry=retry)

    async def tried() -> bool:
        state = (await stage.status()).get("operationState") or {}
        return int(state.get("retryCount") or 0) >= 1

    await stage.until(tried, "it was tried again")
    await stage.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": missing}})
    assert (await stage.until_ended())["phase"] == "Succeeded"
    assert await stage.data("settings", missing) == {"k": "v"}
    await stage.delete("namespaces", missing)


async def test_2_6_a_refresh_finds_the_newest_commit_and_takes_its_annotation_off(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(k="1")})
    await stage.start()
    await stage.create(stage.application(auto=None))
    await stage.until_app(sync="OutOfSync")
    revision = stage.repository.commit({"app/map.yaml": config_map(k="2")})
    assert (await stage.refreshed())["sync"]["revision"] == revision


async def test_2_6_a_changed_source_is_compared_at_once(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="1"), "other/map.yaml": config_map(k="2")})
    await stage.patch_app({"spec": {"source": {"path": "other"}}})
    await stage.until_data("settings", {"k": "2"})


async def test_2_6_skip_reconcile_stops_everything(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="1")})
    await stage.annotate({names.SKIP_RECONCILE: "true"})
    await stage.push({"app/map.yaml": config_map(k="2")})
    await stage.quiet()
    assert await stage.data("settings") == {"k": "1"}
    await stage.annotate({names.SKIP_RECONCILE: None})
    await stage.until_data("settings", {"k": "2"})


async def test_2_7_status_says_what_was_compared_and_what_is_deployed(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="1")})
    await stage.patch_app({"spec": {"syncPolicy": {"automated": None}}})
    deployed = (await stage.status())["sync"]["revision"]
    revision = await stage.push({"app/map.yaml": config_map(k="2")})
    app = await stage.until_app(sync="OutOfSync", revision=revision)
    status = app["status"]
    assert status["sync"]["comparedTo"]["source"] == app["spec"]["source"]
    assert status["operationState"]["syncResult"]["revision"] == deployed
    assert [entry["revision"] for entry in status["history"]] == [deployed]
    assert (status["sourceType"], status["controllerNamespace"]) == ("Directory", stage.control)


async def test_2_7_history_counts_up_and_keeps_to_its_limit(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="0")}, revisionHistoryLimit=2)
    for number in ("1", "2"):
        revision = await stage.push({"app/map.yaml": config_map(k=number)})
        await stage.until_app(sync="Synced", deployed=revision, phase="Succeeded")
    first, second = (await stage.status())["history"]
    assert second["id"] == first["id"] + 1 and second["revision"] == revision
    assert {"deployedAt", "deployStartedAt", "source"} <= second.keys()


async def test_2_7_images_are_summed_up(stage: Stage) -> None:
    app = await stage.deploy({"app/web.yaml": deployment(image="example.com/web:7")})
    assert app["status"]["summary"]["images"] == ["example.com/web:7"]


async def test_sources_values_of_one_repository_for_the_chart_of_another(stage: Stage) -> None:
    chart = "apiVersion: v2\nname: web\nversion: 0.1.0\n"
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: {{ .Values.color }}}\n"
    values = {"env/live.yaml": "color: green\n"}
    files = {"chart/Chart.yaml": chart, "chart/templates/a.yaml": template, "chart/values.yaml": "color: x\n", **values}
    url = stage.repository.url
    await stage.deploy(
        files,
        sources=[
            {"repoURL": url, "targetRevision": "main", "path": "chart", "helm": {"valueFiles": ["$v/env/live.yaml"]}},
            {"repoURL": url, "targetRevision": "main", "ref": "v"},
        ],
    )
    assert await stage.data("settings") == {"color": "green"}


async def test_sources_kustomize_with_an_image(stage: Stage) -> None:
    app = await stage.deploy(
        {"app/kustomization.yaml": {"resources": ["web.yaml"]}, "app/web.yaml": deployment()},
        source={"kustomize": {"images": ["example.com/web:9"], "namePrefix": "my-"}},
    )
    assert app["status"]["sourceType"] == "Kustomize"
    made: Object = await stage.until_there("deployments", "my-web")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/web:9"


async def test_sources_a_tag_by_range(stage: Stage) -> None:
    first = stage.repository.commit({"app/map.yaml": config_map(v="1")})
    git(stage.repository.work, "tag", "v1.2.0")
    stage.repository.commit({"app/map.yaml": config_map(v="2")})
    git(stage.repository.work, "tag", "v2.0.0")
    git(stage.repository.work, "push", "-q", "--tags")
    app = await stage.deploy({}, source={"targetRevision": "1.*"})
    assert app["status"]["sync"]["revision"] == first
    assert await stage.data("settings") == {"v": "1"}


async def test_sources_a_directory_takes_what_it_is_told_to(stage: Stage) -> None:
    files = {"app/a.yaml": config_map("a"), "app/deep/b.yaml": config_map("b"), "app/deep/no.yaml": config_map("c")}
    await stage.deploy(files, source={"directory": {"recurse": True, "exclude": "**/no.yaml"}})
    assert await stage.data("a") is not None and await stage.data("b") is not None
    assert await stage.data("c") is None


async def test_sources_a_path_that_is_not_there_is_a_condition(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map()})
    await stage.start()
    await stage.create(stage.application(path="nowhere"))
    assert "nowhere" in await stage.until_condition("ComparisonError")
    assert (await stage.status())["sync"]["status"] == "Unknown"
