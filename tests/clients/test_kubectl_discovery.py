"""kubectl finds out what the server is and has: version, api-resources, explain, cluster-info, get --raw."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_version_names_the_server_and_is_within_the_supported_skew(kubectl: Any) -> None:
    shown = kubectl.json("version")
    assert shown["serverVersion"]["gitVersion"].startswith("v1.37.2+seatrial.")
    assert (shown["serverVersion"]["major"], shown["serverVersion"]["minor"]) == ("1", "37")
    done = kubectl.result("version")
    assert "Server Version: v1.37.2+seatrial." in done.stdout
    assert done.stderr == ""  # a warning would say that client and server are too far apart


def test_cluster_info_says_where_the_control_plane_is(kubectl: Any, up: Any) -> None:
    assert f"control plane is running at {up.url}\n" in kubectl("cluster-info")


def test_api_versions_are_the_stable_ones_and_no_others(kubectl: Any) -> None:
    versions = kubectl("api-versions").split()
    assert {"v1", "apps/v1", "batch/v1", "autoscaling/v1", "autoscaling/v2", "rbac.authorization.k8s.io/v1"} <= set(
        versions
    )
    # The custom resources of the GitOps engine and of the pipeline.
    ours = {"argoproj.io/v1alpha1", "bitnami.com/v1alpha1", "seatrial.dev/v1alpha1"}
    assert not [version for version in versions if ("alpha" in version or "beta" in version) and version not in ours]


def test_api_resources_in_full(kubectl: Any) -> None:
    shown = {line.split()[0]: line.split()[1:] for line in kubectl("api-resources", "--no-headers").splitlines()}
    assert shown["deployments"] == ["deploy", "apps/v1", "true", "Deployment"]
    assert shown["nodes"] == ["no", "v1", "false", "Node"]
    assert shown["customresourcedefinitions"] == [
        "crd,crds",
        "apiextensions.k8s.io/v1",
        "false",
        "CustomResourceDefinition",
    ]
    assert len(shown) > 55


def test_api_resources_of_one_group_with_verbs_and_categories(kubectl: Any) -> None:
    lines = kubectl("api-resources", "--api-group=apps", "-o", "wide", "--no-headers").splitlines()
    shown = {line.split()[0]: line.split() for line in lines}
    verbs = "create,delete,deletecollection,get,list,patch,update,watch"
    assert shown["statefulsets"] == ["statefulsets", "sts", "apps/v1", "true", "StatefulSet", verbs, "all"]
    assert sorted(shown) == ["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]


def test_api_resources_of_the_category_all(kubectl: Any) -> None:
    assert kubectl("api-resources", "--categories=all", "-o", "name").split() == [
        "pods",
        "replicationcontrollers",
        "services",
        "daemonsets.apps",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "horizontalpodautoscalers.autoscaling",
        "cronjobs.batch",
        "jobs.batch",
    ]


def test_api_resources_by_scope_and_verb(kubectl: Any) -> None:
    cluster_wide = kubectl("api-resources", "--namespaced=false", "--verbs=list,watch", "-o", "name").split()
    assert {"namespaces", "nodes", "clusterroles.rbac.authorization.k8s.io"} <= set(cluster_wide)
    assert not {"pods", "selfsubjectreviews.authentication.k8s.io"} & set(cluster_wide)


def test_explain_a_kind(kubectl: Any) -> None:
    text = kubectl("explain", "deployment")
    assert text.startswith("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n")
    assert "Deployment enables declarative updates for Pods and ReplicaSets." in text
    assert "  spec\t<DeploymentSpec>" in text


@pytest.mark.parametrize(
    ("field", "head", "within"),
    [
        ("pods.spec.containers", "FIELD: containers <[]Container>", "  name\t<string> -required-"),
        ("svc.spec.ports.targetPort", "FIELD: targetPort <IntOrString>", "Number or name of the port to access"),
        ("hpa.spec.metrics.resource", "FIELD: resource <ResourceMetricSource>", "  target\t<MetricTarget> -required-"),
        ("ingress.spec.rules.host", "FIELD: host <string>", "fully qualified domain name"),
    ],
)
def test_explain_a_field(kubectl: Any, field: str, head: str, within: str) -> None:
    text = kubectl("explain", field)
    assert head in text
    assert within in text


def test_explain_goes_down_the_whole_tree(kubectl: Any) -> None:
    text = kubectl("explain", "cronjob.spec", "--recursive")
    assert "    spec\t<JobSpec>\n" in text
    assert "                secretKeyRef\t<SecretKeySelector>\n" in text
    assert "  schedule\t<string> -required-\n" in text


def test_explain_reads_the_older_schema_too(kubectl: Any) -> None:
    text = kubectl("explain", "hpa", "--api-version=autoscaling/v1", "--output=plaintext-openapiv2")
    assert text.startswith("KIND:     HorizontalPodAutoscaler\nVERSION:  autoscaling/v1\n")
    assert "   spec\t<Object> -required-\n     spec defines the behaviour of autoscaler." in text


def test_explain_of_what_is_not_there(kubectl: Any) -> None:
    assert 'field "colour" does not exist' in kubectl.fails("explain", "pod.spec.colour")
    assert 'the server doesn\'t have a resource type "boat"' in kubectl.fails("explain", "boat")


def test_raw_paths(kubectl: Any) -> None:
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert "[+]store ok\n" in kubectl("get", "--raw", "/readyz?verbose")
    assert json.loads(kubectl("get", "--raw", "/api"))["versions"] == ["v1"]
    namespace = json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}"))
    assert (namespace["kind"], namespace["status"]["phase"]) == ("Namespace", "Active")
    paths = json.loads(kubectl("get", "--raw", "/openapi/v3"))["paths"]
    assert paths["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")
    assert "/api/v1" in json.loads(kubectl("get", "--raw", "/"))["paths"]


def test_a_raw_path_that_is_not_there(kubectl: Any) -> None:
    assert "(NotFound): the server could not find the requested resource" in kubectl.fails("get", "--raw", "/nothing")


def test_a_kind_the_server_does_not_have(kubectl: Any) -> None:
    assert kubectl.fails("get", "boats") == 'error: the server doesn\'t have a resource type "boats"\n'
    missing = kubectl.fails("create", "-f", "-", stdin="{apiVersion: v1, kind: Boat, metadata: {name: ada}}")
    assert 'no matches for kind "Boat" in version "v1"' in missing
    assert "ensure CRDs are installed first" in missing
