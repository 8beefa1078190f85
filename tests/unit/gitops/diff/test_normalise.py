"""What is not compared, and what is spelled alike."""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.gitops.api.settings import Settings
from seatrial.gitops.diff.keep import keep_ignored, keep_scaled
from seatrial.gitops.diff.normalise import normalise, normalise_pair, remove
from seatrial.gitops.diff.rules import NOTHING, ObjectRules, Rules, scaled_by
from seatrial.gitops.diff.sandbox import Sandbox, ScriptFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seatrial.kube.model.objects import Object


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def deployment(**spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"}, "spec": spec}


def test_what_only_the_server_writes_is_left_out_and_the_object_stays_as_it_was() -> None:
    metadata: Object = {"name": "a", "uid": "1", "creationTimestamp": None, "resourceVersion": "1"}
    metadata["managedFields"] = [{}]
    last = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**metadata, "annotations": last}, "status": {}}
    assert normalise(obj, NOTHING) == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert obj["metadata"]["uid"] == "1"  # type: ignore[index]


def test_the_status_is_kept_where_the_settings_say() -> None:
    rules = Rules.of((), Settings(ignore_status_of="none"))
    obj = {**deployment(), "status": {"replicas": 1}}
    assert "status" in normalise(obj, rules.of_object(obj))
    assert "status" not in normalise(obj, NOTHING)


def test_strings_of_a_secret_become_data() -> None:
    obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"n": None}, "stringData": {"a": "b"}}
    assert normalise(obj, NOTHING)["data"] == {"n": "", "a": "Yg=="}


def test_rules_of_aggregated_roles_are_ignored_if_the_settings_say_so() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "aggregationRule": {"x": []}}
    rules = Rules.of((), Settings(ignore_aggregated_roles=True)).of_object(role)
    assert normalise({**role, "rules": [{}]}, rules)["rules"] is None
    assert normalise({**role, "rules": [{}]}, NOTHING)["rules"] == [{}]
    assert normalise({**role, "rules": []}, NOTHING)["rules"] is None


def test_endpoints_are_compared_without_order_and_with_the_default_protocol() -> None:
    def endpoints(*ips: str, **port: Any) -> Object:
        subset = {"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": 80, **port}]}
        return {"apiVersion": "v1", "kind": "Endpoints", "subsets": [subset]}

    assert normalise(endpoints("1", "2"), NOTHING) == normalise(endpoints("2", "1", protocol="TCP"), NOTHING)


def test_quantities_in_known_fields_of_custom_resources_are_spelled_alike() -> None:
    def rollout(cpu: Any) -> Object:
        spec = {"containers": [{"name": "a", "resources": {"limits": {"cpu": cpu}}}]}
        return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"template": {"spec": spec}}}

    rules = Rules.of().of_object(rollout(1))
    assert normalise(rollout("1000m"), rules) == normalise(rollout(1), rules) == normalise(rollout("1"), rules)


@pytest.mark.parametrize(
    ("pointer", "left"),
    [
        ("/a/0", {"a": [2], "b/c": 1, "d": {"~": 1}}),
        ("/b~1c", {"a": [1, 2], "d": {"~": 1}}),
        ("/d/~0", {"a": [1, 2], "b/c": 1, "d": {}}),
        ("/a/9", None),
        ("/a/-", None),
        ("/x/y", None),
        ("", None),
        ("a", None),
        ("/a/x/y", None),
    ],
)
def test_a_pointer_removes_what_it_names_and_a_missing_path_is_fine(pointer: str, left: Object | None) -> None:
    obj: Object = {"a": [1, 2], "b/c": 1, "d": {"~": 1}}
    expected = left if left is not None else {"a": [1, 2], "b/c": 1, "d": {"~": 1}}
    remove(obj, pointer)
    assert obj == expected


def test_jq_paths_are_deleted_and_wrong_ones_ignore_nothing(sandbox: Sandbox) -> None:
    obj = deployment(containers=[{"name": "a", "x": 1}, {"name": "b", "x": 2}])
    jq = ('.spec.containers[] | select(.name == "a") | .x', ".spec.(", ".a), (.b", ".spec.no.such")
    made = normalise(obj, ObjectRules(jq=jq), sandbox)
    assert made["spec"]["containers"] == [{"name": "a"}, {"name": "b", "x": 2}]


def test_an_endless_jq_path_is_ended_and_not_tried_again(sandbox: Sandbox) -> None:
    with pytest.raises(ScriptFailed, match="a second of CPU"):
        sandbox.delete_by_jq("until(false; .)", {})
    with pytest.raises(ScriptFailed, match="not run again"):
        sandbox.delete_by_jq("until(false; .)", {})
    assert sandbox.delete_by_jq(".a", {"a": 1, "b": 2}) == {"b": 2}


def test_jq_sees_no_environment_and_no_files(sandbox: Sandbox) -> None:
    for expression in ("env.PATH", "$ENV.HOME", 'import "x" as $x; .', "input", "input_filename"):
        with pytest.raises(ScriptFailed) as failed:
            sandbox.delete_by_jq(expression, {})
        assert "/usr" not in failed.value.message


def test_fields_of_an_ignored_manager_are_alike_and_others_are_not() -> None:
    entry = {"manager": "scaler", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    live = deployment(replicas=5, paused=True)
    live["metadata"] = {**live["metadata"], "managedFields": [entry]}
    predicted = deployment(replicas=1, paused=True)
    one, other = normalise_pair(live, predicted, ObjectRules(managers=("scaler",)))
    assert one == other
    one, other = normalise_pair(live, deployment(replicas=1), ObjectRules(managers=("scaler",)))
    assert (one["spec"], other["spec"]) == ({"replicas": 5, "paused": True}, {"replicas": 5})


def test_rules_choose_objects_by_globs_of_kind_and_by_exact_name() -> None:
    rules = Rules.of(
        [
            {"group": "*", "kind": "Deploy*", "jsonPointers": ["/a"]},
            {"group": "apps", "kind": "Deployment", "name": "web", "namespace": "n", "jsonPointers": ["/b"]},
            {"group": "apps", "kind": "Deployment", "name": "other", "jsonPointers": ["/c"]},
            {"group": "", "kind": "Deployment", "jsonPointers": ["/d"]},
        ]
    )
    assert rules.of_object(deployment()).pointers == ("/a", "/b")


def test_a_sync_keeps_live_values_of_what_is_ignored(sandbox: Sandbox) -> None:
    rules = Rules.of(
        [{"group": "apps", "kind": "*", "jsonPointers": ["/spec/a"], "jqPathExpressions": [".spec.l[0].x", ".spec.n"]}]
    )
    live = {**deployment(a=1, b=1, l=[{"name": "i", "x": 1, "y": 1}], n=3), "status": {"s": 1}}
    target = deployment(a=2, b=2, l=[{"name": "i", "x": 2, "y": 2}], n=4)
    assert keep_ignored(target, live, rules, sandbox)["spec"] == {
        "a": 1, "b": 2, "l": [{"name": "i", "x": 1, "y": 2}], "n": 3,
    }  # fmt: skip
    assert "status" not in keep_ignored(target, live, rules, sandbox)


def test_a_sync_keeps_the_replicas_an_autoscaler_set() -> None:
    scale = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    rules = Rules.of(scaled=scaled_by([{"metadata": {"namespace": "n"}, "spec": {"scaleTargetRef": scale}}]))
    assert keep_scaled(deployment(replicas=1), deployment(replicas=7), rules)["spec"]["replicas"] == 7
    assert keep_scaled(deployment(), deployment(replicas=7), rules) == deployment()
    assert keep_scaled(deployment(replicas=1), deployment(replicas=7), Rules.of())["spec"]["replicas"] == 1


def test_a_deployment_is_normalised_quickly() -> None:
    containers = [
        {"name": f"c{n}", "image": "x", "env": [{"name": f"E{i}", "value": "v"} for i in range(20)]} for n in "ab"
    ]
    obj = deployment(replicas=1, template={"spec": {"containers": containers}})
    rules = ObjectRules(pointers=("/spec/replicas",))
    best = min(timeit.repeat(lambda: normalise(obj, rules), number=100, repeat=5)) / 100
    assert best < 200e-6
