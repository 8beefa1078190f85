"""kubectl scale, autoscale and rollout: how many pods there are, of which version, and how they got there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFESTS = Path(__file__).parent / "manifests"
WEB = (MANIFESTS / "web.yaml").read_text()
STATEFUL = str(MANIFESTS / "stateful.yaml")
NEVER_READY = '{"spec": {"template": {"metadata": {"annotations": {"seatrial.dev/simulated-ready": "false"}}}}}'


@pytest.fixture
def web(kubectl: Any) -> Any:
    kubectl("create", "-f", str(MANIFESTS / "web.yaml"))
    rolled_out(kubectl, "deployment/web")
    return kubectl


def rolled_out(kubectl: Any, resource: str) -> str:
    text: str = kubectl("rollout", "status", resource, "--timeout=30s")
    return text


def images(kubectl: Any, label: str = "app=web") -> set[str]:
    """The images of the pods that are not on their way out."""
    pods = kubectl.json("get", "pods", "-l", label)["items"]
    return {pod["spec"]["containers"][0]["image"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def revisions(kubectl: Any, resource: str) -> dict[int, str]:
    lines = [line for line in kubectl("rollout", "history", resource).splitlines() if line[:1].isdigit()]
    return {int(line.split()[0]): line.split(maxsplit=1)[1] for line in lines}


# scale


def test_scale_up_and_down(web: Any) -> None:
    assert web("scale", "deployment", "web", "--replicas=5") == "deployment.apps/web scaled\n"
    web("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=5", "--timeout=20s")
    web("scale", "--replicas=1", "-f", str(MANIFESTS / "web.yaml"))
    web("wait", "deployment/web", "--for=jsonpath={.status.replicas}=1", "--timeout=20s")
    [row] = web.rows("deployment", "web")
    assert (row["READY"], row["UP-TO-DATE"], row["AVAILABLE"]) == ("1/1", "1", "1")
    [shown] = web.rows("deployment", "web", "--subresource=scale")
    assert (shown["DESIRED"], shown["AVAILABLE"]) == ("1", "1")


def test_scale_with_preconditions(web: Any) -> None:
    refused = web.fails("scale", "deployment", "web", "--current-replicas=3", "--replicas=4")
    assert refused == "error: Expected replicas to be 3, was 2\n"
    assert "error: Expected resource version to be 1, was" in (
        web.fails("scale", "deployment", "web", "--resource-version=1", "--replicas=4")
    )
    assert web("scale", "deployment", "web", "--current-replicas=2", "--replicas=0") == "deployment.apps/web scaled\n"


def test_scale_what_cannot_be_scaled(web: Any) -> None:
    web("create", "configmap", "chart")
    assert "(NotFound): the server could not find the requested resource" in (
        web.fails("scale", "configmap", "chart", "--replicas=2")
    )
    assert 'deployments.apps "nosuch" not found' in web.fails("scale", "deployment", "nosuch", "--replicas=2")


def test_scale_a_statefulset_from_the_end(kubectl: Any) -> None:
    kubectl("create", "-f", STATEFUL)
    rolled_out(kubectl, "statefulset/db")
    kubectl("scale", "statefulset", "db", "--replicas=1")
    kubectl("wait", "--for=delete", "pod/db-1", "--timeout=20s")
    assert kubectl("get", "pods", "-l", "app=db", "-o", "name") == "pod/db-0\n"


# autoscale


def test_autoscale(web: Any, eventually: Callable[..., Any]) -> None:
    made = web("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=50%", "--memory=64Mi")
    assert made == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    eventually(lambda: web.rows("hpa", "web")[0]["REPLICAS"] == "2", "the autoscaler has looked")
    [row] = web.rows("hpa", "web")
    assert (row["REFERENCE"], row["MINPODS"], row["MAXPODS"]) == ("Deployment/web", "2", "5")
    assert row["TARGETS"] == "cpu: <unknown>/50%, memory: <unknown>/64Mi"
    text = web("describe", "hpa", "web")
    assert "AbleToScale    True    SucceededGetScale" in text
    assert "ScalingActive  False   FailedGetResourceMetric" in text


def test_autoscale_keeps_within_its_bounds_without_metrics(web: Any) -> None:
    web("autoscale", "deployment", "web", "--min=3", "--max=5", "--cpu=50%")
    web("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=20s")


# rollout


def test_rollout_of_a_new_image(web: Any) -> None:
    web("set", "image", "deployment/web", "server=nginx:2")
    assert rolled_out(web, "deployment/web").endswith('deployment "web" successfully rolled out\n')
    assert images(web) == {"nginx:2"}
    sizes = {row["IMAGES"]: (row["DESIRED"], row["READY"]) for row in web.rows("rs", "-l", "app=web", "-o", "wide")}
    assert sizes == {"nginx:1": ("0", "0"), "nginx:2": ("2", "2")}


def test_rollout_history_with_causes_and_one_revision_in_full(web: Any) -> None:
    web("set", "image", "deployment/web", "server=nginx:2")
    web("annotate", "deployment/web", "kubernetes.io/change-cause=newer nginx")
    rolled_out(web, "deployment/web")
    assert revisions(web, "deployment/web") == {1: "<none>", 2: "newer nginx"}
    text = web("rollout", "history", "deployment/web", "--revision=2")
    assert text.startswith("deployment.apps/web with revision #2\nPod Template:\n  Labels:\tapp=web\n")
    assert "    Image:\tnginx:2\n" in text
    assert web.fails("rollout", "history", "deployment/web", "--revision=9") == (
        "error: unable to find the specified revision\n"
    )


def test_rollout_undo_brings_the_former_template_back_as_a_new_revision(web: Any) -> None:
    web("set", "image", "deployment/web", "server=nginx:2")
    rolled_out(web, "deployment/web")
    assert web("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
    rolled_out(web, "deployment/web")
    assert images(web) == {"nginx:1"}
    assert set(revisions(web, "deployment/web")) == {2, 3}


def test_rollout_undo_to_a_revision(web: Any) -> None:
    for version in (2, 3):
        web("set", "image", "deployment/web", f"server=nginx:{version}")
        rolled_out(web, "deployment/web")
    web("rollout", "undo", "deployment/web", "--to-revision=1")
    rolled_out(web, "deployment/web")
    assert images(web) == {"nginx:1"}
    assert set(revisions(web, "deployment/web")) == {2, 3, 4}
    assert "unable to find specified revision 9 in history" in (
        web.fails("rollout", "undo", "deployment/web", "--to-revision=9")
    )


def test_rollout_restart_replaces_every_pod(web: Any) -> None:
    before = set(web("get", "pods", "-l", "app=web", "-o", "name").split())
    assert web("rollout", "restart", "deployment/web") == "deployment.apps/web restarted\n"
    rolled_out(web, "deployment/web")
    web("wait", "--for=delete", *before, "--timeout=20s")
    after = set(web("get", "pods", "-l", "app=web", "-o", "name").split())
    assert len(after) == 2
    assert not before & after


def test_rollout_paused_changes_nothing_until_resumed(web: Any) -> None:
    assert web("rollout", "pause", "deployment/web") == "deployment.apps/web paused\n"
    assert web.fails("rollout", "pause", "deployment/web") == 'error: deployments.apps "web" is already paused\n'
    web("set", "image", "deployment/web", "server=nginx:2")
    observed = web.json("get", "deployment", "web")["metadata"]["generation"]
    web("wait", "deployment/web", f"--for=jsonpath={{.status.observedGeneration}}={observed}", "--timeout=20s")
    assert images(web) == {"nginx:1"}
    assert "you cannot rollback a paused deployment" in web.fails(
        "rollout", "undo", "deployment/web", "--to-revision=1"
    )
    web("scale", "deployment", "web", "--replicas=3")  # size is not held back
    web("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=20s")
    assert images(web) == {"nginx:1"}
    assert web("rollout", "resume", "deployment/web") == "deployment.apps/web resumed\n"
    assert web.fails("rollout", "resume", "deployment/web") == 'error: deployments.apps "web" is not paused\n'
    rolled_out(web, "deployment/web")
    assert images(web) == {"nginx:2"}


def test_rollout_that_makes_no_progress_is_given_up_and_keeps_the_old_pods(web: Any) -> None:
    web("patch", "deployment", "web", "-p", '{"spec": {"progressDeadlineSeconds": 1}}')
    web("patch", "deployment", "web", "-p", NEVER_READY)
    failed = web.result("rollout", "status", "deployment/web", "--timeout=30s")
    assert failed.returncode == 1
    assert failed.stderr == 'error: deployment "web" exceeded its progress deadline\n'
    [row] = web.rows("deployment", "web")
    assert (row["READY"], row["UP-TO-DATE"], row["AVAILABLE"]) == ("2/2", "1", "2")


def test_rollout_status_times_out(web: Any) -> None:
    web("patch", "deployment", "web", "-p", NEVER_READY)
    failed = web.result("rollout", "status", "deployment/web", "--timeout=1s")
    assert (
        'Waiting for deployment "web" rollout to finish: 1 out of 2 new replicas have been updated...' in failed.stdout
    )
    assert failed.stderr == "error: timed out waiting for the condition\n"


def test_rollout_of_a_statefulset(kubectl: Any) -> None:
    kubectl("create", "-f", STATEFUL)
    rolled_out(kubectl, "statefulset/db")
    kubectl("set", "image", "statefulset/db", "server=postgres:2")
    assert "2 new pods have been updated" in rolled_out(kubectl, "statefulset/db")
    assert images(kubectl, "app=db") == {"postgres:2"}
    assert revisions(kubectl, "statefulset/db") == {1: "<none>", 2: "<none>"}
    kubectl("rollout", "undo", "statefulset/db")
    kubectl("wait", "pod/db-0", "--for=jsonpath={.spec.containers[0].image}=postgres:1", "--timeout=20s")
    rolled_out(kubectl, "statefulset/db")
    assert images(kubectl, "app=db") == {"postgres:1"}
    claims = kubectl("get", "pvc", "-o", "name").split()
    assert claims == ["persistentvolumeclaim/data-db-0", "persistentvolumeclaim/data-db-1"]


def test_rollout_of_a_daemonset(kubectl: Any) -> None:
    kubectl("create", "-f", STATEFUL)
    assert rolled_out(kubectl, "daemonset/agent").endswith('daemon set "agent" successfully rolled out\n')
    kubectl("set", "image", "daemonset/agent", "server=agent:2")
    rolled_out(kubectl, "daemonset/agent")
    assert images(kubectl, "app=agent") == {"agent:2"}
    assert "Image:\tagent:1" in kubectl("rollout", "history", "daemonset/agent", "--revision=1")
    kubectl("rollout", "undo", "daemonset/agent")
    rolled_out(kubectl, "daemonset/agent")
    assert images(kubectl, "app=agent") == {"agent:1"}
    assert kubectl("rollout", "restart", "daemonset/agent") == "daemonset.apps/agent restarted\n"
    rolled_out(kubectl, "daemonset/agent")
    assert set(revisions(kubectl, "daemonset/agent")) == {2, 3, 4}
