"""kubectl run and expose; and the commands that would need a process to talk to, which are refused in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

NO_PROCESS = "needs a running container, and node seatrial simulates its pods: start with --runtime oci for real ones"


def addresses(kubectl: Any, service: str) -> list[str]:
    """Every address ready to serve, with its ports."""
    found = kubectl.json("get", "endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
    return sorted(
        f"{address}:{port['port']}"
        for item in found
        for endpoint in item["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
        for port in item["ports"] or []
    )


# run


def test_run_a_pod_with_a_service(kubectl: Any, eventually: Callable[..., Any]) -> None:
    made = kubectl("run", "boat", "--image=boat:1", "--port=80", "--expose", "--labels=app=boat", "--env=SEA=north")
    assert made == "pod/boat created\nservice/boat created\n"
    kubectl("wait", "pod/boat", "--for=condition=Ready", "--timeout=20s")
    pod = kubectl.json("get", "pod", "boat")
    assert pod["metadata"]["labels"] == {"app": "boat"}
    assert pod["spec"]["containers"][0]["env"] == [{"name": "SEA", "value": "north"}]
    assert pod["status"]["qosClass"] == "BestEffort"
    eventually(lambda: addresses(kubectl, "boat") == [f"{pod['status']['podIP']}:80"], "the service finds the pod")


def test_run_to_completion(kubectl: Any) -> None:
    kubectl("run", "once", "--image=busybox", "--restart=Never", "--", "echo", "ahoy")
    kubectl("wait", "pod/once", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")
    assert kubectl.rows("pod", "once")[0]["STATUS"] == "Completed"


def test_run_a_dry_run_and_overrides(kubectl: Any) -> None:
    shown = yaml.safe_load(kubectl("run", "boat", "--image=boat:1", "--dry-run=server", "-o", "yaml"))
    assert shown["spec"]["terminationGracePeriodSeconds"] == 30
    overrides = '{"spec": {"hostname": "ada", "tolerations": [{"operator": "Exists"}]}}'
    kubectl("run", "boat", "--image=boat:1", f"--overrides={overrides}")
    assert kubectl("get", "pod", "boat", "-o", "jsonpath={.spec.hostname}") == "ada"


def test_run_what_is_no_pod(kubectl: Any) -> None:
    lines = kubectl.fails("run", "Bad_Name", "--image=boat:1").splitlines()
    assert lines[0] == 'The Pod "Bad_Name" is invalid: '
    assert lines[1].startswith(
        '* metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of'
    )


# expose


def test_expose_a_deployment(kubectl: Any, eventually: Callable[..., Any]) -> None:
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=2", "--port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    exposed = kubectl(
        "expose", "deployment", "web", "--port=80", "--target-port=8080", "--name=front", "--type=NodePort"
    )
    assert exposed == "service/front exposed\n"
    [row] = kubectl.rows("service", "front", "-o", "wide")
    assert (row["TYPE"], row["SELECTOR"]) == ("NodePort", "app=web")
    port, _, node_port = row["PORT(S)"].removesuffix("/TCP").partition(":")
    assert port == "80"
    assert 30000 <= int(node_port) <= 32767
    pods = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}").split()
    eventually(lambda: addresses(kubectl, "front") == sorted(f"{ip}:8080" for ip in pods), "both pods serve")
    kubectl("scale", "deployment", "web", "--replicas=0")
    eventually(lambda: addresses(kubectl, "front") == [], "nobody serves")


def test_expose_takes_ports_and_labels_from_the_object(kubectl: Any) -> None:
    kubectl("run", "boat", "--image=boat:1", "--port=81", "--labels=app=boat")
    kubectl("expose", "pod", "boat")
    service = kubectl.json("get", "service", "boat")
    assert service["spec"]["selector"] == {"app": "boat"}
    assert service["spec"]["ports"] == [{"port": 81, "protocol": "TCP", "targetPort": 81}]
    kubectl("expose", "service", "boat", "--port=90", "--name=again")
    assert kubectl("get", "service", "again", "-o", "jsonpath={.spec.ports[0].port}") == "90"
    assert (
        kubectl.fails("expose", "pod", "boat") == 'Error from server (AlreadyExists): services "boat" already exists\n'
    )


# What needs a process


@pytest.fixture(scope="module")
def boat(shared_kubectl: Any) -> Any:
    shared_kubectl("run", "boat", "--image=boat:1", "--port=80", "--expose")
    shared_kubectl("wait", "pod/boat", "--for=condition=Ready", "--timeout=20s")
    return shared_kubectl


@pytest.mark.parametrize(
    ("command", "subresource"),
    [
        (("logs", "boat"), "log"),
        (("logs", "-l", "run=boat"), "log"),
        (("logs", "boat", "--follow", "--pod-running-timeout=1s"), "log"),
        (("exec", "boat", "--", "ls"), "exec"),
        (("attach", "boat"), "attach"),
        (("cp", "boat:/motd", "-"), "exec"),
        (("port-forward", "pod/boat", "0:80"), "portforward"),
        (("port-forward", "service/boat", "0:80"), "portforward"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_it_is_refused_in_plain_words(boat: Any, command: tuple[str, ...], subresource: str) -> None:
    done = boat.result(*command)
    assert done.returncode != 0
    assert f"pods/{subresource} {NO_PROCESS}" in done.stdout + done.stderr


def test_ephemeral_containers_are_not_built(boat: Any) -> None:
    assert "pods/ephemeralcontainers is not supported" in boat.fails("debug", "boat", "--image=busybox")


def test_the_refusal_is_a_501(boat: Any) -> None:
    path = f"/api/v1/namespaces/{boat.namespace}/pods/boat/log"
    assert boat.fails("get", "--raw", path) == f"Error from server (NotImplemented): pods/log {NO_PROCESS}\n"


def test_a_pod_that_is_not_there_is_said_to_be_so(boat: Any) -> None:
    assert 'pods "nosuch" not found' in boat.fails("logs", "nosuch")
    assert 'pods "nosuch" not found' in boat.fails("exec", "nosuch", "--", "ls")


def test_there_are_no_metrics(boat: Any) -> None:
    assert boat.fails("top", "pods") == "error: Metrics API not available\n"
