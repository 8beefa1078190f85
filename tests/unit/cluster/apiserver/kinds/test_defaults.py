"""Which defaults each kind gets: the ones clients compare with what they applied."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.apiserver import kinds
from seatrial.cluster.apiserver.kinds.podspec.defaults import pull_policy
from seatrial.kube.model import resources


def defaulted(api_version: str, kind: str, **content: Any) -> dict[str, Any]:
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **content}
    kinds.default(resources.for_kind(api_version, kind), obj)
    return obj


def pod(**spec: Any) -> dict[str, Any]:
    spec.setdefault("containers", [{"name": "a", "image": "nginx"}])
    found: dict[str, Any] = defaulted("v1", "Pod", spec=spec)["spec"]
    return found


def test_a_pod_gets_what_the_scheduler_and_kubelet_need() -> None:
    spec = pod()
    assert {key: value for key, value in spec.items() if key != "containers"} == {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "enableServiceLinks": True,
    }
    assert spec["containers"] == [
        {
            "name": "a",
            "image": "nginx",
            "resources": {},
            "imagePullPolicy": "Always",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    ]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("registry:5000/nginx", "Always"),
        ("nginx:1.29", "IfNotPresent"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_an_image_without_a_fixed_tag_is_always_pulled(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_a_pod_requests_what_it_limits() -> None:
    resources_ = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    found = pod(containers=[{"name": "a", "image": "b", "resources": resources_}])
    assert found["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}


def test_a_template_does_not_request_what_it_limits() -> None:
    container = {"name": "a", "image": "b", "resources": {"limits": {"cpu": "1"}}}
    found = defaulted("apps/v1", "Deployment", spec={"template": {"spec": {"containers": [container]}}})
    assert found["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}}


def test_on_the_host_network_ports_are_host_ports() -> None:
    found = pod(hostNetwork=True, containers=[{"name": "a", "image": "b", "ports": [{"containerPort": 80}]}])
    assert found["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_a_probe_gets_its_times_and_an_http_probe_its_path() -> None:
    found = pod(containers=[{"name": "a", "image": "b", "livenessProbe": {"httpGet": {"port": 80}}}])
    assert found["containers"][0]["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_a_volume_without_a_source_is_an_empty_directory() -> None:
    volumes = [{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "hostPath": {"path": "/"}}]
    assert pod(volumes=volumes)["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "c", "hostPath": {"path": "/", "type": ""}},
    ]


def test_a_projected_token_lives_an_hour() -> None:
    sources = [{"serviceAccountToken": {"path": "token"}}]
    found = pod(volumes=[{"name": "a", "projected": {"sources": sources}}])["volumes"][0]["projected"]
    assert found == {
        "defaultMode": 420,
        "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}],
    }


def test_both_names_of_the_service_account_are_kept_in_step() -> None:
    assert pod(serviceAccount="builder")["serviceAccountName"] == "builder"
    assert pod(serviceAccountName="builder")["serviceAccount"] == "builder"


CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "apps/v1",
        "Deployment",
        {},
        {
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        },
    ),
    ("apps/v1", "Deployment", {"strategy": {"type": "Recreate"}}, {"strategy": {"type": "Recreate"}}),
    ("apps/v1", "ReplicaSet", {}, {"replicas": 1}),
    (
        "apps/v1",
        "StatefulSet",
        {},
        {
            "replicas": 1,
            "podManagementPolicy": "OrderedReady",
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        },
    ),
    (
        "apps/v1",
        "DaemonSet",
        {},
        {
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        },
    ),
    (
        "batch/v1",
        "Job",
        {},
        {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 6,
            "suspend": False,
            "completionMode": "NonIndexed",
            "podReplacementPolicy": "TerminatingOrFailed",
            "manualSelector": False,
        },
    ),
    ("batch/v1", "Job", {"parallelism": 3}, {"parallelism": 3, "completions": None}),
    ("batch/v1", "Job", {"completions": 3}, {"parallelism": 1, "completions": 3}),
    (
        "batch/v1",
        "CronJob",
        {},
        {
            "concurrencyPolicy": "Allow",
            "suspend": False,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        },
    ),
    (
        "v1",
        "Service",
        {"ports": [{"port": 80}]},
        {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": None,
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        },
    ),
    (
        "v1",
        "Service",
        {"type": "LoadBalancer", "sessionAffinity": "ClientIP"},
        {
            "externalTrafficPolicy": "Cluster",
            "allocateLoadBalancerNodePorts": True,
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        },
    ),
    ("v1", "Service", {"type": "ExternalName"}, {"internalTrafficPolicy": None}),
    ("v1", "PersistentVolumeClaim", {}, {"volumeMode": "Filesystem"}),
    ("v1", "PersistentVolume", {}, {"volumeMode": "Filesystem", "persistentVolumeReclaimPolicy": "Retain"}),
    ("networking.k8s.io/v1", "NetworkPolicy", {}, {"policyTypes": ["Ingress"]}),
    ("networking.k8s.io/v1", "NetworkPolicy", {"egress": [{}]}, {"policyTypes": ["Ingress", "Egress"]}),
    ("networking.k8s.io/v1", "IngressClass", {"parameters": {}}, {"parameters": {"scope": "Cluster"}}),
    (
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
        {
            "minReplicas": 1,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "selectPolicy": "Max",
                    "policies": [
                        {"type": "Pods", "value": 4, "periodSeconds": 15},
                        {"type": "Percent", "value": 100, "periodSeconds": 15},
                    ],
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": 60,
                    "selectPolicy": "Max",
                    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                },
            },
        },
    ),
    ("autoscaling/v1", "HorizontalPodAutoscaler", {}, {"minReplicas": 1, "metrics": None}),
]


@pytest.mark.parametrize(("api_version", "kind", "spec", "expected"), CASES)
def test_a_specification_gets_its_defaults(
    api_version: str, kind: str, spec: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = defaulted(api_version, kind, spec=spec)["spec"]
    assert {key: found.get(key) for key in expected} == expected


def test_defaults_outside_the_specification() -> None:
    assert defaulted("v1", "Secret")["type"] == "Opaque"
    assert defaulted("v1", "Namespace")["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert defaulted("discovery.k8s.io/v1", "EndpointSlice", ports=[{"port": 1}])["ports"] == [
        {"port": 1, "name": "", "protocol": "TCP"}
    ]
    assert defaulted("storage.k8s.io/v1", "StorageClass")["reclaimPolicy"] == "Delete"
    assert defaulted("scheduling.k8s.io/v1", "PriorityClass")["preemptionPolicy"] == "PreemptLowerPriority"
    binding = defaulted("rbac.authorization.k8s.io/v1", "RoleBinding", subjects=[{"kind": "User", "name": "a"}])
    assert binding["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"


def test_a_limit_range_derives_defaults_from_the_maximum() -> None:
    limits = [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Mi"}}]
    item = defaulted("v1", "LimitRange", spec={"limits": limits})["spec"]["limits"][0]
    assert item["default"] == {"cpu": "2"}
    assert item["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}
