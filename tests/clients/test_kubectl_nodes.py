"""kubectl taint, cordon, drain: on a node of the test's own, which is simulated because it is labelled so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def node(name: str) -> str:
    labels = {
        "seatrial.dev/simulated": "true",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "berth": name,
    }
    capacity = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {"name": name, "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status})


@pytest.fixture
def berth(kubectl: Any) -> Iterator[str]:
    """The name of a Node."""
    name = f"berth-{kubectl.namespace}"
    kubectl("create", "-f", "-", stdin=node(name))
    yield name
    kubectl("delete", "pods", "--all", "--force", "--grace-period=0")
    kubectl("delete", "node", name)


def moor(kubectl: Any, name: str, berth: str) -> None:
    """A pod that can run on that node only."""
    kubectl("run", name, "--image=boat:1", f'--overrides={{"spec": {{"nodeSelector": {{"berth": "{berth}"}}}}}}')


def fleet(kubectl: Any, berth: str, replicas: int) -> None:
    """A Deployment whose pods can run on that node only."""
    kubectl("create", "deployment", "web", "--image=nginx:1", f"--replicas={replicas}")
    kubectl(
        "patch",
        "deployment",
        "web",
        "-p",
        f'{{"spec":{{"template":{{"spec":{{"nodeSelector":{{"berth":"{berth}"}}}}}}}}}}',
    )
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")


def is_pending(kubectl: Any, pod: str, why: str, eventually: Callable[..., Any]) -> bool:
    eventually(lambda: why in kubectl("describe", "pod", pod), f"{pod} is told why it waits")
    return bool(kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}") == "Pending")


def test_a_node_in_the_table(kubectl: Any, berth: str) -> None:
    [row] = kubectl.rows("node", berth)
    assert (row["STATUS"], row["ROLES"]) == ("Ready", "<none>")
    kubectl("label", "node", berth, "node-role.kubernetes.io/quay=")
    assert kubectl.rows("node", berth)[0]["ROLES"] == "quay"


def test_taint_keeps_pods_away_until_it_is_gone(kubectl: Any, berth: str, eventually: Callable[..., Any]) -> None:
    assert kubectl("taint", "node", berth, "storm=high:NoSchedule") == f"node/{berth} tainted\n"
    assert "already has storm taint(s) with same effect(s) and --overwrite is false" in (
        kubectl.fails("taint", "node", berth, "storm=low:NoSchedule")
    )
    assert kubectl("taint", "node", berth, "storm=low:NoSchedule", "--overwrite") == f"node/{berth} modified\n"
    moor(kubectl, "boat", berth)
    assert is_pending(kubectl, "boat", "had untolerated taint", eventually)
    assert "Taints:             storm=low:NoSchedule" in kubectl("describe", "node", berth)
    assert kubectl("taint", "node", berth, "storm-") == f"node/{berth} untainted\n"
    kubectl("wait", "pod/boat", "--for=condition=Ready", "--timeout=20s")
    assert kubectl("get", "pod", "boat", "-o", "jsonpath={.spec.nodeName}") == berth


def test_cordon_and_uncordon(kubectl: Any, berth: str, eventually: Callable[..., Any]) -> None:
    assert kubectl("cordon", berth) == f"node/{berth} cordoned\n"
    assert kubectl("cordon", berth) == f"node/{berth} already cordoned\n"
    assert kubectl.rows("node", berth)[0]["STATUS"] == "Ready,SchedulingDisabled"
    moor(kubectl, "boat", berth)
    assert is_pending(kubectl, "boat", "were unschedulable", eventually)
    assert kubectl("uncordon", berth) == f"node/{berth} uncordoned\n"
    kubectl("wait", "pod/boat", "--for=condition=Ready", "--timeout=20s")


def test_drain_moves_what_is_managed_and_asks_about_the_rest(kubectl: Any, berth: str) -> None:
    fleet(kubectl, berth, 2)
    moor(kubectl, "alone", berth)
    kubectl("wait", "pod/alone", "--for=condition=Ready", "--timeout=20s")
    refused = kubectl.fails("drain", berth, "--timeout=5s")
    assert (
        f"cannot delete Pods that declare no controller (use --force to override): {kubectl.namespace}/alone" in refused
    )
    drained = kubectl("drain", berth, "--force", "--timeout=20s")
    assert drained.splitlines()[-1] == f"node/{berth} drained"
    assert drained.count(" evicted\n") == 3
    phases = {row["NAME"][:4]: row["STATUS"] for row in kubectl.rows("pods")}
    assert phases == {"web-": "Pending"}  # made again, with nowhere to go
    kubectl("uncordon", berth)
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")


def test_drain_respects_a_disruption_budget(kubectl: Any, berth: str, eventually: Callable[..., Any]) -> None:
    fleet(kubectl, berth, 2)
    kubectl("create", "pdb", "calm", "--selector=app=web", "--min-available=2")
    eventually(lambda: kubectl("get", "pdb", "calm", "-o", "jsonpath={.status.currentHealthy}") == "2", "counted")
    refused = kubectl.fails("drain", berth, "--timeout=1s")
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    assert [row["READY"] for row in kubectl.rows("pods")] == ["1/1", "1/1"]
    kubectl("delete", "pdb", "calm")
    assert f"node/{berth} drained" in kubectl("drain", berth, "--timeout=20s")


def test_drain_dry_run(kubectl: Any, berth: str) -> None:
    fleet(kubectl, berth, 1)
    shown = kubectl("drain", berth, "--dry-run=server")
    assert f"node/{berth} cordoned (server dry run)" in shown
    assert f"node/{berth} drained (server dry run)" in shown
    assert kubectl.rows("node", berth)[0]["STATUS"] == "Ready"
    assert [row["STATUS"] for row in kubectl.rows("pods")] == ["Running"]
