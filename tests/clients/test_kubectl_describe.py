"""kubectl describe puts together what it finds of an object: related objects and events included."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

MANIFESTS = Path(__file__).parent / "manifests"


@pytest.fixture(scope="module")
def harbour(shared_kubectl: Any) -> Any:
    for file in ("web.yaml", "stateful.yaml", "harbour.yaml"):
        shared_kubectl("create", "-f", str(MANIFESTS / file))
    for resource in ("deployment/web", "statefulset/db", "daemonset/agent"):
        shared_kubectl("rollout", "status", resource, "--timeout=30s")
    shared_kubectl("wait", "pod/boat", "--for=condition=Ready", "--timeout=20s")
    shared_kubectl("wait", "job/paint", "--for=condition=Complete", "--timeout=20s")
    shared_kubectl("wait", "hpa/web", "--for=condition=AbleToScale", "--timeout=20s")
    shared_kubectl("wait", "pdb/calm", "--for=jsonpath={.status.disruptionsAllowed}=0", "--timeout=20s")
    shared_kubectl("wait", "endpointslice", "--all", "--for=jsonpath={.endpoints[0].conditions.ready}=true")
    return shared_kubectl


def described(kubectl: Any, resource: str) -> list[str]:
    """The lines, with runs of blanks as one: how wide columns are is not the server's doing."""
    lines: list[str] = kubectl("describe", resource).splitlines()
    return [re.sub(r"\s+", " ", line).strip() for line in lines]


CASES: dict[str, list[str]] = {
    "configmap/settings": ["Annotations: note: calm", "depth:", "3"],
    "secret/keys": ["Type: Opaque", "user: 3 bytes"],
    "serviceaccount/bot": ["Image pull secrets: keys"],
    "pod/boat": [
        "Service Account: bot",
        "Node: seatrial/10.0.0.1",
        "Labels: app=boat",
        "Status: Running",
        "Init Containers:",
        "crane",
        "Port: 80/TCP (http)",
        "--afloat",
        "Ready: True",
        "cpu: 100m",
        "Readiness: http-get http://:http/ready delay=0s timeout=1s period=5s successThreshold=1 failureThreshold=3",
        "settings ConfigMap Optional: false",
        "SEA: north",
        "POD: boat (v1:metadata.name)",
        "USER: <set to the key 'user' in secret 'keys'> Optional: false",
        "/etc/boat from settings (ro)",
        "ContainersReady True",
        "QoS Class: Burstable",
        "Node-Selectors: kubernetes.io/os=linux",
        "Tolerations: node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
    ],
    "service/boat": [
        "Selector: app=boat",
        "Type: ClusterIP",
        "IP Family Policy: SingleStack",
        "IP Families: IPv4",
        "Port: web 80/TCP",
        "TargetPort: http/TCP",
        "Session Affinity: None",
        "Internal Traffic Policy: Cluster",
    ],
    "ingress/quay": ["Ingress Class: traefik", "keys terminates example.com"],
    "networkpolicy/wall": ["PodSelector: app=boat", "To Port: 80/TCP", "NamespaceSelector: <none>"],
    "pvc/hold": ["StorageClass: standard", "Capacity: 1Gi", "VolumeMode: Filesystem", "Used By: <none>"],
    "limitrange/sizes": ["Container cpu - 2 500m 500m -"],
    "job/paint": [
        "Parallelism: 1",
        "Completions: 2",
        "Completion Mode: NonIndexed",
        "Backoff Limit: 6",
        "Pods Statuses: 0 Active (0 Ready) / 2 Succeeded / 0 Failed",
        "Image: paint:1",
    ],
    "cronjob/tides": [
        "Schedule: 0 0 1 1 *",
        "Concurrency Policy: Allow",
        "Successful Job History Limit: 3",
        "Failed Job History Limit: 1",
        "Last Schedule Time: <unset>",
    ],
    "deployment/web": [
        "Replicas: 2 desired | 2 updated | 2 total | 2 available | 0 unavailable",
        "StrategyType: RollingUpdate",
        "RollingUpdateStrategy: 25% max unavailable, 25% max surge",
        "Available True MinimumReplicasAvailable",
        "Progressing True NewReplicaSetAvailable",
        "OldReplicaSets: <none>",
    ],
    "statefulset/db": [
        "Service Name: db",
        "Pod Management Policy: OrderedReady",
        "Replicas: 2 desired | 2 total",
        "Update Strategy: RollingUpdate",
        "Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
        "WhenDeleted: Retain",
        "Capacity: 1Gi",
    ],
    "daemonset/agent": [
        "Desired Number of Nodes Scheduled: 1",
        "Number of Nodes Scheduled with Available Pods: 1",
        "Number of Nodes Misscheduled: 0",
        "Pods Status: 1 Running / 0 Waiting / 0 Succeeded / 0 Failed",
    ],
    "pdb/calm": ["Min available: 1", "Selector: app=boat", "Allowed disruptions: 0", "Current: 1", "Desired: 1"],
    "hpa/web": [
        "Reference: Deployment/web",
        "resource cpu on pods (as a percentage of request): <unknown> / 60%",
        "Min replicas: 1",
        "Max replicas: 4",
        "Deployment pods: 2 current / 0 desired",
    ],
    "role/reader": ["pods [] [] [get list]", "deployments.apps [] [] [get list]"],
    "rolebinding/readers": ["Name: reader", "ServiceAccount bot default", "User ada"],
    "clusterrole/view": ["configmaps [] [] [get list watch]", "deployments.apps/scale [] [] [get list watch]"],
    "lease/pilot": ["Holder Identity: ada", "Lease Duration Seconds: 15"],
    "priorityclass/system-node-critical": ["Value: 2000001000", "PreemptionPolicy: PreemptLowerPriority"],
    "node/seatrial": [
        "Roles: control-plane",
        "Taints: <none>",
        "Unschedulable: false",
        "InternalIP: 10.0.0.1",
        "Container Runtime Version: simulated://1",
        "Kubelet Version: v1.37.2",
        "cpu: 256",
    ],
}


@pytest.mark.parametrize("resource", CASES)
def test_describe(harbour: Any, resource: str) -> None:
    lines = described(harbour, resource)
    assert f"Name: {resource.split('/')[1]}" in lines
    assert [line for line in CASES[resource] if line not in lines] == []


EVENTS: dict[str, list[str]] = {
    "pod/boat": [
        r"Normal Scheduled \S+ default-scheduler Successfully assigned \S+/boat to seatrial",
        r"Normal Started \S+ kubelet Started container hull \(simulated\)",
    ],
    "deployment/web": [
        r"Normal ScalingReplicaSet \S+ deployment-controller Scaled up replica set web-\S+ from 0 to 2",
    ],
    "job/paint": [r"Normal Completed \S+ job-controller Job completed"],
    "statefulset/db": [
        r"Normal SuccessfulCreate \S+ statefulset-controller create Claim data-db-0 Pod db-0 in StatefulSet db success",
        r"Normal SuccessfulCreate \S+ statefulset-controller create Pod db-1 in StatefulSet db successful",
    ],
    "daemonset/agent": [r"Normal SuccessfulCreate \S+ daemonset-controller Created pod: agent-\S+"],
    "hpa/web": [r"Warning FailedGetResourceMetric .* horizontal-pod-autoscaler failed to get cpu .*"],
}


@pytest.mark.parametrize("resource", EVENTS)
def test_describe_ends_with_the_events(harbour: Any, resource: str) -> None:
    lines = described(harbour, resource)
    told = lines[lines.index("Events:") + 1 :]
    assert [event for event in EVENTS[resource] if not any(re.fullmatch(event, line) for line in told)] == []


def test_describe_service_and_ingress_find_the_endpoints(harbour: Any) -> None:
    address = harbour("get", "pod", "boat", "-o", "jsonpath={.status.podIP}")
    assert f"Endpoints: {address}:80" in described(harbour, "service/boat")
    assert f"/ boat:web ({address}:80)" in described(harbour, "ingress/quay")
    [slice_name] = harbour("get", "endpointslice", "-l", "kubernetes.io/service-name=boat", "-o", "name").split()
    lines = described(harbour, slice_name)
    assert {f"- Addresses: {address}", "Ready: true", "TargetRef: Pod/boat", "web 80 TCP"} <= set(lines)


def test_describe_names_the_owner(harbour: Any) -> None:
    [replica_set] = harbour("get", "rs", "-l", "app=web", "-o", "name").split()
    lines = described(harbour, replica_set)
    assert "Controlled By: Deployment/web" in lines
    assert "Replicas: 2 current / 2 desired" in lines
    pod = harbour("get", "pods", "-l", "app=web", "-o", "name").split()[0]
    assert f"Controlled By: ReplicaSet/{replica_set.split('/')[1]}" in described(harbour, pod)
    assert f"NewReplicaSet: {replica_set.split('/')[1]} (2/2 replicas created)" in described(harbour, "deployment/web")


def test_describe_namespace_shows_quotas_and_limits(harbour: Any) -> None:
    lines = described(harbour, f"namespace/{harbour.namespace}")
    assert "Status: Active" in lines
    assert "Name: berths" in lines
    assert "Container cpu - 2 500m 500m -" in lines


def test_describe_node_shows_its_pods_and_what_they_ask_for(harbour: Any) -> None:
    lines = described(harbour, "node/seatrial")
    [row] = [line for line in lines if line.startswith(f"{harbour.namespace} boat ")]
    assert row.split()[2:9:2] == ["100m", "200m", "64Mi", "64Mi"]
    assert any(re.fullmatch(r"Ready True .* KubeletReady kubelet is posting ready status", line) for line in lines)


def test_describe_by_selector_and_prefix(harbour: Any) -> None:
    pods = harbour("describe", "pods", "-l", "app=web")
    assert len(re.findall(r"^Name: +web-", pods, re.MULTILINE)) == 2
    assert "Name:             boat" in harbour("describe", "pods", "boa")
    assert 'pods "nosuch" not found' in harbour.fails("describe", "pod", "nosuch")
