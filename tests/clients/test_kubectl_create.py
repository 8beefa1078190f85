"""kubectl create: every generator it has, what the server makes of the object, and what it refuses."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def claims(token: str) -> dict[str, Any]:
    """What a JSON Web Token says."""
    payload = token.strip().split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def test_create_deployment(kubectl: Any) -> None:
    made = kubectl("create", "deployment", "web", "--image=nginx:1", "--image=redis", "--replicas=2", "--port=80")
    assert made == "deployment.apps/web created\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    [row] = kubectl.rows("deployment", "web", "-o", "wide")
    assert (row["READY"], row["UP-TO-DATE"], row["AVAILABLE"]) == ("2/2", "2", "2")
    assert (row["CONTAINERS"], row["IMAGES"], row["SELECTOR"]) == ("nginx,redis", "nginx:1,redis", "app=web")
    again = kubectl.fails("create", "deployment", "web", "--image=nginx:1")
    assert again == 'error: failed to create deployment: deployments.apps "web" already exists\n'


def test_create_dry_runs_show_the_object_and_store_nothing(kubectl: Any) -> None:
    create = ("create", "deployment", "web", "--image=nginx:1", "-o", "json")
    client = json.loads(kubectl(*create, "--dry-run=client"))
    server = json.loads(kubectl(*create, "--dry-run=server"))
    assert "uid" not in client["metadata"]
    assert client["spec"]["strategy"] == {}
    assert server["metadata"]["uid"]
    assert server["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    assert server["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert 'deployments.apps "web" not found' in kubectl.fails("get", "deployment", "web")


def test_create_configmap(kubectl: Any, tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("ahoy\n")
    (tmp_path / "chart").write_bytes(b"\x00\xff")
    kubectl("create", "configmap", "settings", "--from-literal=depth=3", f"--from-file={tmp_path}")
    settings = kubectl.json("get", "configmap", "settings")
    assert settings["data"] == {"depth": "3", "motd": "ahoy\n"}
    assert base64.b64decode(settings["binaryData"]["chart"]) == b"\x00\xff"
    assert [row["DATA"] for row in kubectl.rows("configmap", "settings")] == ["3"]


def test_create_secret_of_each_type(kubectl: Any, up: Any, tmp_path: Path) -> None:
    kubectl("create", "secret", "generic", "plain", "--from-literal=user=ada")
    kubectl(
        *("create", "secret", "docker-registry", "registry", "--docker-server=registry.example.com"),
        *("--docker-username=ada", "--docker-password=hunter2"),
    )
    kubectl("create", "secret", "tls", "tls", f"--cert={up.ca}", f"--key={up.ca.with_suffix('.key')}")
    shown = {row["NAME"]: (row["TYPE"], row["DATA"]) for row in kubectl.rows("secrets")}
    assert shown == {
        "plain": ("Opaque", "1"),
        "registry": ("kubernetes.io/dockerconfigjson", "1"),
        "tls": ("kubernetes.io/tls", "2"),
    }
    assert kubectl("get", "secret", "plain", "-o", "jsonpath={.data.user}") == base64.b64encode(b"ada").decode()


def test_create_job_runs_to_completion(kubectl: Any) -> None:
    assert kubectl("create", "job", "once", "--image=busybox", "--", "echo", "ahoy") == "job.batch/once created\n"
    kubectl("wait", "--for=condition=complete", "job/once", "--timeout=20s")
    [row] = kubectl.rows("job", "once")
    assert (row["STATUS"], row["COMPLETIONS"]) == ("Complete", "1/1")
    [pod] = kubectl.rows("pods", "-l", "batch.kubernetes.io/job-name=once")
    assert (pod["READY"], pod["STATUS"]) == ("0/1", "Completed")


def test_create_cronjob_and_a_job_from_it(kubectl: Any) -> None:
    kubectl("create", "cronjob", "tides", "--image=busybox", "--schedule=0 0 1 1 *", "--", "date")
    [row] = kubectl.rows("cronjob", "tides")
    assert (row["SCHEDULE"], row["TIMEZONE"], row["SUSPEND"], row["ACTIVE"], row["LAST SCHEDULE"]) == (
        *("0 0 1 1 *", "<none>", "False", "0", "<none>"),
    )
    kubectl("create", "job", "now", "--from=cronjob/tides")
    kubectl("wait", "--for=condition=complete", "job/now", "--timeout=20s")
    job = kubectl.json("get", "job", "now")
    assert job["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    assert [owner["name"] for owner in job["metadata"]["ownerReferences"]] == ["tides"]
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["date"]


def test_create_cronjob_with_a_schedule_that_is_none(kubectl: Any) -> None:
    refused = kubectl.fails("create", "cronjob", "tides", "--image=busybox", "--schedule=at noon")
    assert 'CronJob.batch "tides" is invalid: spec.schedule: Invalid value: "at noon"' in refused


def test_create_ingress(kubectl: Any) -> None:
    kubectl("create", "ingress", "quay", "--class=traefik", "--rule=example.com/dock*=web:80,tls=cert")
    [row] = kubectl.rows("ingress", "quay")
    assert (row["CLASS"], row["HOSTS"], row["PORTS"]) == ("traefik", "example.com", "80, 443")
    [path] = kubectl.json("get", "ingress", "quay")["spec"]["rules"][0]["http"]["paths"]
    assert path == {
        "path": "/dock",
        "pathType": "Prefix",
        "backend": {"service": {"name": "web", "port": {"number": 80}}},
    }


def test_create_role_and_rolebinding(kubectl: Any) -> None:
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps", "--resource-name=web")
    kubectl("create", "rolebinding", "readers", "--role=reader", "--user=ada", "--group=crew", "--serviceaccount=a:b")
    assert kubectl.json("get", "role", "reader")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["web"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["get", "list"]},
    ]
    [row] = kubectl.rows("rolebinding", "readers", "-o", "wide")
    assert (row["ROLE"], row["USERS"], row["GROUPS"], row["SERVICEACCOUNTS"]) == ("Role/reader", "ada", "crew", "a/b")


@pytest.fixture
def cluster_role(kubectl: Any) -> Iterator[str]:
    """The name of a ClusterRole, deleted afterwards with its binding."""
    name = f"reader-{kubectl.namespace}"
    yield name
    kubectl("delete", "clusterrole,clusterrolebinding", name, "--ignore-not-found")


def test_create_clusterrole_and_clusterrolebinding(kubectl: Any, cluster_role: str) -> None:
    kubectl("create", "clusterrole", cluster_role, "--verb=get", "--non-resource-url=/logs/*")
    kubectl("create", "clusterrolebinding", cluster_role, f"--clusterrole={cluster_role}", "--user=ada")
    rules = kubectl.json("get", "clusterrole", cluster_role)["rules"]
    assert rules == [{"nonResourceURLs": ["/logs/*"], "verbs": ["get"]}]
    [row] = kubectl.rows("clusterrolebinding", cluster_role, "-o", "wide")
    assert (row["ROLE"], row["USERS"]) == (f"ClusterRole/{cluster_role}", "ada")


def test_create_clusterrole_that_gathers_the_rules_of_others(
    kubectl: Any, cluster_role: str, eventually: Callable[..., Any]
) -> None:
    """The built-in `view` gathers everything labelled for it; so does a new role."""
    label = "rbac.authorization.k8s.io/aggregate-to-view=true"
    kubectl("create", "clusterrole", cluster_role, f"--aggregation-rule={label}")
    eventually(lambda: kubectl.json("get", "clusterrole", cluster_role)["rules"], "rules gathered")
    rules = kubectl.json("get", "clusterrole", cluster_role)["rules"]
    assert rules == kubectl.json("get", "clusterrole", "view")["rules"]


def test_create_serviceaccount_and_token(kubectl: Any) -> None:
    kubectl("create", "serviceaccount", "bot")
    said = claims(kubectl("create", "token", "bot", "--duration=2h", "--audience=tower"))
    assert said["sub"] == f"system:serviceaccount:{kubectl.namespace}:bot"
    assert (said["aud"], said["exp"] - said["iat"]) == (["tower"], 7200)
    account = said["kubernetes.io"]["serviceaccount"]
    assert account["uid"] == kubectl.json("get", "serviceaccount", "bot")["metadata"]["uid"]


def test_create_token_bound_to_an_object(kubectl: Any) -> None:
    kubectl("create", "secret", "generic", "anchor")
    bound = ("--bound-object-kind=Secret", "--bound-object-name=anchor")
    assert claims(kubectl("create", "token", "default", *bound))["kubernetes.io"]["secret"]["name"] == "anchor"


def test_create_token_that_cannot_be(kubectl: Any) -> None:
    assert 'serviceaccounts "nobody" not found' in kubectl.fails("create", "token", "nobody")
    short = kubectl.fails("create", "token", "default", "--duration=1s")
    assert "spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes" in short


def test_create_quota_is_stored_and_says_that_it_is_not_enforced(kubectl: Any) -> None:
    done = kubectl.result("create", "quota", "limit", "--hard=pods=2,cpu=1")
    assert done.stdout == "resourcequota/limit created\n"
    assert done.stderr == "Warning: resource quotas are stored but not enforced by this server\n"
    assert kubectl.json("get", "quota", "limit")["spec"]["hard"] == {"cpu": "1", "pods": "2"}


def test_create_pdb(kubectl: Any, eventually: Callable[..., Any]) -> None:
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=3")
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=50%")
    eventually(lambda: kubectl.rows("pdb", "web")[0]["ALLOWED DISRUPTIONS"] == "1", "one of three may go")
    [row] = kubectl.rows("pdb", "web")
    assert (row["MIN AVAILABLE"], row["MAX UNAVAILABLE"]) == ("50%", "N/A")


def test_create_priorityclass(kubectl: Any) -> None:
    name = f"high-{kubectl.namespace}"
    kubectl("create", "priorityclass", name, "--value=100", "--description=first", "--preemption-policy=Never")
    try:
        [row] = kubectl.rows("priorityclass", name)
        assert (row["VALUE"], row["GLOBAL-DEFAULT"], row["PREEMPTIONPOLICY"]) == ("100", "false", "Never")
        kubectl.apply(
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, "
            f"spec: {{priorityClassName: {name}, containers: [{{name: c, image: x}}]}}}}"
        )
        assert kubectl("get", "pod", "p", "-o", "jsonpath={.spec.priority}") == "100"
    finally:
        kubectl("delete", "priorityclass", name)


def test_create_namespace_comes_with_account_and_authority(kubectl: Any, up: Any) -> None:
    name = f"{kubectl.namespace}-more"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    try:
        kubectl("wait", "--for=create", "serviceaccount/default", "configmap/kube-root-ca.crt", "-n", name)
        authority = kubectl("get", "configmap", "kube-root-ca.crt", "-n", name, "-o", r"jsonpath={.data.ca\.crt}")
        assert authority == up.ca.read_text()
        [row] = kubectl.rows("namespace", name, "--show-labels")
        assert (row["STATUS"], row["LABELS"]) == ("Active", f"kubernetes.io/metadata.name={name}")
    finally:
        kubectl("delete", "namespace", name)


def test_create_service_of_each_type(kubectl: Any) -> None:
    kubectl("create", "service", "clusterip", "inner", "--tcp=80:8080")
    kubectl("create", "service", "clusterip", "headless", "--clusterip=None", "--tcp=80")
    kubectl("create", "service", "nodeport", "outer", "--tcp=80", "--node-port=31111")
    kubectl("create", "service", "loadbalancer", "balanced", "--tcp=80")
    kubectl("create", "service", "externalname", "elsewhere", "--external-name=example.com")
    rows = {row["NAME"]: row for row in kubectl.rows("services", "-o", "wide")}
    assert {name: row["TYPE"] for name, row in rows.items()} == {
        "balanced": "LoadBalancer",
        "elsewhere": "ExternalName",
        "headless": "ClusterIP",
        "inner": "ClusterIP",
        "outer": "NodePort",
    }
    assert rows["inner"]["CLUSTER-IP"].startswith("10.96.")
    assert rows["headless"]["CLUSTER-IP"] == "None"
    assert (rows["outer"]["PORT(S)"], rows["outer"]["SELECTOR"]) == ("80:31111/TCP", "app=outer")
    assert rows["balanced"]["EXTERNAL-IP"] == "<pending>"
    assert (rows["elsewhere"]["CLUSTER-IP"], rows["elsewhere"]["EXTERNAL-IP"]) == ("<none>", "example.com")
    taken = kubectl.fails("create", "service", "nodeport", "other", "--tcp=80", "--node-port=31111")
    assert "spec.ports[0].nodePort: Invalid value: 31111: provided port is already allocated" in taken


def test_create_from_a_list_and_with_a_generated_name(kubectl: Any) -> None:
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in ("a", "b")]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    assert kubectl("create", "-f", "-", stdin=listed) == "configmap/a created\nconfigmap/b created\n"
    generated = "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: tide-}}"
    first, second = (kubectl("create", "-f", "-", "-o", "name", stdin=generated).strip() for _ in range(2))
    assert first.startswith("configmap/tide-")
    assert len(first) == len(second) == len("configmap/tide-") + 5
    assert first != second


def test_create_raw(kubectl: Any) -> None:
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps"
    body = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "raw"}}'
    assert json.loads(kubectl("create", "--raw", path, "-f", "-", stdin=body))["metadata"]["resourceVersion"]
    assert kubectl("get", "configmap", "raw", "-o", "name") == "configmap/raw\n"


def test_create_in_a_namespace_that_is_not_there(kubectl: Any) -> None:
    refused = kubectl.fails("create", "configmap", "x", "-n", "nowhere")
    assert refused == 'error: failed to create configmap: namespaces "nowhere" not found\n'
