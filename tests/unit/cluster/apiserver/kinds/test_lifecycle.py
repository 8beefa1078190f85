"""What the server sets and keeps over an object's life."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.apiserver import kinds
from seatrial.kube.model import objects, resources
from seatrial.kube.model.resources import Resource, SubResource

CONTAINER = {"name": "a", "image": "b"}
STATUS = SubResource("status", "example.com", "v1", "Widget", ("get", "patch", "update"))
WIDGET = Resource("example.com", "v1", "Widget", "widgets", True, subresources=(STATUS,))
GATEWAY = Resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways", True)


def make(api_version: str, kind: str, **content: Any) -> tuple[Resource, dict[str, Any]]:
    meta = {"name": "x", "namespace": "n", "uid": "u-1", **content.pop("metadata", {})}
    return resources.for_kind(api_version, kind), {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": meta,
        **content,
    }


def created(api_version: str, kind: str, **content: Any) -> tuple[Resource, dict[str, Any]]:
    resource, obj = make(api_version, kind, **content)
    kinds.default(resource, obj)
    kinds.prepare_create(resource, obj)
    return resource, obj


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m"}}, "Burstable"),
    ],
)
def test_a_new_pod_is_pending_with_its_quality_of_service(requirements: dict[str, Any], expected: str) -> None:
    container = {**CONTAINER, "resources": requirements}
    _, obj = created("v1", "Pod", spec={"containers": [container]}, status={"phase": "Running"})
    assert obj["status"] == {"phase": "Pending", "qosClass": expected}
    assert obj["metadata"]["generation"] == 1


def test_a_gated_pod_says_so() -> None:
    _, obj = created("v1", "Pod", spec={"containers": [CONTAINER], "schedulingGates": [{"name": "wait"}]})
    assert obj["status"]["conditions"][0]["reason"] == "SchedulingGated"


def test_a_new_namespace_is_active_labelled_and_finalized() -> None:
    resource, obj = created("v1", "Namespace")
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert obj["spec"] == {"finalizers": ["kubernetes"]}
    assert obj["status"] == {"phase": "Active"}
    assert "generation" not in obj["metadata"]
    new = {**objects.clone(obj), "spec": {}}
    kinds.prepare_update(resource, new, obj)
    assert new["spec"] == {"finalizers": ["kubernetes"]}


def test_string_data_of_a_secret_goes_into_its_data() -> None:
    resource, obj = created("v1", "Secret", data={"a": "b2xk", "b": "a2VlcA=="}, stringData={"a": "new"})
    assert obj["data"] == {"a": "bmV3", "b": "a2VlcA=="}
    assert "stringData" not in obj
    new = {**objects.clone(obj), "stringData": {"c": "é"}}
    kinds.default(resource, new)
    assert new["data"]["c"] == "w6k="


def test_a_job_selects_its_pods_by_its_uid() -> None:
    _, obj = created("batch/v1", "Job", spec={"template": {"spec": {"containers": [CONTAINER]}}})
    labels = {
        "batch.kubernetes.io/controller-uid": "u-1",
        "batch.kubernetes.io/job-name": "x",
        "controller-uid": "u-1",
        "job-name": "x",
    }
    assert obj["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    assert obj["spec"]["template"]["metadata"]["labels"] == labels
    assert obj["metadata"]["labels"] == labels


def test_a_job_with_its_own_selector_is_left_alone() -> None:
    spec = {"manualSelector": True, "template": {"spec": {"containers": [CONTAINER]}}}
    _, obj = created("batch/v1", "Job", spec=spec)
    assert "selector" not in obj["spec"]


def test_a_new_object_brings_no_status_unless_it_is_a_node() -> None:
    template = {"spec": {"containers": [CONTAINER]}}
    _, deployment = created("apps/v1", "Deployment", spec={"template": template}, status={"replicas": 9})
    assert deployment["status"] == {}
    _, service = created("v1", "Service", spec={}, status={"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}})
    assert service["status"] == {"loadBalancer": {}}
    _, node = created("v1", "Node", status={"capacity": {"cpu": "1"}})
    assert node["status"] == {"capacity": {"cpu": "1"}, "allocatable": {"cpu": "1"}}


def test_deletion_cannot_be_asked_for_at_creation() -> None:
    _, obj = created("v1", "ConfigMap", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert "deletionTimestamp" not in obj["metadata"]


def test_generation_counts_changes_of_the_specification_only() -> None:
    resource, old = created("apps/v1", "Deployment", spec={"template": {"spec": {"containers": [CONTAINER]}}})
    new = objects.clone(old)
    new["metadata"] |= {"labels": {"a": "b"}, "generation": 99}
    new["status"] = {"replicas": 5}
    kinds.prepare_update(resource, new, old)
    assert (new["metadata"]["generation"], new["status"]) == (1, {})
    new["spec"]["replicas"] = 3
    kinds.prepare_update(resource, new, old)
    assert new["metadata"]["generation"] == 2


def test_kinds_without_a_generation_do_not_get_one() -> None:
    resource, old = created("v1", "ConfigMap", data={"a": "1"})
    new = {**objects.clone(old), "data": {"a": "2"}}
    kinds.prepare_update(resource, new, old)
    assert "generation" not in new["metadata"]


def test_custom_resources_count_generations_and_keep_status_apart() -> None:
    obj: dict[str, Any] = {"metadata": {"name": "x"}, "spec": {"size": 1}, "status": {"ready": True}}
    kinds.prepare_create(WIDGET, obj)
    assert obj == {"metadata": {"name": "x", "generation": 1}, "spec": {"size": 1}}
    new = {"metadata": {"name": "x"}, "spec": {"size": 2}, "status": {"ready": True}}
    kinds.prepare_update(WIDGET, new, obj)
    assert new == {"metadata": {"name": "x", "generation": 2}, "spec": {"size": 2}}


def test_a_custom_resource_without_the_sub_resource_owns_its_status() -> None:
    old: dict[str, Any] = {"metadata": {"name": "x", "generation": 1}, "status": {"a": 1}}
    new: dict[str, Any] = {"metadata": {"name": "x"}, "status": {"a": 2}}
    kinds.prepare_update(GATEWAY, new, old)
    assert (new["status"], new["metadata"]["generation"]) == ({"a": 2}, 2)


def test_a_status_update_of_a_custom_resource_changes_nothing_else() -> None:
    old = {"metadata": {"name": "x", "labels": {"a": "b"}, "resourceVersion": "1"}, "spec": {"size": 1}}
    new: dict[str, Any] = {
        "metadata": {"name": "x", "annotations": {"c": "d"}, "resourceVersion": "2", "managedFields": [{}]},
        "spec": {"size": 9},
        "status": {"ready": True},
    }
    kinds.prepare_status_update(WIDGET, new, old)
    meta = {"name": "x", "labels": {"a": "b"}, "resourceVersion": "2", "managedFields": [{}]}
    assert new == {"metadata": meta, "spec": {"size": 1}, "status": {"ready": True}}


def test_a_status_update_of_a_pod_may_annotate_it_but_not_own_it() -> None:
    resource, old = created("v1", "Pod", spec={"containers": [CONTAINER]})
    new = objects.clone(old)
    new["metadata"] |= {"annotations": {"a": "b"}, "ownerReferences": [{"name": "z"}], "generation": 7}
    new["spec"]["nodeName"] = "stolen"
    new["status"] = {"phase": "Running"}
    kinds.prepare_status_update(resource, new, old)
    assert new["metadata"] == {**old["metadata"], "annotations": {"a": "b"}}
    assert new["spec"] == old["spec"]
    assert new["status"] == {"phase": "Running", "qosClass": "BestEffort"}


def test_a_status_update_of_a_deployment_keeps_its_labels() -> None:
    resource, old = make("apps/v1", "Deployment", metadata={"labels": {"a": "b"}}, spec={})
    new = objects.clone(old)
    new["metadata"]["labels"] = {"x": "y"}
    new["status"] = {"replicas": 1}
    kinds.prepare_status_update(resource, new, old)
    assert new["metadata"]["labels"] == {"a": "b"}


def test_replacing_a_service_keeps_what_was_allocated() -> None:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30001}]
    spec = {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": ports}
    resource, old = make("v1", "Service", spec=spec)
    _, new = make("v1", "Service", spec={"type": "NodePort", "ports": [{"port": 80}]})
    kinds.default(resource, new)
    kinds.prepare_update(resource, new, old)
    assert new["spec"]["clusterIPs"] == ["10.0.0.1"]
    assert new["spec"]["ports"][0]["nodePort"] == 30001


def test_a_service_that_changes_its_type_loses_what_the_new_one_cannot_have() -> None:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30001}]
    resource, old = make("v1", "Service", spec={"type": "NodePort", "ports": ports})
    kinds.default(resource, old)
    new = objects.clone(old)
    new["spec"]["type"] = "ClusterIP"
    kinds.prepare_update(resource, new, old)
    assert "nodePort" not in new["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in new["spec"]
    assert kinds.validate(resource, new) == []


@pytest.mark.parametrize(
    ("spec", "phase", "asked", "expected"),
    [
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", 5, 5),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", 0, 0),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", -1, 1),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Succeeded", None, 0),
        ({"terminationGracePeriodSeconds": 30}, "Pending", 60, 0),
    ],
)
def test_a_pod_gets_time_to_end_only_if_it_can_be_running(
    spec: dict[str, Any], phase: str, asked: int | None, expected: int
) -> None:
    resource, obj = make("v1", "Pod", spec=spec, status={"phase": phase})
    assert kinds.default_grace(resource, obj, asked) == expected


def test_other_kinds_go_at_once() -> None:
    assert kinds.default_grace(*make("v1", "ConfigMap"), asked=30) is None


def test_which_kinds_put_creates_and_overwrites() -> None:
    lease = resources.for_kind("coordination.k8s.io/v1", "Lease")
    pod = resources.for_kind("v1", "Pod")
    assert (kinds.allows_create_on_update(lease), kinds.allows_unconditional_update(lease)) == (True, False)
    assert (kinds.allows_create_on_update(pod), kinds.allows_unconditional_update(pod)) == (False, True)
    assert not kinds.allows_unconditional_update(WIDGET)


FIELDS: list[tuple[str, str, dict[str, Any], dict[str, str]]] = [
    (
        "v1",
        "Pod",
        {
            "spec": {"nodeName": "n1", "hostNetwork": True},
            "status": {"phase": "Running", "podIPs": [{"ip": "1.2.3.4"}]},
        },
        {
            "metadata.name": "x",
            "metadata.namespace": "n",
            "spec.nodeName": "n1",
            "spec.hostNetwork": "true",
            "status.phase": "Running",
            "status.podIP": "1.2.3.4",
            "status.nominatedNodeName": "",
        },
    ),
    ("v1", "Node", {}, {"spec.unschedulable": "false"}),
    ("v1", "Secret", {"type": "Opaque"}, {"type": "Opaque"}),
    ("v1", "Namespace", {"status": {"phase": "Active"}}, {"status.phase": "Active"}),
    ("v1", "Service", {"spec": {"type": "ClusterIP"}}, {"spec.type": "ClusterIP", "spec.clusterIP": ""}),
    ("batch/v1", "Job", {"status": {"succeeded": 2}}, {"status.successful": "2"}),
    ("apps/v1", "ReplicaSet", {}, {"status.replicas": "0"}),
    (
        "v1",
        "Event",
        {"involvedObject": {"kind": "Pod", "name": "p"}, "reportingComponent": "kubelet", "type": "Normal"},
        {"involvedObject.kind": "Pod", "involvedObject.name": "p", "source": "kubelet", "type": "Normal"},
    ),
    ("events.k8s.io/v1", "Event", {"regarding": {"name": "p"}}, {"regarding.name": "p"}),
]


@pytest.mark.parametrize(("api_version", "kind", "content", "expected"), FIELDS)
def test_fields_a_selector_can_name(
    api_version: str, kind: str, content: dict[str, Any], expected: dict[str, str]
) -> None:
    resource, obj = make(api_version, kind, **content)
    found = kinds.selectable_fields(resource, obj)
    assert {key: found[key] for key in expected} == expected
    assert kinds.field_labels(resource) == set(found)


def test_only_metadata_is_selectable_where_nothing_else_is_named() -> None:
    resource = resources.for_kind("v1", "ConfigMap")
    assert kinds.field_labels(resource) == {"metadata.name", "metadata.namespace"}


@pytest.mark.parametrize(
    ("api_version", "kind", "name", "fine"),
    [
        ("v1", "Pod", "web.example.com", True),
        ("v1", "Pod", "web_1", False),
        ("v1", "Pod", "a" * 254, False),
        ("v1", "Namespace", "a.b", False),
        ("v1", "Service", "1-web", True),
        ("v1", "Service", "a.b", False),
        ("rbac.authorization.k8s.io/v1", "Role", "system:node_x", True),
        ("rbac.authorization.k8s.io/v1", "Role", "a/b", False),
        ("batch/v1", "CronJob", "a" * 53, False),
        ("networking.k8s.io/v1", "IPAddress", "10.0.0.1", True),
        ("networking.k8s.io/v1", "IPAddress", "web", False),
    ],
)
def test_names_follow_the_rule_of_their_kind(api_version: str, kind: str, name: str, fine: bool) -> None:
    complaints = kinds.validate_name(resources.for_kind(api_version, kind), name)
    assert (complaints == []) is fine
