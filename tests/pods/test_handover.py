"""No request is lost while pods come and go (research 3.6)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.pods.conftest import eventually

if TYPE_CHECKING:
    from tests.pods.conftest import Kubectl, Machine

PROGRAMS = Path(__file__).with_name("programs")
PYTHON = Path(sys.base_prefix)
SYSTEM = [path for path in ("/lib", "/lib64", "/usr/lib") if Path(path).exists()]
RATE = 200
BRIEFLY, FULLY = (4, 2), pytest.param((20, 10), marks=pytest.mark.slow)
"""How many rolling updates, and how many deleted pods."""


def python(name: str, *arguments: str) -> dict[str, Any]:
    """Fields of a pod that runs one of the test's programs by the machine's own Python."""
    paths = {"python": str(PYTHON), "programs": str(PROGRAMS), **{f"system{n}": path for n, path in enumerate(SYSTEM)}}
    return {
        "terminationGracePeriodSeconds": 10,
        "containers": [
            {
                "name": "main",
                "image": "test/busybox:1",
                "command": [f"{PYTHON}/bin/python{sys.version_info.major}", f"{PROGRAMS}/{name}.py", *arguments],
                "volumeMounts": [{"name": key, "mountPath": path, "readOnly": True} for key, path in paths.items()],
            }
        ],
        "volumes": [{"name": key, "hostPath": {"path": path}} for key, path in paths.items()],
    }


def web() -> list[dict[str, Any]]:
    spec = python("serve", "8080")
    spec["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    labels = {"app": "web"}
    strategy = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"replicas": 2, "selector": {"matchLabels": labels}, "strategy": strategy, "template": template}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": deployment},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
    ]


def disturb(kubectl: Kubectl, rollouts: int, deletions: int) -> None:
    """Rolling updates, deleted pods, and a scale up and down again."""
    for number in range(rollouts):  # faster than `rollout restart` allows, which names the second
        kubectl("set", "env", "deployment/web", f"ROUND={number}")
        kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    for _ in range(deletions):
        pods = kubectl.json("get", "pods", "-l", "app=web")["items"]
        living = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        kubectl("delete", "pod", living[0], "--wait=false")
        kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    for count in (6, 2):
        kubectl("scale", "deployment/web", f"--replicas={count}")
        kubectl("rollout", "status", "deployment/web", "--timeout=40s")


def ingress(host: str) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web"},
        "spec": {"rules": [rule]},
    }


def check(result: dict[str, Any], rollouts: int, deletions: int) -> None:
    assert result["asked"] >= RATE * result["seconds"] * 0.9
    assert result["pods"] >= 2 * rollouts + deletions
    assert (result["failed"], result["failures"]) == (0, [])


@pytest.mark.parametrize("times", [BRIEFLY, FULLY])
def test_no_request_through_the_service_fails(kubectl: Kubectl, times: tuple[int, int]) -> None:
    kubectl.apply(*web())
    kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    spec = {**python("load", "web", "80", str(RATE)), "restartPolicy": "Never"}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "load"}, "spec": spec})
    kubectl.ready("load")
    disturb(kubectl, *times)
    kubectl("exec", "load", "--", "kill", "-TERM", "1")
    kubectl.ends("load")
    result = json.loads(kubectl("logs", "load").splitlines()[-1])
    print(f"through the Service: {result}")
    check(result, *times)


@pytest.mark.parametrize("times", [BRIEFLY, FULLY])
def test_no_request_through_the_ingress_fails(machine: Machine, kubectl: Kubectl, times: tuple[int, int]) -> None:
    """From the machine, by the port that `seatrial status` names."""
    host = f"{kubectl.namespace}.example.com"
    kubectl.apply(*web(), ingress(host))
    kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    url = urlsplit(machine.state()["urls"]["http"])

    def served() -> bool:
        asked = urllib.request.Request(url.geturl(), headers={"Host": host})
        with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    eventually(served, "the Ingress is served")
    command = [sys.executable, str(PROGRAMS / "load.py"), str(url.hostname), str(url.port), str(RATE), host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        try:
            disturb(kubectl, *times)
        finally:
            load.terminate()
            said, _ = load.communicate(timeout=30)
    result = json.loads(said.splitlines()[-1])
    print(f"through the Ingress: {result}")
    check(result, *times)
