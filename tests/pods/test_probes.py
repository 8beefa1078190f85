"""Probes and what follows from them (research 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.pods.conftest import Kubectl

SERVE = "mkdir /tmp/w; touch /tmp/w/ready /tmp/w/live; exec httpd -f -p 8080 -h /tmp/w"


def probe(path: str, **fields: Any) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": 1, "failureThreshold": 1, **fields}


def served(**probes: Any) -> dict[str, Any]:
    return {"ports": [{"name": "http", "containerPort": 8080}], **probes}


def test_readiness_follows_the_probe_both_ways(kubectl: Kubectl) -> None:
    kubectl.pod("web", SERVE, main=served(readinessProbe=probe("/ready")))
    kubectl.ready("web")
    kubectl("exec", "web", "--", "rm", "/tmp/w/ready")
    kubectl("wait", "--for=condition=Ready=False", "--timeout=15s", "pod/web")
    assert kubectl.container("web")["restartCount"] == 0
    kubectl("exec", "web", "--", "touch", "/tmp/w/ready")
    kubectl.ready("web")
    messages = [message for reason, message in kubectl.events("web") if reason == "Unhealthy"]
    assert messages == ["Readiness probe failed: HTTP probe failed with statuscode: 404"]


def test_a_container_that_fails_its_liveness_probe_is_restarted(kubectl: Kubectl) -> None:
    kubectl.pod("web", SERVE, main=served(livenessProbe=probe("/live", failureThreshold=2)))
    kubectl.ready("web")
    kubectl("exec", "web", "--", "rm", "/tmp/w/live")
    kubectl.until(lambda: kubectl.container("web")["restartCount"] == 1, "a restart")
    reasons = dict(kubectl.events("web"))
    assert reasons["Killing"] == "Container main failed liveness probe, will be restarted"


def test_a_startup_probe_holds_the_others_back(kubectl: Kubectl) -> None:
    """The liveness probe would fail from the first second on."""
    startup = {"exec": {"command": ["test", "-e", "/tmp/w/started"]}, "periodSeconds": 1, "failureThreshold": 30}
    slow = "mkdir /tmp/w; (sleep 2; touch /tmp/w/live /tmp/w/started) & exec httpd -f -p 8080 -h /tmp/w"
    main = served(startupProbe=startup, livenessProbe=probe("/live"))
    kubectl.pod("slow", slow, main=main)
    kubectl.until(lambda: "running" in kubectl.container("slow")["state"], "it runs")
    assert kubectl.container("slow")["started"] is False
    kubectl.ready("slow")
    found = kubectl.container("slow")
    assert (found["restartCount"], found["started"], found["ready"]) == (0, True, True)


def test_a_startup_probe_that_never_passes_restarts_the_container(kubectl: Kubectl) -> None:
    startup = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
    kubectl.pod("never", "exec sleep 1000", main={"startupProbe": startup}, terminationGracePeriodSeconds=1)
    kubectl.until(lambda: kubectl.container("never")["restartCount"] >= 1, "a restart")


def test_readiness_gates_are_others_to_open(kubectl: Kubectl) -> None:
    kubectl.pod("gated", readinessGates=[{"conditionType": "example.com/seen"}])
    kubectl("wait", "--for=condition=ContainersReady", "--timeout=15s", "pod/gated")
    ready = next(c for c in kubectl.status("gated")["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
    gate = '{"status":{"conditions":[{"type":"example.com/seen","status":"True"}]}}'
    kubectl("patch", "pod", "gated", "--subresource=status", "--type=strategic", "-p", gate)
    kubectl.ready("gated")
    assert {c["type"] for c in kubectl.status("gated")["conditions"]} >= {"example.com/seen", "Initialized"}
