"""kubectl auth, and what callers other than the administrator may do."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

RBAC = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: {namespace}}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [{verbs}]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]
"""


@pytest.fixture
def kubeconfig(up: Any, kubectl: Any, tmp_path: Path) -> Any:
    """Make a kubectl that knows the server and these credentials, and nothing else."""

    def make(**credentials: str) -> Any:
        config = yaml.safe_load(up.kubeconfig.read_text())
        config["users"][0]["user"] = credentials
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        environment = {**kubectl.environment, "KUBECONFIG": str(path)}
        return dataclasses.replace(kubectl, environment=environment)

    return make


@pytest.fixture
def bot(kubectl: Any, kubeconfig: Any) -> Any:
    """kubectl with the token of a service account that nobody has given anything."""
    kubectl("create", "serviceaccount", "bot")
    return kubeconfig(token=kubectl("create", "token", "bot"))


def may(kubectl: Any, *question: str) -> bool:
    done = kubectl.result("auth", "can-i", *question)
    assert done.stdout in ("yes\n", "no\n"), done.stderr
    assert done.returncode == (0 if done.stdout == "yes\n" else 1)
    return bool(done.stdout == "yes\n")


# Who


def test_whoami_of_the_administrator(kubectl: Any) -> None:
    text = kubectl("auth", "whoami")
    assert text.splitlines()[0].split() == ["ATTRIBUTE", "VALUE"]
    said = kubectl.json("auth", "whoami")["status"]["userInfo"]
    assert said["username"] == "kubernetes-admin"
    assert set(said["groups"]) == {"system:masters", "system:authenticated"}


def test_whoami_of_a_service_account(kubectl: Any, bot: Any) -> None:
    said = bot.json("auth", "whoami")["status"]["userInfo"]
    namespace = kubectl.namespace
    assert said["username"] == f"system:serviceaccount:{namespace}:bot"
    assert said["uid"] == kubectl.json("get", "serviceaccount", "bot")["metadata"]["uid"]
    assert set(said["groups"]) == {
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    }


def test_the_token_that_up_leaves_is_the_administrators(up: Any, kubeconfig: Any) -> None:
    said = kubeconfig(token=up.token).json("auth", "whoami")["status"]["userInfo"]
    assert "system:masters" in said["groups"]


def test_a_bad_token_is_refused(kubeconfig: Any) -> None:
    refused = kubeconfig(token="nonsense").fails("get", "pods")
    assert refused == "error: You must be logged in to the server (Unauthorized)\n"


def test_a_token_dies_with_its_account(kubectl: Any, bot: Any) -> None:
    bot("auth", "whoami")
    kubectl("delete", "serviceaccount", "bot")
    assert "(Unauthorized)" in bot.fails("auth", "whoami")


# What


def test_the_administrator_may_do_everything(kubectl: Any) -> None:
    assert may(kubectl, "create", "pods")
    assert may(kubectl, "*", "*", "--all-namespaces")
    assert may(kubectl, "get", "/anything")
    assert "*.*" in kubectl("auth", "can-i", "--list")


def test_a_stranger_may_do_next_to_nothing(bot: Any) -> None:
    assert not may(bot, "get", "pods")
    assert may(bot, "get", "/version")
    listed = [line.split()[0] for line in bot("auth", "can-i", "--list", "--no-headers").splitlines()]
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed
    assert "pods" not in listed
    account = f"system:serviceaccount:{bot.namespace}:bot"
    assert bot.fails("get", "pods") == (
        f'Error from server (Forbidden): pods is forbidden: User "{account}" cannot list resource "pods" '
        f'in API group "" in the namespace "{bot.namespace}"\n'
    )
    assert "at the cluster scope" in bot.fails("get", "nodes")
    assert 'deployments.apps is forbidden: User "' in bot.fails("create", "deployment", "web", "--image=x")


def test_a_role_binding_gives_what_the_role_says(kubectl: Any, bot: Any) -> None:
    kubectl("create", "rolebinding", "bot", "--clusterrole=view", f"--serviceaccount={kubectl.namespace}:bot")
    assert bot("get", "pods", "-o", "name") == ""
    assert may(bot, "list", "deployments.apps")
    assert may(bot, "get", "pods", "--subresource=log")
    assert not may(bot, "list", "secrets")
    assert not may(bot, "list", "pods", "--all-namespaces")
    assert not may(bot, "delete", "pods")
    table = {line.split()[0]: line for line in bot("auth", "can-i", "--list").splitlines()}
    assert table["configmaps"].endswith("[get list watch]")
    kubectl("delete", "rolebinding", "bot")
    assert not may(bot, "list", "pods")


def test_nobody_grants_more_than_they_have(kubectl: Any, bot: Any) -> None:
    kubectl("create", "rolebinding", "bot", "--clusterrole=admin", f"--serviceaccount={kubectl.namespace}:bot")
    assert bot("create", "role", "fine", "--verb=get", "--resource=pods") == (
        "role.rbac.authorization.k8s.io/fine created\n"
    )
    refused = bot.fails("create", "role", "more", "--verb=get", "--resource=nodes")
    assert "is attempting to grant RBAC permissions not currently held:" in refused
    assert '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}' in refused
    bound = (
        "create",
        "rolebinding",
        "more",
        "--clusterrole=cluster-admin",
        f"--serviceaccount={kubectl.namespace}:bot",
    )
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in bot.fails(*bound)


def test_impersonation_is_refused_in_plain_words(kubectl: Any) -> None:
    message = (
        "Error from server (NotImplemented): impersonation is not supported: remove the Impersonate-* headers (--as)\n"
    )
    assert kubectl.fails("get", "pods", "--as=jane") == message
    assert kubectl.fails("auth", "can-i", "get", "pods", "--as=jane", "--as-group=crew") == message


# Certificate requests


def test_a_certificate_request_names_who_made_it_and_is_not_signed_here(kubectl: Any, bot: Any) -> None:
    name = f"request-{kubectl.namespace}"
    kubectl("create", "clusterrole", name, "--verb=create", "--resource=certificatesigningrequests")
    kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--serviceaccount={kubectl.namespace}:bot")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    spec = {
        "request": base64.b64encode(request.public_bytes(Encoding.PEM)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
        "username": "somebody-else",
    }
    metadata = {"name": name}
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    try:
        bot("create", "-f", "-", stdin=json.dumps({**kind, "metadata": metadata, "spec": spec}))
        [row] = kubectl.rows("csr", name)
        assert (row["REQUESTOR"], row["CONDITION"]) == (f"system:serviceaccount:{kubectl.namespace}:bot", "Pending")
        assert "this server signs no certificate requests" in kubectl.fails("certificate", "approve", name)
    finally:
        kubectl("delete", "csr,clusterrole,clusterrolebinding", name, "--ignore-not-found")


# reconcile


def test_reconcile_adds_what_is_missing(kubectl: Any) -> None:
    def reconcile(verbs: str, user: str, *options: str) -> str:
        text = RBAC.format(namespace=kubectl.namespace, verbs=verbs, user=user)
        done = kubectl.result("auth", "reconcile", "-f", "-", *options, stdin=text)
        assert done.returncode == 0, done.stderr
        return str(done.stdout + done.stderr)

    assert reconcile("get", "ada").count("reconciliation required create") == 2
    assert "required" not in reconcile("get", "ada")
    assert "{Verbs:[list] APIGroups:[] Resources:[pods]" in reconcile("get, list", "bob")
    rules = kubectl.json("get", "role", "reader")["rules"]
    assert [verb for rule in rules for verb in rule["verbs"]] == ["get", "list"]
    [row] = kubectl.rows("rolebinding", "reader", "-o", "wide")
    assert row["USERS"] == "ada, bob"
    reconcile("list", "bob", "--remove-extra-permissions", "--remove-extra-subjects")
    assert [rule["verbs"] for rule in kubectl.json("get", "role", "reader")["rules"]] == [["list"]]
    [row] = kubectl.rows("rolebinding", "reader", "-o", "wide")
    assert row["USERS"] == "bob"
