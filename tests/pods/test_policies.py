"""NetworkPolicies between real pods: of each, the connections it allows and those it denies."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.pods.conftest import eventually, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pods.conftest import Kubectl, Machine

SERVES = (
    "mkdir -p /tmp/w && echo open > /tmp/w/index.html && httpd -p 9090 -h /tmp/w && exec httpd -f -p 8080 -h /tmp/w"
)
ASKS = "timeout 1 wget -q -O /dev/null http://{host}:{port}/ 2>/dev/null"
TARGET: dict[str, Any] = {"podSelector": {"matchLabels": {"app": "server"}}}
FRIEND: dict[str, Any] = {"podSelector": {"matchLabels": {"role": "friend"}}}
ELSEWHERE: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"where": "there"}}}


@dataclass(frozen=True)
class Field:
    """Two namespaces, "here" with the server and two clients, "there" with two clients of the same labels."""

    here: Kubectl
    there: Kubectl
    address: str

    def reaches(self, client: str, port: int, host: str) -> bool:
        place, _, name = client.partition("/")
        kubectl = self.here if place == "here" else self.there
        asks = ASKS.format(host=host or self.address, port=port)
        return kubectl.result("exec", name, "--", "sh", "-c", asks).returncode == 0

    def until(self, client: str, port: int, host: str, wanted: bool) -> None:
        what = f"{client} {'reaches' if wanted else 'does not reach'} {host or self.address}:{port}"
        eventually(lambda: self.reaches(client, port, host) == wanted, what)


@dataclass(frozen=True)
class Case:
    """A policy's specification, and the clients and ports it lets through and does not."""

    spec: dict[str, Any]
    allowed: list[tuple[str, int]] = field(default_factory=list)
    denied: list[tuple[str, int]] = field(default_factory=list)
    host: str = ""


def ingress(*rules: dict[str, Any]) -> dict[str, Any]:
    return {**TARGET, "policyTypes": ["Ingress"], "ingress": list(rules)}


def egress(*rules: dict[str, Any]) -> dict[str, Any]:
    return {**FRIEND, "policyTypes": ["Egress"], "egress": list(rules)}


CASES = {
    "default deny ingress": Case(ingress(), denied=[("here/friend", 8080), ("there/friend", 8080)]),
    "default deny egress": Case(egress(), allowed=[("here/other", 8080)], denied=[("here/friend", 8080)]),
    "by pod": Case(
        ingress({"from": [FRIEND]}),
        allowed=[("here/friend", 8080)],
        denied=[("here/other", 8080), ("there/friend", 8080)],
    ),
    "by namespace": Case(
        ingress({"from": [ELSEWHERE]}),
        allowed=[("there/friend", 8080), ("there/other", 8080)],
        denied=[("here/friend", 8080)],
    ),
    "both in one peer": Case(
        ingress({"from": [{**FRIEND, **ELSEWHERE}]}),
        allowed=[("there/friend", 8080)],
        denied=[("there/other", 8080), ("here/friend", 8080)],
    ),
    "two peers": Case(
        ingress({"from": [FRIEND, ELSEWHERE]}),
        allowed=[("there/other", 8080), ("here/friend", 8080)],
        denied=[("here/other", 8080)],
    ),
    "port by number": Case(
        ingress({"ports": [{"port": 8080}]}), allowed=[("here/other", 8080)], denied=[("here/other", 9090)]
    ),
    "port by name": Case(
        ingress({"ports": [{"port": "second"}]}), allowed=[("here/other", 9090)], denied=[("here/other", 8080)]
    ),
    "range of ports": Case(
        ingress({"ports": [{"port": 9000, "endPort": 9100}]}),
        allowed=[("here/other", 9090)],
        denied=[("here/other", 8080)],
    ),
    "port of another protocol": Case(
        ingress({"ports": [{"port": 8080, "protocol": "UDP"}, {"port": 9090}]}),
        allowed=[("here/other", 9090)],
        denied=[("here/other", 8080)],
    ),
    "addresses": Case(
        egress({"to": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}), allowed=[("here/friend", 8080)]
    ),
    "addresses but the server's": Case(
        egress({"to": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["SERVER/32"]}}]}),
        allowed=[("here/other", 8080)],
        denied=[("here/friend", 8080)],
    ),
    "a Service's address": Case(
        ingress({"from": [FRIEND], "ports": [{"port": 8080}]}),
        allowed=[("here/friend", 80)],
        denied=[("here/other", 80), ("there/friend", 80)],
        host="service",
    ),
}  # fmt: skip


def made(machine: Machine, where: str) -> Kubectl:
    name = f"p-{where}-{uuid.uuid4().hex[:8]}"
    kubectl = machine.kubectl(name)
    metadata = {"name": name, "labels": {"where": where}}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    eventually(lambda: kubectl.result("get", "serviceaccount", "default").returncode == 0, "a default account")
    kubectl.apply(*(pod(role, labels={"role": role}) for role in ("friend", "other")))
    return kubectl


@pytest.fixture(scope="module")
def ground(machine: Machine) -> Iterator[Field]:
    here, there = made(machine, "here"), made(machine, "there")
    ports = [{"containerPort": 8080}, {"name": "second", "containerPort": 9090}]
    here.pod("server", SERVES, labels={"app": "server"}, main={"ports": ports})
    spec = {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]}
    here.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "service"}, "spec": spec})
    here.ready("server", "friend", "other")
    there.ready("friend", "other")
    try:
        yield Field(here, there, here.status("server")["podIP"])
    finally:
        for kubectl in (here, there):
            kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def written(spec: Any, address: str) -> Any:
    """The specification with the server's address in its place."""
    if isinstance(spec, dict):
        return {key: written(value, address) for key, value in spec.items()}
    if isinstance(spec, list):
        return [written(value, address) for value in spec]
    return spec.replace("SERVER", address) if isinstance(spec, str) else spec


@pytest.mark.parametrize("name", CASES)
def test_a_policy_lets_through_what_it_allows_and_nothing_else(ground: Field, name: str) -> None:
    case = CASES[name]
    host = ground.here.json("get", "service", case.host)["spec"]["clusterIP"] if case.host else ""
    for client, port in (*case.allowed, *case.denied):
        ground.until(client, port, host, True)
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "policy"},
        "spec": written(case.spec, ground.address),
    }
    ground.here.apply(policy)
    try:
        for client, port in case.denied:
            ground.until(client, port, host, False)
        for client, port in case.allowed:
            ground.until(client, port, host, True)
    finally:
        ground.here("delete", "networkpolicy", "policy")
    for client, port in case.denied:
        ground.until(client, port, host, True)
