"""Sync options and ways to apply (rules 2.2), and what is compared (2.3), through the whole engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.engine.conftest import annotated, by_name, config_map, deployment, job

from seatrial.gitops.api import names
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.engine.conftest import Stage

    from seatrial.kube.model.objects import Object


def definition(stage: Stage, kind: str = "Gadget") -> tuple[Object, Object]:
    """A definition nobody else has, and an object of it."""
    group = f"{stage.unique('test')}.example.com"
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    return crd, {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "one"}, "spec": {"size": 1}}


async def test_2_2_replace_leaves_nothing_that_git_does_not_have(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(k="v")})
    await stage.start()
    await stage.create(stage.application(auto=None, options=["Replace=true"]))
    await stage.sync(syncOptions=["Replace=true"])
    await stage.merge("configmaps", "settings", {"data": {"extra": "x"}})
    await stage.sync(syncOptions=["Replace=true"])
    assert await stage.data("settings") == {"k": "v"}


async def test_2_2_force_makes_anew_what_cannot_be_changed(stage: Stage) -> None:
    stage.repository.commit({"app/job.yaml": job("once")})
    await stage.start()
    await stage.create(stage.application(auto=None))
    await stage.sync()
    first = await stage.until_there("jobs", "once")
    changed = job("once")
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:2"
    await stage.push({"app/job.yaml": changed})
    assert (await stage.sync())["phase"] == "Failed"
    state = await stage.sync(syncStrategy={"apply": {"force": True}})
    assert state["phase"] == "Succeeded"
    second = await stage.until_there("jobs", "once")
    assert objects.uid(first) != objects.uid(second)


async def test_2_2_a_definition_and_its_objects_come_in_one_sync(stage: Stage) -> None:
    crd, gadget = definition(stage)
    await stage.deploy({"app/all.yaml": [gadget, crd]})
    made = await stage.client.get(await stage.mapper.for_kind(gadget["apiVersion"], "Gadget"), "one", stage.namespace)
    assert made["spec"] == {"size": 1}
    if not stage.is_live:
        return
    await stage.delete("customresourcedefinitions", crd["metadata"]["name"])


async def test_2_2_create_namespace_makes_the_destination_with_its_metadata(stage: Stage) -> None:
    target = stage.unique("made")
    await stage.deploy(
        {"app/map.yaml": config_map(k="v")},
        namespace=target,
        syncPolicy={
            "automated": {"prune": True, "selfHeal": True},
            "syncOptions": ["CreateNamespace=true"],
            "managedNamespaceMetadata": {"labels": {"team": "a"}},
        },
    )
    made = await stage.until_there("namespaces", target)
    assert objects.labels(made)["team"] == "a"
    assert await stage.data("settings", target) == {"k": "v"}
    await stage.delete("namespaces", target)


async def test_2_2_out_of_sync_only_leaves_the_rest_alone(stage: Stage) -> None:
    options = ["ApplyOutOfSyncOnly=true"]
    await stage.deploy({"app/all.yaml": [config_map("a", k="1"), config_map("b", k="1")]}, options=options)
    revision = await stage.push({"app/all.yaml": [config_map("a", k="1"), config_map("b", k="2")]})
    app = await stage.until_app(deployed=revision, phase="Succeeded", sync="Synced")
    assert [item["name"] for item in app["status"]["operationState"]["syncResult"]["resources"]] == ["b"]
    assert app["status"]["history"][-1]["revision"] == revision


async def test_2_2_a_selection_runs_no_hook_and_makes_no_history(stage: Stage) -> None:
    hook = annotated(job("before"), hook="PreSync")
    stage.repository.commit({"app/all.yaml": [config_map("a"), config_map("b"), hook]})
    await stage.start()
    await stage.create(stage.application(auto=None))
    state = await stage.sync(resources=[{"kind": "ConfigMap", "name": "a"}])
    assert state["phase"] == "Succeeded"
    assert await stage.data("a") is not None and await stage.data("b") is None
    assert await stage.get("jobs", "before") is None
    assert not (await stage.status()).get("history")


async def test_2_2_respected_ignored_fields_keep_their_live_value(stage: Stage) -> None:
    ignored = [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
    options = ["RespectIgnoreDifferences=true"]
    await stage.deploy({"app/web.yaml": deployment(replicas=1)}, ignoreDifferences=ignored, options=options)
    await stage.merge("deployments", "web", {"spec": {"replicas": 2}})
    revision = await stage.push({"app/web.yaml": deployment(replicas=1, image="example.com/web:2")})
    await stage.until_app(deployed=revision, phase="Succeeded")
    found = await stage.get("deployments", "web")
    assert found is not None and found["spec"]["replicas"] == 2


async def test_2_2_a_shared_resource_fails_the_sync_that_forbids_it(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")})
    await stage.create(stage.application("other", auto=None, options=["FailOnSharedResource=true"]))
    await stage.until_condition("SharedResourceWarning", name="other")
    state = await stage.sync("other", syncOptions=["FailOnSharedResource=true"])
    assert state["phase"] == "Failed"
    assert objects.annotations(await stage.until_there("configmaps", "settings"))[
        names.TRACKING_ID
    ] == stage.tracking_id("shop", "", "ConfigMap", "settings")


async def test_2_2_a_dry_run_changes_nothing(stage: Stage) -> None:
    stage.repository.commit({"app/map.yaml": config_map(k="v")})
    await stage.start()
    await stage.create(stage.application(auto=None))
    state = await stage.sync(dryRun=True)
    assert state["phase"] == "Succeeded"
    assert await stage.data("settings") is None
    assert not (await stage.status()).get("history")


async def test_2_3_the_last_of_two_manifests_wins_with_a_warning(stage: Stage) -> None:
    await stage.deploy({"app/all.yaml": [config_map(k="1"), config_map(k="2")]})
    await stage.until_condition("RepeatedResourceWarning")
    assert await stage.data("settings") == {"k": "2"}


async def test_2_3_a_copied_tracking_id_makes_nothing_ours(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")})
    copied = config_map("copy")
    copied["metadata"]["annotations"] = {names.TRACKING_ID: stage.tracking_id("shop", "", "ConfigMap", "settings")}
    await stage.create(copied)
    status = await stage.refreshed()
    assert status["sync"]["status"] == "Synced"
    assert all("status" not in item for item in status["resources"] if item["name"] == "copy")
    assert await stage.data("copy") is not None


async def test_2_3_an_ignored_extraneous_object_leaves_the_application_synced(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")})
    extra = config_map("extra")
    extra["metadata"]["annotations"] = {
        names.TRACKING_ID: stage.tracking_id("shop", "", "ConfigMap", "extra"),
        names.COMPARE_OPTIONS: "IgnoreExtraneous",
    }
    await stage.create(extra)

    async def listed() -> Object | None:
        status = await stage.status()
        return status if len(status["resources"]) == 2 else None

    status = await stage.until(listed, "the extra is listed")
    assert by_name(status["resources"], "extra")["status"] == "OutOfSync"
    assert status["sync"]["status"] == "Synced"
    assert await stage.data("extra") is not None


async def test_2_3_an_ignored_field_is_no_difference(stage: Stage) -> None:
    ignored = [{"kind": "ConfigMap", "name": "settings", "jqPathExpressions": [".data.theirs"]}]
    await stage.deploy({"app/map.yaml": config_map(ours="1", theirs="1")}, ignoreDifferences=ignored)
    await stage.merge("configmaps", "settings", {"data": {"theirs": "2"}})
    assert (await stage.refreshed())["sync"]["status"] == "Synced"
    assert await stage.data("settings") == {"ours": "1", "theirs": "2"}


async def test_2_3_what_cannot_be_loaded_is_unknown_and_never_synced(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(k="v")})
    stage.repository.commit({"app/broken.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n"})
    await stage.refresh("hard")
    app = await stage.until_app(sync="Unknown")
    assert any(c["type"] == "ComparisonError" for c in app["status"]["conditions"])
    assert await stage.data("settings") == {"k": "v"}
