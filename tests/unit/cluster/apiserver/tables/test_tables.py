"""The rows kubectl prints, case by case."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.apiserver import tables
from seatrial.cluster.apiserver.tables.columns import human_duration
from seatrial.kube.model import resources

NOW = parse_time("2026-03-01T12:00:00Z")
HOUR = 3600


def ago(seconds: float) -> str:
    return rfc3339(NOW - seconds)


def printed(api_version: str, kind: str, **content: Any) -> dict[str, Any]:
    """The cells of one object by the name of their column."""
    meta = {"name": "x", "creationTimestamp": ago(5 * HOUR), **content.pop("metadata", {})}
    obj = {"apiVersion": api_version, "kind": kind, "metadata": meta, **content}
    resource = resources.for_kind(api_version, kind)
    names = [column.name for column in tables.columns(resource)]
    return dict(zip(names, tables.cells(resource, obj, NOW), strict=True))


@pytest.mark.parametrize("resource", resources.builtin(), ids=lambda resource: str(resource.group_resource))
def test_every_kind_fills_its_columns_even_from_an_empty_object(resource: resources.Resource) -> None:
    row = tables.cells(resource, {"metadata": {"name": "x"}}, NOW)
    assert len(row) == len(tables.columns(resource))
    orjson.dumps(row)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (600, "10m"),
        (179 * 60 + 59, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 1800, "7h30m"),
        (8 * HOUR + 1800, "8h"),
        (47 * HOUR, "47h"),
        (48 * HOUR, "2d"),
        (122 * HOUR, "5d2h"),
        (8 * 24 * HOUR, "8d"),
        (729 * 24 * HOUR, "729d"),
        (730 * 24 * HOUR, "2y"),
        (800 * 24 * HOUR, "2y70d"),
        (8 * 365 * 24 * HOUR, "8y"),
    ],
)
def test_durations_are_short_for_people(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def running(ready: bool = True, restarts: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": "a", "ready": ready, "restartCount": restarts, "state": {"running": {}}, **more}


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {"name": "a", "state": {"waiting": {"reason": reason}}, **more}


def ended(code: int = 0, **terminated: Any) -> dict[str, Any]:
    return {"name": "a", "state": {"terminated": {"exitCode": code, **terminated}}}


READY = [{"type": "Ready", "status": "True"}]
DELETING = {"deletionTimestamp": ago(5)}

PODS: list[tuple[str, dict[str, Any], str, str]] = [
    ("pending", {"phase": "Pending"}, "0/1", "Pending"),
    ("running", {"phase": "Running", "containerStatuses": [running()]}, "1/1", "Running"),
    ("evicted", {"phase": "Failed", "reason": "Evicted"}, "0/1", "Evicted"),
    (
        "gated",
        {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
        "0/1",
        "SchedulingGated",
    ),
    (
        "creating",
        {"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]},
        "0/1",
        "ContainerCreating",
    ),
    ("crashing", {"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}, "0/1", "CrashLoopBackOff"),
    ("completed", {"phase": "Succeeded", "containerStatuses": [ended(reason="Completed")]}, "0/1", "Completed"),
    ("error", {"phase": "Failed", "containerStatuses": [ended(1, reason="Error")]}, "0/1", "Error"),
    ("exit code", {"phase": "Failed", "containerStatuses": [ended(3)]}, "0/1", "ExitCode:3"),
    ("signal", {"phase": "Failed", "containerStatuses": [ended(137, signal=9)]}, "0/1", "Signal:9"),
    (
        "one of two completed, the other ready",
        {"phase": "Running", "conditions": READY, "containerStatuses": [ended(reason="Completed"), running()]},
        "1/1",
        "Running",
    ),
    (
        "one of two completed, the other not",
        {"phase": "Running", "containerStatuses": [ended(reason="Completed"), running()]},
        "1/1",
        "NotReady",
    ),
    (
        "one completed, one failed",
        {"phase": "Failed", "containerStatuses": [ended(reason="Completed"), ended(1, reason="OOMKilled")]},
        "0/1",
        "OOMKilled",
    ),
]


@pytest.mark.parametrize(("_case", "status", "ready", "word"), PODS, ids=[case[0] for case in PODS])
def test_the_state_of_a_pod_in_a_word(_case: str, status: dict[str, Any], ready: str, word: str) -> None:
    row = printed("v1", "Pod", spec={"containers": [{"name": "a"}]}, status=status)
    assert (row["Ready"], row["Status"]) == (ready, word)


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([waiting("PodInitializing"), waiting("PodInitializing")], "Init:0/2"),
        ([ended(), running()], "Init:1/2"),
        ([waiting("ImagePullBackOff")], "Init:ImagePullBackOff"),
        ([ended(1, reason="Error")], "Init:Error"),
        ([ended(2)], "Init:ExitCode:2"),
        ([ended(2, signal=9)], "Init:Signal:9"),
    ],
)
def test_a_pod_says_how_far_its_init_containers_are(states: list[dict[str, Any]], word: str) -> None:
    spec = {"containers": [{"name": "b"}], "initContainers": [{"name": "a"}, {"name": "c"}]}
    status = {"phase": "Pending", "initContainerStatuses": states, "containerStatuses": [waiting("PodInitializing")]}
    row = printed("v1", "Pod", spec=spec, status=status)
    assert (row["Status"], row["Ready"]) == (word, "0/1")


def test_a_sidecar_counts_like_a_container() -> None:
    spec = {"containers": [{"name": "b"}], "initContainers": [{"name": "a", "restartPolicy": "Always"}]}
    status = {
        "phase": "Running",
        "initContainerStatuses": [running(restarts=2, started=True)],
        "containerStatuses": [{**running(), "name": "b"}],
    }
    row = printed("v1", "Pod", spec=spec, status=status)
    assert (row["Ready"], row["Status"], row["Restarts"]) == ("2/2", "Running", "2")


def test_a_pod_being_deleted_is_terminating_unless_it_has_ended_or_is_lost() -> None:
    spec = {"containers": [{"name": "a"}]}
    alive = {"phase": "Running", "containerStatuses": [running()]}
    assert printed("v1", "Pod", metadata=DELETING, spec=spec, status=alive)["Status"] == "Terminating"
    lost = {**alive, "reason": "NodeLost"}
    assert printed("v1", "Pod", metadata=DELETING, spec=spec, status=lost)["Status"] == "Unknown"
    over = {"phase": "Succeeded", "containerStatuses": [ended(reason="Completed")]}
    assert printed("v1", "Pod", metadata=DELETING, spec=spec, status=over)["Status"] == "Completed"


def test_restarts_say_when_the_last_was() -> None:
    last = {"terminated": {"finishedAt": ago(300)}}
    status = {"phase": "Running", "containerStatuses": [running(restarts=3, lastState=last)]}
    row = printed("v1", "Pod", spec={"containers": [{"name": "a"}]}, status=status)
    assert row["Restarts"] == "3 (5m ago)"
    assert row["Age"] == "5h"


def test_wide_columns_of_a_pod() -> None:
    row = printed(
        "v1",
        "Pod",
        spec={"containers": [], "nodeName": "n1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
        status={"podIPs": [{"ip": "10.0.0.5"}], "conditions": [{"type": "a", "status": "True"}]},
    )
    assert (row["IP"], row["Node"], row["Nominated Node"]) == ("10.0.0.5", "n1", "<none>")
    assert row["Readiness Gates"] == "1/2"
    empty = printed("v1", "Pod")
    assert [empty[key] for key in ("IP", "Node", "Readiness Gates")] == ["<none>"] * 3


TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j:2"}]}}
SELECTOR = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["x", "y"]}],
}

ROWS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "apps/v1",
        "Deployment",
        {
            "spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE},
            "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
        },
        {
            "Name": "x",
            "Ready": "1/3",
            "Up-to-date": 2,
            "Available": 1,
            "Age": "5h",
            "Containers": "a,b",
            "Images": "i:1,j:2",
            "Selector": "app=web,tier in (x,y)",
        },
    ),
    (
        "apps/v1",
        "ReplicaSet",
        {"spec": {"replicas": 3, "template": TEMPLATE}, "status": {"replicas": 2, "readyReplicas": 1}},
        {"Desired": 3, "Current": 2, "Ready": 1},
    ),
    ("apps/v1", "StatefulSet", {"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}, {"Ready": "2/3"}),
    (
        "apps/v1",
        "DaemonSet",
        {
            "spec": {"template": {"spec": {"nodeSelector": {"b": "2", "a": "1"}}}},
            "status": {"desiredNumberScheduled": 4, "numberAvailable": 3},
        },
        {"Desired": 4, "Current": 0, "Available": 3, "Node Selector": "a=1,b=2"},
    ),
    (
        "batch/v1",
        "Job",
        {
            "spec": {"completions": 5},
            "status": {"succeeded": 5, "startTime": ago(100), "completionTime": ago(40)}
            | {"conditions": [{"type": "Complete", "status": "True"}]},
        },
        {"Status": "Complete", "Completions": "5/5", "Duration": "60s"},
    ),
    (
        "batch/v1",
        "Job",
        {"spec": {"parallelism": 3}, "status": {"startTime": ago(30)}},
        {"Status": "Running", "Completions": "0/1 of 3", "Duration": "30s"},
    ),
    (
        "batch/v1",
        "CronJob",
        {"spec": {"schedule": "@daily", "suspend": False}, "status": {"active": [{}], "lastScheduleTime": ago(90)}},
        {"Schedule": "@daily", "Timezone": "<none>", "Suspend": "False", "Active": 1, "Last Schedule": "90s"},
    ),
    (
        "v1",
        "Service",
        {
            "spec": {
                "type": "NodePort",
                "clusterIPs": ["10.0.0.1"],
                "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
                "selector": {"app": "web"},
            }
        },
        {
            "Type": "NodePort",
            "Cluster-IP": "10.0.0.1",
            "External-IP": "<none>",
            "Port(s)": "80:30080/TCP,53/UDP",
            "Selector": "app=web",
        },
    ),
    ("v1", "Service", {"spec": {"type": "LoadBalancer"}}, {"External-IP": "<pending>", "Port(s)": "<none>"}),
    (
        "v1",
        "Service",
        {
            "spec": {"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]},
            "status": {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "lb"}]}},
        },
        {"External-IP": "2.2.2.2,lb,9.9.9.9"},
    ),
    ("v1", "Service", {"spec": {"type": "ExternalName", "externalName": "a.b"}}, {"External-IP": "a.b"}),
    (
        "v1",
        "Endpoints",
        {"subsets": [{"addresses": [{"ip": f"10.0.0.{n}"} for n in range(5)], "ports": [{"port": 80}]}]},
        {"Endpoints": "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."},
    ),
    ("v1", "Endpoints", {}, {"Endpoints": "<none>"}),
    (
        "discovery.k8s.io/v1",
        "EndpointSlice",
        {"addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}], "endpoints": [{"addresses": ["10.0.0.1"]}]},
        {"AddressType": "IPv4", "Ports": "80,x", "Endpoints": "10.0.0.1"},
    ),
    ("discovery.k8s.io/v1", "EndpointSlice", {}, {"Ports": "<unset>", "Endpoints": "<unset>"}),
    (
        "networking.k8s.io/v1",
        "Ingress",
        {
            "spec": {"ingressClassName": "traefik", "rules": [{"host": f"h{n}"} for n in range(4)], "tls": [{}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}},
        },
        {"Class": "traefik", "Hosts": "h0,h1,h2 + 1 more...", "Address": "1.1.1.1", "Ports": "80, 443"},
    ),
    ("networking.k8s.io/v1", "Ingress", {"spec": {}}, {"Class": "<none>", "Hosts": "*", "Ports": "80"}),
    (
        "networking.k8s.io/v1",
        "IngressClass",
        {
            "metadata": {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "c", "parameters": {"apiGroup": "g", "kind": "K", "name": "n"}},
        },
        {"Name": "x (default)", "Controller": "c", "Parameters": "K.g/n"},
    ),
    ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}}}, {"Pod-Selector": "<none>"}),
    (
        "v1",
        "Node",
        {
            "metadata": {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}},
            "spec": {"unschedulable": True},
            "status": {
                "conditions": READY,
                "nodeInfo": {"kubeletVersion": "v1.37.2", "kernelVersion": "6.1", "architecture": "amd64"},
                "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}],
            },
        },
        {
            "Status": "Ready,SchedulingDisabled",
            "Roles": "control-plane,worker",
            "Version": "v1.37.2",
            "Internal-IP": "10.0.0.9",
            "External-IP": "<none>",
            "OS-Image": "<unknown>",
            "Kernel-Version": "6.1 (amd64)",
        },
    ),
    ("v1", "Node", {}, {"Status": "Unknown", "Roles": "<none>"}),
    ("v1", "Namespace", {"status": {"phase": "Active"}}, {"Status": "Active"}),
    ("v1", "ConfigMap", {"data": {"a": "1"}, "binaryData": {"b": "Mg=="}}, {"Data": 2}),
    ("v1", "Secret", {"type": "Opaque", "data": {"a": ""}}, {"Type": "Opaque", "Data": 1}),
    ("v1", "ServiceAccount", {}, {"Name": "x", "Age": "5h"}),
    (
        "v1",
        "Event",
        {
            "type": "Warning",
            "reason": "Failed",
            "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
            "source": {"component": "kubelet", "host": "n1"},
            "message": " no \n",
            "firstTimestamp": ago(600),
            "lastTimestamp": ago(60),
            "count": 4,
        },
        {
            "Last Seen": "60s",
            "First Seen": "10m",
            "Object": "pod/p",
            "Subobject": "spec.containers{a}",
            "Source": "kubelet, n1",
            "Message": "no",
            "Count": 4,
        },
    ),
    (
        "events.k8s.io/v1",
        "Event",
        {
            "eventTime": "2026-03-01T11:59:00.000000Z",
            "regarding": {"kind": "Node"},
            "note": "hi",
            "reportingController": "node",
            "series": {"lastObservedTime": "2026-03-01T11:59:50.000000Z", "count": 7},
        },
        {"Last Seen": "10s", "First Seen": "60s", "Object": "node", "Message": "hi", "Source": "node", "Count": 7},
    ),
    (
        "v1",
        "PersistentVolume",
        {
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadOnlyMany", "ReadWriteOnce"],
                "claimRef": {"namespace": "n", "name": "c"},
                "storageClassName": "fast",
            },
            "status": {"phase": "Bound"},
        },
        {"Capacity": "1Gi", "Access Modes": "RWO,ROX", "Claim": "n/c", "StorageClass": "fast", "Status": "Bound"},
    ),
    (
        "v1",
        "PersistentVolumeClaim",
        {
            "metadata": DELETING,
            "spec": {"volumeName": "v", "volumeMode": "Filesystem"},
            "status": {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteMany"]},
        },
        {"Status": "Terminating", "Volume": "v", "Capacity": "2Gi", "Access Modes": "RWX", "VolumeMode": "Filesystem"},
    ),
    ("v1", "PersistentVolumeClaim", {"status": {"phase": "Pending"}}, {"Capacity": "", "VolumeMode": "<unset>"}),
    ("storage.k8s.io/v1", "StorageClass", {"provisioner": "p"}, {"Name": "x", "ReclaimPolicy": "Delete"}),
    (
        "policy/v1",
        "PodDisruptionBudget",
        {"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}},
        {"Min Available": "50%", "Max Unavailable": "N/A", "Allowed Disruptions": 1},
    ),
    (
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        {
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "minReplicas": 2,
                "maxReplicas": 9,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                    {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
                    {"type": "External", "external": {"target": {"value": "3"}}},
                ],
            },
            "status": {
                "currentReplicas": 3,
                "currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 41}}}],
            },
        },
        {
            "Reference": "Deployment/web",
            "Targets": "cpu: 41%/80%, <unknown>/10 + 1 more...",
            "MinPods": "2",
            "MaxPods": 9,
            "Replicas": 3,
        },
    ),
    (
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        {"spec": {"targetCPUUtilizationPercentage": 50}},
        {"Targets": "cpu: <unknown>/50%", "MinPods": "<unset>"},
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        {
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [
                {"kind": "User", "name": "u"},
                {"kind": "User", "name": "v"},
                {"kind": "ServiceAccount", "namespace": "n", "name": "s"},
            ],
        },
        {"Role": "Role/r", "Users": "u, v", "Groups": "", "ServiceAccounts": "n/s"},
    ),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", {}, {"Name": "x", "Created At": ago(5 * HOUR)}),
    ("coordination.k8s.io/v1", "Lease", {"spec": {"holderIdentity": "me"}}, {"Holder": "me"}),
    (
        "scheduling.k8s.io/v1",
        "PriorityClass",
        {"value": 7, "preemptionPolicy": "Never"},
        {"Value": 7, "Global-Default": False, "PreemptionPolicy": "Never"},
    ),
    ("node.k8s.io/v1", "RuntimeClass", {"handler": "crun"}, {"Handler": "crun"}),
    (
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        {
            "spec": {"signerName": "s", "username": "jane", "expirationSeconds": 86400},
            "status": {"conditions": [{"type": "Approved"}], "certificate": "eA=="},
        },
        {"Requestor": "jane", "RequestedDuration": "24h", "Condition": "Approved,Issued"},
    ),
    (
        "v1",
        "ResourceQuota",
        {"status": {"hard": {"pods": "10", "limits.cpu": "4"}, "used": {"pods": "3"}}},
        {"Request": "pods: 3/10", "Limit": "limits.cpu: 0/4"},
    ),
    ("v1", "LimitRange", {}, {"Created At": ago(5 * HOUR)}),
    (
        "apps/v1",
        "ControllerRevision",
        {
            "metadata": {
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True}]
            },
            "revision": 2,
        },
        {"Controller": "statefulset.apps/db", "Revision": 2},
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        {
            "spec": {
                "group": "g.io",
                "scope": "Cluster",
                "names": {"kind": "W", "shortNames": ["w", "ww"]},
                "versions": [
                    {"name": "v2", "served": True, "storage": True},
                    {"name": "v1", "served": True},
                    {"name": "v0"},
                ],
            },
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        },
        {
            "Scope": "Cluster",
            "Versions": "v1,v2(storage)",
            "Group": "g.io",
            "ShortNames": "w,ww",
            "Established": True,
            "Created At": ago(5 * HOUR),
        },
    ),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", {"webhooks": [{}, {}]}, {"Webhooks": 2}),
    ("storage.k8s.io/v1", "CSIDriver", {"spec": {}}, {"AttachRequired": True, "TokenRequests": "<unset>"}),
    ("storage.k8s.io/v1", "CSINode", {"spec": {"drivers": [{}]}}, {"Drivers": 1}),
    (
        "storage.k8s.io/v1",
        "VolumeAttachment",
        {"spec": {"attacher": "a", "source": {"persistentVolumeName": "v"}, "nodeName": "n"}},
        {"Attacher": "a", "PV": "v", "Node": "n", "Attached": False},
    ),
]


@pytest.mark.parametrize(
    ("api_version", "kind", "content", "expected"), ROWS, ids=[f"{row[1]}-{n}" for n, row in enumerate(ROWS)]
)
def test_a_row_shows(api_version: str, kind: str, content: dict[str, Any], expected: dict[str, Any]) -> None:
    row = printed(api_version, kind, **content)
    assert {key: row[key] for key in expected} == expected


def test_a_job_says_what_became_of_it() -> None:
    def state(*conditions: str, **metadata: Any) -> Any:
        found = [{"type": kind, "status": "True"} for kind in conditions]
        return printed("batch/v1", "Job", metadata=metadata, status={"conditions": found})["Status"]

    assert state("Failed", "FailureTarget") == "Failed"
    assert state("FailureTarget") == "FailureTarget"
    assert state("Suspended") == "Suspended"
    assert state("Suspended", **DELETING) == "Terminating"
    assert state("SuccessCriteriaMet") == "SuccessCriteriaMet"


def test_an_age_that_is_not_known() -> None:
    assert printed("v1", "ConfigMap", metadata={"creationTimestamp": None})["Age"] == "<unknown>"


def test_only_the_youngest_default_storage_class_is_marked() -> None:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    classes: list[dict[str, Any]] = [
        {"metadata": {"name": name, "creationTimestamp": ago(seconds), "annotations": annotations}}
        for name, seconds in (("old", 900), ("zebra", 60), ("apple", 60))
    ]
    resource = resources.for_kind("storage.k8s.io/v1", "StorageClass")
    names = [row[0] for row in tables.rows(resource, classes, NOW)]
    assert names == ["old", "zebra", "apple (default)"]


def test_columns_as_kubectl_users_know_them() -> None:
    columns = tables.columns(resources.for_kind("v1", "Pod"))
    assert [column.name for column in columns if column.priority == 0] == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
    ]
    assert columns[0] == ("Name", "string", "name", columns[0].description, 0)
    assert [column.name for column in columns if column.priority] == [
        "IP",
        "Node",
        "Nominated Node",
        "Readiness Gates",
    ]
