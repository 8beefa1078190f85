"""The apply variants (2.2), rules 4 and 5 of the pipeline, and retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.scenarios.gitops.driving import annotated, config_map, deployment

from seatrial.gitops.api import names
from seatrial.gitops.sync.clientside import LAST_APPLIED
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.gitops.driving import Driver

    from seatrial.kube.model.objects import Object


def service_account_namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def definition() -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def widget(name: str, **annotations: str) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, "annotations": annotations}}


async def managers(driver: Driver, name: str) -> set[tuple[str, str]]:
    found = await driver.get("configmaps", name)
    assert found is not None
    return {(entry["manager"], entry["operation"]) for entry in found["metadata"]["managedFields"]}


async def test_server_side_apply_is_the_default_and_takes_fields_over(driver: Driver) -> None:
    await driver.create({**config_map("a", data={"key": "theirs"}), "metadata": {"name": "a", "namespace": "default"}})
    state = await driver.sync(config_map("a", data={"key": "ours"}))
    assert driver.result(state, "a")["message"] == "configmap/a serverside-applied"
    found = await driver.get("configmaps", "a")
    assert found is not None
    assert found["data"] == {"key": "ours"}
    assert (names.FIELD_MANAGER, "Apply") in await managers(driver, "a")


async def test_a_field_dropped_from_git_is_dropped_live(driver: Driver) -> None:
    await driver.sync(config_map("a", data={"one": "1", "two": "2"}))
    await driver.sync(config_map("a", data={"one": "1"}))
    found = await driver.get("configmaps", "a")
    assert found is not None
    assert found["data"] == {"one": "1"}


async def test_fields_of_kubectl_apply_are_moved_so_that_they_can_be_dropped(driver: Driver) -> None:
    resource = await driver.live.mapper.for_name("configmaps")
    body = {**config_map("a", data={"one": "1", "two": "2"}), "metadata": {"name": "a"}}
    query = [("fieldManager", "kubectl-client-side-apply")]
    headers = {"content-type": "application/json", "accept": "application/json"}
    await driver.client.raw("POST", resource.path("default"), query=query, headers=headers, body=body)
    await driver.seen(await driver.client.get(resource, "a", "default"))
    await driver.sync(config_map("a", data={"one": "1"}))
    found = await driver.get("configmaps", "a")
    assert found is not None
    assert found["data"] == {"one": "1"}
    assert ("kubectl-client-side-apply", "Update") not in await managers(driver, "a")


async def test_client_side_apply_says_created_configured_unchanged(driver: Driver) -> None:
    driver.options = ("ServerSideApply=false",)
    messages = []
    for data in ({"one": "1", "two": "2"}, {"one": "1", "two": "2"}, {"one": "3"}):
        await driver.merge_if_there("configmaps", "a", {"data": {"foreign": "kept"}})
        state = await driver.sync(config_map("a", data=data))
        messages.append(driver.result(state, "a")["message"])
    assert messages == ["configmap/a created", "configmap/a unchanged", "configmap/a configured"]
    found = await driver.get("configmaps", "a")
    assert found is not None
    assert found["data"] == {"one": "3", "foreign": "kept"}
    assert LAST_APPLIED in objects.annotations(found)


async def test_a_resource_chooses_its_way_of_apply_for_itself(driver: Driver) -> None:
    made = annotated(config_map("a"), names.SYNC_OPTIONS, "ServerSideApply=false")
    state = await driver.sync(made, config_map("b"))
    assert driver.result(state, "a")["message"] == "configmap/a created"
    assert driver.result(state, "b")["message"] == "configmap/b serverside-applied"


async def test_replace_puts_the_manifest_in_place_of_the_object(driver: Driver) -> None:
    await driver.sync(config_map("a"))
    await driver.merge("configmaps", "a", {"data": {"foreign": "gone"}})
    before = await driver.get("configmaps", "a")
    state = await driver.sync(annotated(config_map("a"), names.SYNC_OPTIONS, "Replace=true"))
    assert driver.result(state, "a")["message"] == "configmap/a replaced"
    after = await driver.get("configmaps", "a")
    assert before is not None
    assert after is not None
    assert after["data"] == {"key": "value"}
    assert objects.uid(after) == objects.uid(before)


async def test_force_makes_anew_what_cannot_be_changed(driver: Driver) -> None:
    await driver.sync({**config_map("a", data={"key": "old"}), "immutable": True})
    changed: dict[str, Any] = {**config_map("a", data={"key": "new"}), "immutable": True}
    state = await driver.sync(changed)
    assert state["phase"] == "Failed"
    state = await driver.sync(changed, syncStrategy={"hook": {"force": True}})
    assert state["phase"] == "Succeeded"
    found = await driver.get("configmaps", "a")
    assert found is not None
    assert found["data"] == {"key": "new"}


async def test_unknown_fields_are_refused_unless_validation_is_off(driver: Driver) -> None:
    odd = {**config_map("a"), "typo": True}
    state = await driver.sync(odd)
    assert state["phase"] == "Failed"
    assert "typo" in driver.result(state, "a")["message"]
    state = await driver.sync({**config_map("b"), "metadata": odd["metadata"] | {"name": "b"}})
    assert state["phase"] == "Succeeded"


async def test_validate_false_is_passed_on(driver: Driver) -> None:
    made = annotated({**config_map("a"), "typo": True}, names.SYNC_OPTIONS, "Validate=false,ServerSideApply=false")
    state = await driver.sync(made)
    assert state["phase"] == "Succeeded"


async def test_create_namespace_makes_the_destination_first(driver: Driver) -> None:
    driver.namespace, driver.options = "shop", ("CreateNamespace=true",)
    driver.namespace_metadata = {"labels": {"team": "a"}}
    state = await driver.sync(config_map("a"))
    assert state["phase"] == "Succeeded"
    assert len(driver.states) <= 2
    assert driver.result(state, "shop", "PreSync")["status"] == "Synced"
    found = await driver.get("namespaces", "shop")
    assert found is not None
    assert objects.labels(found)["team"] == "a"


async def test_changed_namespace_metadata_is_applied(driver: Driver) -> None:
    driver.namespace, driver.options = "shop", ("CreateNamespace=true",)
    driver.namespace_metadata = {"labels": {"team": "a", "old": "x"}}
    await driver.sync(config_map("a"))
    driver.namespace_metadata = {"labels": {"team": "b"}}
    await driver.sync(config_map("a"))
    found = await driver.get("namespaces", "shop")
    assert found is not None
    assert objects.labels(found)["team"] == "b"
    assert "old" not in objects.labels(found)
    state = await driver.sync(config_map("a"))
    assert driver.result(state, "shop", "PreSync") == {}


async def test_a_namespace_in_git_beats_create_namespace(driver: Driver) -> None:
    driver.namespace, driver.options = "shop", ("CreateNamespace=true",)
    state = await driver.sync(config_map("a"), annotated(service_account_namespace("shop"), "from", "git"))
    assert state["phase"] == "Succeeded"
    assert driver.result(state, "shop", "Sync")["status"] == "Synced"
    assert driver.result(state, "shop", "PreSync") == {}


async def test_a_definition_comes_before_its_objects_and_is_waited_for(driver: Driver) -> None:
    state = await driver.sync(widget("w"), definition())
    assert state["phase"] == "Succeeded"
    assert [item["kind"] for item in state["syncResult"]["resources"]] == ["CustomResourceDefinition", "Widget"]


async def test_a_kind_nobody_serves_fails_before_anything_is_changed(driver: Driver) -> None:
    state = await driver.sync(config_map("a"), widget("w"))
    assert state["message"].startswith("one or more synchronization tasks are not valid")
    assert await driver.get("configmaps", "a") is None


async def test_skip_dry_run_on_missing_resource_lets_the_rest_be_applied(driver: Driver) -> None:
    made = widget("w", **{names.SYNC_OPTIONS: "SkipDryRunOnMissingResource=true"})
    state = await driver.sync(config_map("a"), made)
    assert driver.result(state, "w")["status"] == "SyncFailed"
    assert await driver.get("configmaps", "a") is not None


async def test_out_of_sync_only_leaves_the_rest_out(driver: Driver) -> None:
    await driver.sync(config_map("same"), config_map("other"))
    driver.options = ("ApplyOutOfSyncOnly=true",)
    driver.unmodified = frozenset({objects.Ref("", "ConfigMap", "default", "same")})
    state = await driver.sync(config_map("same"), config_map("other", data={"key": "new"}))
    assert [item["name"] for item in state["syncResult"]["resources"]] == ["other"]


async def test_what_the_compare_found_unmodified_is_listed_and_not_sent(driver: Driver) -> None:
    await driver.sync(config_map("same"))
    driver.applied.clear()
    driver.unmodified = frozenset({objects.Ref("", "ConfigMap", "default", "same")})
    state = await driver.sync(config_map("same"))
    assert driver.result(state, "same")["message"] == "configmap/same unchanged"
    assert driver.applied == []


async def test_respect_ignore_differences_applies_the_live_value(driver: Driver) -> None:
    await driver.sync(deployment("web"))
    resource = await driver.live.mapper.for_name("deployments")
    made = await driver.client.patch(resource, "web", {"spec": {"replicas": 4}}, "default", type=PatchType.MERGE)
    await driver.seen(made)
    driver.options = ("RespectIgnoreDifferences=true",)
    driver.keep_ignored = lambda target, live: {
        **target, "spec": {**target["spec"], "replicas": live["spec"]["replicas"]},
    }  # fmt: skip
    await driver.sync(deployment("web", revisionHistoryLimit=3))
    found = await driver.get("deployments", "web")
    assert found is not None
    assert (found["spec"]["replicas"], found["spec"]["revisionHistoryLimit"]) == (4, 3)


async def test_fail_on_shared_resource(driver: Driver) -> None:
    await driver.create(driver.tracked(config_map("a"), instance="other")[0])
    driver.options = ("FailOnSharedResource=true",)
    state = await driver.sync(config_map("a", data={"key": "mine"}))
    assert state["phase"] == "Failed"
    assert "applications other and app" in state["message"]
    found = await driver.get("configmaps", "a")
    assert found is not None
    assert found["data"] == {"key": "value"}


async def test_a_failed_sync_is_retried_with_the_newer_manifests(driver: Driver) -> None:
    bad = config_map("a")
    bad["data"] = {"key": {"not": "text"}}
    operation = driver.operation(bad, retry={"limit": 2, "backoff": {"duration": "1s", "factor": 1}})
    progress = await operation.advance()
    assert progress.state["phase"] == "Running"
    assert progress.state["retryCount"] == 1
    assert progress.requeue_after is not None
    assert "Retrying attempt #1 at" in progress.state["message"]
    operation.restart(revision="2" * 40)
    operation.use(driver.desired(config_map("a")))
    state = await driver.drive(operation)
    assert state["phase"] == "Succeeded"
    assert state["retryCount"] == 1
    assert state["syncResult"]["revision"] == "2" * 40


async def test_retries_end_at_their_limit(driver: Driver) -> None:
    bad = config_map("a")
    bad["data"] = {"key": {"not": "text"}}
    state = await driver.sync(bad, retry={"limit": 2, "backoff": {"duration": "0s", "factor": 1}})
    assert (state["phase"], state["retryCount"]) == ("Failed", 2)


async def test_nothing_is_applied_when_the_manifests_are_in_doubt(driver: Driver) -> None:
    from dataclasses import replace

    operation = driver.operation(config_map("a"))
    operation.use(replace(driver.desired(config_map("a")), has_source_error="ComparisonError: no such path"))
    state = await driver.drive(operation)
    assert state["phase"] == "Error"
    assert await driver.get("configmaps", "a") is None


async def test_one_config_map_costs_one_call(driver: Driver) -> None:
    """With the two writes of the state, at begin and end, three."""
    calls: list[str] = []
    send = driver.client.transport.send

    async def counted(request: Any) -> Any:
        calls.append(f"{request.method} {request.path}")
        return await send(request)

    await driver.live.mapper.resources()
    driver.client.transport.send = counted  # type: ignore[method-assign]
    await driver.sync(config_map("a"))
    assert calls == ["PATCH /api/v1/namespaces/default/configmaps/a"]
