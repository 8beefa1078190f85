"""The memory that pods use: what `kubectl top` shows of it, and how many pods a HorizontalPodAutoscaler makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.pods.conftest import Kubectl

HOLDS = "{ head -c 100m /dev/zero; while test -e /tmp/full; do sleep 0.2; done; } | tail -n 1 >/dev/null"
"""As long as there is a file: the last line, which has no end, is kept in memory."""


def mebibytes(kubectl: Kubectl, name: str) -> int:
    shown = kubectl.result("top", "pod", name, "--no-headers").stdout.decode().split()
    return int(shown[2].removesuffix("Mi")) if len(shown) > 2 else 0


def test_top_shows_the_memory_a_pod_holds(kubectl: Kubectl) -> None:
    kubectl.pod("full", f"touch /tmp/full; {HOLDS}")
    kubectl.pod("empty")
    kubectl.ready("full", "empty")
    kubectl.until(lambda: 100 <= mebibytes(kubectl, "full") <= 140, "100 MiB and what the shell needs")
    assert mebibytes(kubectl, "empty") < 20
    used = kubectl("top", "pods", "--sum", "--no-headers").splitlines()[-1].split()
    assert 100 <= int(used[-1].removesuffix("Mi")) <= 160


def test_memory_scales_up_and_its_end_scales_down(kubectl: Kubectl) -> None:
    """One pod of 100 MiB where 40 MiB a pod are wanted makes three."""
    container: dict[str, Any] = {
        "name": "main",
        "image": "test/busybox:1",
        "command": ["sh", "-c", f"while true; do test -e /tmp/full && {HOLDS}; sleep 0.2; done"],
        "resources": {"requests": {"memory": "64Mi"}},
    }
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }
    metric = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "40Mi"}},
    }
    scaling = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }
    kubectl.apply(workload, scaling)
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    first = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    kubectl("exec", first, "--", "touch", "/tmp/full")

    def replicas() -> int:
        return int(kubectl.json("get", "deployment", "web")["spec"]["replicas"])

    kubectl.until(lambda: replicas() == 3, "three pods for 100 MiB", 60)
    kubectl("exec", first, "--", "rm", "/tmp/full")
    kubectl.until(lambda: replicas() == 1, "one pod without them", 90)
