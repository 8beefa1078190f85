"""Health by kind: one line a rule."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.gitops.health.checks import assess

D, S, DS, RS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
)
POD, PVC, SVC, JOB = ("v1", "Pod"), ("v1", "PersistentVolumeClaim"), ("v1", "Service"), ("batch/v1", "Job")
CRON, HPA, HPA1 = (
    ("batch/v1", "CronJob"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    (
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
    ),
)
ING, API = ("networking.k8s.io/v1", "Ingress"), ("apiregistration.k8s.io/v1", "APIService")
CRD, WF, APP = (
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("argoproj.io/v1alpha1", "Workflow"),
    ("argoproj.io/v1alpha1", "Application"),
)


def waiting(reason: str) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": reason, "message": "m"}}}]}


def conditions(*pairs: tuple[str, str, str]) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason} for kind, status, reason in pairs]}


SEEN = {"observedGeneration": 1}
SOURCE = {"source": {"repoURL": "x"}}
COMPARED = {"reconciledAt": "2024-01-01T00:00:00Z", "sync": {"status": "Synced", "comparedTo": SOURCE}}
CASES: list[tuple[tuple[str, str], dict[str, Any], dict[str, Any] | None, str | None]] = [
    (D, {"paused": True}, {}, "Suspended"),
    (D, {}, {"observedGeneration": 0}, "Progressing"),
    (D, {}, {**SEEN, **conditions(("Progressing", "False", "ProgressDeadlineExceeded"))}, "Degraded"),
    (D, {"replicas": 2}, {**SEEN, "updatedReplicas": 1}, "Progressing"),
    (D, {"replicas": 2}, {**SEEN, "updatedReplicas": 2, "replicas": 3}, "Progressing"),
    (D, {"replicas": 2}, {**SEEN, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 1}, "Progressing"),
    (D, {"replicas": 2}, {**SEEN, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}, "Healthy"),
    (
        D,
        {"replicas": 0},
        {**SEEN, **conditions(("ReplicaFailure", "True", "x"), ("Available", "False", "x"))},
        "Healthy",
    ),
    (S, {"replicas": 1}, {}, "Progressing"),
    (S, {"replicas": 2}, {**SEEN, "readyReplicas": 1}, "Progressing"),
    (
        S,
        {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        {**SEEN, "readyReplicas": 3, "updatedReplicas": 1},
        "Progressing",
    ),
    (
        S,
        {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        {**SEEN, "readyReplicas": 3, "updatedReplicas": 2, "updateRevision": "b", "currentRevision": "a"},
        "Healthy",
    ),
    (S, {"replicas": 1, "updateStrategy": {"type": "OnDelete"}}, {**SEEN, "readyReplicas": 1}, "Healthy"),
    (S, {"replicas": 1}, {**SEEN, "readyReplicas": 1, "updateRevision": "b", "currentRevision": "a"}, "Progressing"),
    (S, {"replicas": 1}, {**SEEN, "readyReplicas": 1, "updateRevision": "a", "currentRevision": "a"}, "Healthy"),
    (DS, {}, {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}, "Progressing"),
    (DS, {}, {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}, "Progressing"),
    (DS, {}, {**SEEN, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}, "Healthy"),
    (DS, {"updateStrategy": {"type": "OnDelete"}}, {**SEEN, "desiredNumberScheduled": 2}, "Healthy"),
    (RS, {"replicas": 1}, {**SEEN, **conditions(("ReplicaFailure", "True", "x"))}, "Degraded"),
    (RS, {"replicas": 1}, SEEN, "Progressing"),
    (RS, {"replicas": 1}, {**SEEN, "availableReplicas": 1}, "Healthy"),
    (POD, {"restartPolicy": "Always"}, {"phase": "Pending", **waiting("ImagePullBackOff")}, "Degraded"),
    (POD, {"restartPolicy": "Always"}, {"phase": "Pending", **waiting("ErrImagePull")}, "Degraded"),
    (POD, {"restartPolicy": "Always"}, {"phase": "Pending", **waiting("CreateContainerConfigError")}, "Degraded"),
    (POD, {"restartPolicy": "Always"}, {"phase": "Pending", **waiting("ContainerCreating")}, "Progressing"),
    (POD, {"restartPolicy": "Never"}, {"phase": "Pending", **waiting("ImagePullBackOff")}, "Progressing"),
    (POD, {"restartPolicy": "Never"}, {"phase": "Succeeded"}, "Healthy"),
    (POD, {"restartPolicy": "Never"}, {"phase": "Failed"}, "Degraded"),
    (POD, {"restartPolicy": "Never"}, {"phase": "Running", **conditions(("Ready", "True", ""))}, "Progressing"),
    (POD, {"restartPolicy": "Always"}, {"phase": "Running", **conditions(("Ready", "True", ""))}, "Healthy"),
    (
        POD,
        {"restartPolicy": "Always"},
        {"phase": "Running", "containerStatuses": [{"lastState": {"terminated": {"exitCode": 1}}}]},
        "Degraded",
    ),
    (POD, {"restartPolicy": "Always"}, {"phase": "Running"}, "Progressing"),
    (POD, {}, {"phase": "Odd"}, "Unknown"),
    (PVC, {}, {"phase": "Bound"}, "Healthy"),
    (PVC, {}, {"phase": "Pending"}, "Progressing"),
    (PVC, {}, {"phase": "Lost"}, "Degraded"),
    (PVC, {}, {}, "Unknown"),
    (SVC, {"type": "ClusterIP"}, {}, "Healthy"),
    (SVC, {"type": "LoadBalancer"}, {"loadBalancer": {}}, "Progressing"),
    (SVC, {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}}, "Healthy"),
    (ING, {}, {"loadBalancer": {}}, "Progressing"),
    (ING, {}, {"loadBalancer": {"ingress": [{"hostname": "x"}]}}, "Healthy"),
    (HPA, {}, {}, "Progressing"),
    (HPA, {}, conditions(("AbleToScale", "False", "FailedGetScale")), "Degraded"),
    (HPA, {}, conditions(("ScalingActive", "False", "FailedGetResourceMetric")), "Degraded"),
    (HPA, {}, conditions(("AbleToScale", "True", "ReadyForNewScale")), "Healthy"),
    (HPA, {}, conditions(("ScalingActive", "True", "ValidMetricFound")), "Progressing"),
    (HPA1, {}, {}, "Progressing"),
    (("autoscaling/v2beta2", "HorizontalPodAutoscaler"), {}, {}, "Unknown"),
    (JOB, {}, {}, "Progressing"),
    (JOB, {}, conditions(("Failed", "True", "x")), "Degraded"),
    (JOB, {}, conditions(("Suspended", "True", "x")), "Suspended"),
    (JOB, {}, conditions(("Suspended", "False", "x")), "Healthy"),
    (JOB, {}, conditions(("SuccessCriteriaMet", "True", "x")), "Progressing"),
    (JOB, {}, conditions(("Complete", "True", "x")), "Healthy"),
    (CRON, {"suspend": True}, {"lastScheduleTime": "b", "lastSuccessfulTime": "a"}, "Healthy"),
    (CRON, {}, None, "Progressing"),
    (CRON, {}, {}, "Healthy"),
    (CRON, {}, {"lastScheduleTime": "b"}, "Healthy"),
    (CRON, {}, {"lastScheduleTime": "b", "lastSuccessfulTime": "a"}, "Degraded"),
    (CRON, {}, {"lastScheduleTime": "b", "lastSuccessfulTime": "a", "active": [{}]}, "Healthy"),
    (CRON, {}, {"lastScheduleTime": "a", "lastSuccessfulTime": "b"}, "Healthy"),
    (API, {}, {}, "Progressing"),
    (API, {}, conditions(("Available", "False", "x")), "Progressing"),
    (API, {}, conditions(("Available", "True", "x")), "Healthy"),
    (CRD, {}, {}, "Progressing"),
    (CRD, {}, conditions(("Established", "False", "Installing")), "Progressing"),
    (CRD, {}, conditions(("NamesAccepted", "False", "x"), ("Established", "False", "x")), "Degraded"),
    (CRD, {}, conditions(("NonStructuralSchema", "True", "x"), ("Established", "True", "x")), "Degraded"),
    (CRD, {}, conditions(("Established", "True", "x")), "Healthy"),
    (CRD, {}, conditions(("Established", "True", "x"), ("Terminating", "True", "x")), "Progressing"),
    (WF, {}, {}, "Progressing"),
    (WF, {}, {"phase": "Succeeded"}, "Healthy"),
    (WF, {}, {"phase": "Error"}, "Degraded"),
    (APP, SOURCE, {}, "Progressing"),
    (APP, SOURCE, {**COMPARED, "health": {"status": "Degraded"}}, "Degraded"),
    (APP, SOURCE, {**COMPARED, "health": {"status": "Healthy"}, "operationState": {"phase": "Running"}}, "Progressing"),
    (APP, {"source": {"repoURL": "y"}}, {**COMPARED, "health": {"status": "Healthy"}}, "Progressing"),
    (APP, SOURCE, {**COMPARED, "health": {"status": "Healthy"}}, "Healthy"),
    (APP, SOURCE, {**COMPARED, "health": {}}, "Unknown"),
    (("example.com/v1", "Thing"), {}, {}, None),
    (("v1", "ConfigMap"), {}, {}, None),
]


@pytest.mark.parametrize(("kind", "spec", "status", "expected"), CASES)
def test_health_of_a_kind(
    kind: tuple[str, str], spec: dict[str, Any], status: dict[str, Any] | None, expected: str | None
) -> None:
    obj = {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "a", "generation": 1}, "spec": spec}
    health = assess(obj if status is None else {**obj, "status": status})
    assert (health.status if health else None) == expected


def test_a_deleted_object_is_progressing_whatever_its_kind() -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "deletionTimestamp": "x"}}
    found = assess(obj)
    assert found is not None
    assert found.status == "Progressing"


def test_a_deleted_hook_that_the_engine_holds_is_assessed_by_its_kind() -> None:
    metadata = {"deletionTimestamp": "x", "finalizers": ["argocd.argoproj.io/hook-finalizer"]}
    found = assess({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Succeeded"}})
    assert found is not None
    assert found.status == "Healthy"


@pytest.mark.parametrize("kind", sorted({case[0] for case in CASES}))
@pytest.mark.parametrize("nonsense", [None, [], "x", 3, {"conditions": "x"}, {"conditions": [None, {"type": []}]}])
def test_nonsense_in_a_status_never_raises(kind: tuple[str, str], nonsense: object) -> None:
    assess(
        {"apiVersion": kind[0], "kind": kind[1], "metadata": {"generation": "x"}, "spec": nonsense, "status": nonsense}
    )
