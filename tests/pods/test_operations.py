"""What operators do to a cluster with real pods: drain it, scale it by load, keep data, go back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.pods.conftest import Kubectl

LOOP = "trap 'exit 0' TERM; while true; do sleep 0.1 & wait $!; done"


def workload(kind: str, name: str, script: str, replicas: int = 1, **container: Any) -> dict[str, Any]:
    labels = {"app": name}
    main = {"name": "main", "image": "test/busybox:1", "command": ["sh", "-c", script], **container}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": [main]},
    }
    spec: dict[str, Any] = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def test_drain_evicts_what_the_budget_allows_and_no_more(kubectl: Kubectl) -> None:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    kubectl.apply(workload("Deployment", "web", LOOP, 2), budget)
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.status.disruptionsAllowed}=1", "pdb/web", "--timeout=20s")
    selected = ("--pod-selector=app=web", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=6s")
    try:
        drained = kubectl.result("drain", "seatrial", *selected)
        said = (drained.stdout + drained.stderr).decode()
        # The other one stays: nothing else takes its place on a node that is cordoned.
        assert drained.returncode != 0 and said.count("evicted") == 1
        assert "Cannot evict pod as it would violate the pod's disruption budget" in said
        pods = kubectl.json("get", "pods", "-l", "app=web")["items"]
        phases = sorted(pod["status"]["phase"] for pod in pods if "deletionTimestamp" not in pod["metadata"])
        assert phases == ["Pending", "Running"]
    finally:
        kubectl("uncordon", "seatrial")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_load_scales_up_and_its_end_scales_down(kubectl: Kubectl) -> None:
    """Each pod asks for 50m and may use 200m: while it is busy it is far above 70 %."""
    count = "i=0; while test $i -lt 2000; do i=$((i+1)); done"
    busy = f"while true; do if test -e /tmp/busy; then {count}; else sleep 0.2; fi; done"
    resources = {"requests": {"cpu": "50m"}, "limits": {"cpu": "200m"}}
    kubectl.apply(workload("Deployment", "web", busy, resources=resources))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    scaling = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }
    kubectl.apply(scaling)
    first = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    kubectl("exec", first, "--", "touch", "/tmp/busy")

    def replicas() -> int:
        return int(kubectl.json("get", "deployment", "web")["spec"]["replicas"])

    kubectl.until(lambda: replicas() > 1, "more pods for the load", 60)
    kubectl("exec", first, "--", "rm", "/tmp/busy")
    kubectl.until(lambda: replicas() == 1, "fewer pods without it", 90)


def test_a_stateful_set_finds_its_data_again(kubectl: Kubectl) -> None:
    script = "test -e /data/born || hostname > /data/born; " + LOOP
    made = workload("StatefulSet", "db", script, volumeMounts=[{"name": "data", "mountPath": "/data"}])
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    made["spec"] |= {"serviceName": "db", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
    kubectl.apply(made)
    kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    kubectl("exec", "db-0", "--", "sh", "-c", "echo kept > /data/file")
    kubectl("delete", "pod", "db-0")
    kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    kubectl.ready("db-0")
    assert kubectl("exec", "db-0", "--", "cat", "/data/file", "/data/born").split() == ["kept", "db-0"]


def test_a_bad_release_keeps_the_good_pods_and_can_be_undone(kubectl: Kubectl) -> None:
    kubectl.apply(workload("Deployment", "web", LOOP, 2))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("set", "image", "deployment/web", "main=test/nosuch:1")
    waited = kubectl.result("rollout", "status", "deployment/web", "--timeout=3s")
    assert waited.returncode != 0
    assert kubectl.json("get", "deployment", "web")["status"]["availableReplicas"] == 2
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
