"""kubectl delete: what goes with an object, what stays, what is waited for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFESTS = Path(__file__).parent / "manifests"
WEB = str(MANIFESTS / "web.yaml")


@pytest.fixture
def web(kubectl: Any) -> Any:
    kubectl("create", "-f", WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    return kubectl


def kinds(kubectl: Any) -> list[str]:
    """What is left of `web`."""
    return [name.split("/")[0] for name in kubectl("get", "deployment,rs,pod", "-o", "name").split()]


def test_delete_takes_dependents_along(web: Any, eventually: Callable[..., Any]) -> None:
    deleted = web("delete", "deployment", "web")
    assert deleted == f'deployment.apps "web" deleted from {web.namespace} namespace\n'
    eventually(lambda: not kinds(web), "all dependents gone")


def test_delete_foreground_returns_when_dependents_are_gone(web: Any) -> None:
    web("delete", "deployment", "web", "--cascade=foreground")
    assert kinds(web) == []


def test_delete_foreground_keeps_the_owner_until_then(web: Any) -> None:
    pod = web("get", "pods", "-o", "name").split()[0]
    web("patch", pod, "-p", '{"metadata": {"finalizers": ["example.com/anchor"]}}')
    web("delete", "deployment", "web", "--cascade=foreground", "--wait=false")
    web("wait", pod, "--for=jsonpath={.metadata.deletionTimestamp}", "--timeout=20s")
    owner = web.json("get", "deployment", "web")["metadata"]
    assert owner["deletionTimestamp"]
    assert owner["finalizers"] == ["foregroundDeletion"]
    web("patch", pod, "-p", '{"metadata": {"finalizers": null}}')
    web("wait", "--for=delete", "deployment/web", "--timeout=20s")
    assert kinds(web) == []


def test_delete_orphan_leaves_dependents_to_themselves(web: Any) -> None:
    before = set(web("get", "pods", "-o", "name").split())
    web("delete", "deployment", "web", "--cascade=orphan")
    assert kinds(web) == ["replicaset.apps", "pod", "pod"]
    [replica_set] = web.json("get", "rs")["items"]
    assert "ownerReferences" not in replica_set["metadata"]
    web("create", "-f", WEB)  # a new owner adopts them
    web("wait", "rs", "--all", "--for=jsonpath={.metadata.ownerReferences[0].name}=web", "--timeout=20s")
    assert set(web("get", "pods", "-o", "name").split()) == before


def test_delete_by_selector_and_all(kubectl: Any) -> None:
    for name in ("a", "b", "c"):
        kubectl("create", "configmap", name)
    kubectl("label", "configmap", "a", "b", "sea=north")
    assert kubectl("delete", "configmap", "-l", "sea=north").splitlines() == [
        f'configmap "{name}" deleted from {kubectl.namespace} namespace' for name in ("a", "b")
    ]
    assert 'configmap "c" deleted' in kubectl("delete", "configmap,secret", "--all")
    assert kubectl.result("delete", "pods", "-l", "sea=west").stdout == "No resources found\n"


def test_delete_several_goes_on_after_one_that_is_missing(kubectl: Any) -> None:
    kubectl("create", "configmap", "b")
    done = kubectl.result("delete", "configmap", "a", "b")
    assert done.returncode == 1
    assert done.stdout == f'configmap "b" deleted from {kubectl.namespace} namespace\n'
    assert done.stderr == 'Error from server (NotFound): configmaps "a" not found\n'
    assert kubectl("delete", "configmap", "a", "--ignore-not-found") == ""


def test_delete_dry_runs(web: Any) -> None:
    gone = f'deployment.apps "web" deleted from {web.namespace} namespace'
    assert web("delete", "deployment", "web", "--dry-run=client") == f"{gone} (dry run)\n"
    assert web("delete", "-f", WEB, "--dry-run=server") == f"{gone} (server dry run)\n"
    assert "deletionTimestamp" not in web.json("get", "deployment", "web")["metadata"]


def test_delete_waits_for_finalizers(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    kubectl("patch", "configmap", "a", "-p", '{"metadata": {"finalizers": ["example.com/anchor"]}}')
    late = kubectl.fails("delete", "configmap", "a", "--timeout=300ms")
    assert late.splitlines()[-1] == "error: timed out waiting for the condition on configmaps/a"
    metadata = kubectl.json("get", "configmap", "a")["metadata"]
    assert (metadata["deletionGracePeriodSeconds"], metadata["finalizers"]) == (0, ["example.com/anchor"])
    refused = kubectl.fails("patch", "configmap", "a", "-p", '{"metadata": {"finalizers": ["example.com/second"]}}')
    assert "no new finalizers can be added if the object is being deleted" in refused
    kubectl("patch", "configmap", "a", "--type=json", "-p", '[{"op": "remove", "path": "/metadata/finalizers"}]')
    assert kubectl("get", "configmap", "a", "--ignore-not-found") == ""


def test_delete_pod_with_a_grace_period(kubectl: Any) -> None:
    kubectl("run", "boat", "--image=boat:1")
    kubectl("patch", "pod", "boat", "-p", '{"metadata": {"finalizers": ["example.com/anchor"]}}')
    kubectl("delete", "pod", "boat", "--grace-period=7", "--wait=false")
    assert kubectl("get", "pod", "boat", "-o", "jsonpath={.metadata.deletionGracePeriodSeconds}") in ("7", "0")
    kubectl("patch", "pod", "boat", "-p", '{"metadata": {"finalizers": null}}')
    kubectl("wait", "--for=delete", "pod/boat", "--timeout=20s")


def test_delete_pod_now_and_by_force(kubectl: Any) -> None:
    kubectl("run", "ada", "--image=boat:1")
    kubectl("run", "bob", "--image=boat:1")
    assert kubectl("delete", "pod", "ada", "--now") == f'pod "ada" deleted from {kubectl.namespace} namespace\n'
    forced = kubectl.result("delete", "pod", "bob", "--grace-period=0", "--force")
    assert "Warning: Immediate deletion does not wait for confirmation" in forced.stderr
    assert forced.stdout == f'pod "bob" force deleted from {kubectl.namespace} namespace\n'
    assert kubectl("get", "pods", "-o", "name") == ""


def test_delete_namespace_takes_everything_in_it_along(web: Any) -> None:
    name = web.namespace
    web("create", "configmap", "anchor")
    web("patch", "configmap", "anchor", "-p", '{"metadata": {"finalizers": ["example.com/anchor"]}}')
    web("delete", "namespace", name, "--wait=false")
    web("wait", "namespace", name, "--for=condition=NamespaceFinalizersRemaining", "--timeout=20s")
    [row] = web.rows("namespace", name)
    assert row["STATUS"] == "Terminating"
    conditions = {found["type"]: found for found in web.json("get", "namespace", name)["status"]["conditions"]}
    assert conditions["NamespaceContentRemaining"]["message"] == (
        "Some resources are remaining: configmaps. has 1 resource instances"
    )
    assert conditions["NamespaceFinalizersRemaining"]["message"] == (
        "Some content in the namespace has finalizers remaining: example.com/anchor in 1 resource instances"
    )
    assert kinds(web) == []
    refused = web.fails("create", "configmap", "more")
    assert f'"more" is forbidden: unable to create new content in namespace {name} because it is being' in refused
    web("patch", "configmap", "anchor", "-p", '{"metadata": {"finalizers": null}}')
    web("wait", "--for=delete", f"namespace/{name}", "--timeout=20s")


def test_namespaces_the_cluster_needs_stay(kubectl: Any) -> None:
    assert kubectl.fails("delete", "namespace", "kube-system").endswith(
        'Error from server (Forbidden): namespaces "kube-system" is forbidden: this namespace may not be deleted\n'
    )
