"""Services as clients in pods and on the machine meet them: names, addresses, ports, affinity."""

from __future__ import annotations

import ipaddress
import json
import socket
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.pods.conftest import eventually, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pods.conftest import Kubectl, Machine

SAYS_ITS_NAME = "mkdir /tmp/w; hostname > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"
PORTS: dict[str, Any] = {"ports": [{"name": "http", "containerPort": 8080}]}
PROBE: dict[str, Any] = {"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}


def service(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def web(machine: Machine) -> Iterator[Kubectl]:
    """A StatefulSet of two behind a headless Service, and a client."""
    namespace = f"s-{uuid.uuid4().hex[:8]}"
    kubectl = machine.kubectl(namespace)
    kubectl("create", "namespace", namespace)
    eventually(lambda: kubectl.result("get", "serviceaccount", "default").returncode == 0, "a default account")
    made = pod("web", SAYS_ITS_NAME, main={**PORTS, **PROBE})
    template = {"metadata": {"labels": {"app": "web"}}, "spec": made["spec"]}
    stateful_set = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web"},
        "spec": {
            "serviceName": "each",
            "replicas": 2,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
        },
    }
    kubectl.apply(stateful_set, service("each", clusterIP="None"), service("all"), pod("client"))
    kubectl("rollout", "status", "statefulset/web", "--timeout=30s")
    kubectl.ready("client")
    try:
        yield kubectl
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def asked(kubectl: Kubectl, host: str, port: int = 80, client: str = "client") -> str:
    """What the client is answered; empty when there is no answer."""
    command = ["timeout", "2", "wget", "-qO-", f"http://{host}:{port}/"]
    return kubectl.result("exec", client, "--", *command).stdout.decode().strip()


def looked_up(kubectl: Kubectl, name: str, kind: str = "A", client: str = "client") -> str:
    return kubectl.result("exec", client, "--", "nslookup", "-type=" + kind, name).stdout.decode()


def reverse(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer


def addresses(kubectl: Kubectl) -> dict[str, str]:
    return {name: kubectl.status(name)["podIP"] for name in ("web-0", "web-1")}


@pytest.mark.parametrize("name", ["all", "all.{namespace}", "all.{namespace}.svc", "all.{namespace}.svc.cluster.local"])
def test_a_service_has_its_short_and_its_long_names(web: Kubectl, name: str) -> None:
    host = name.format(namespace=web.namespace)
    assert eventually(lambda: asked(web, host), "an answer") in ("web-0", "web-1")


def test_connections_are_spread_over_the_pods(web: Kubectl) -> None:
    eventually(lambda: {asked(web, "all") for _ in range(8)} == {"web-0", "web-1"}, "answers of both")


def test_a_headless_service_has_the_addresses_of_its_pods_and_each_pod_a_name(web: Kubectl) -> None:
    host = f"each.{web.namespace}.svc.cluster.local"
    eventually(lambda: all(address in looked_up(web, host) for address in addresses(web).values()), "both addresses")
    for name in addresses(web):
        assert eventually(partial(asked, web, f"{name}.each", 8080), "an answer") == name


def test_srv_records_name_the_port_and_the_pods(web: Kubectl) -> None:
    said = looked_up(web, f"_http._tcp.each.{web.namespace}.svc.cluster.local", "SRV")
    for name in ("web-0", "web-1"):
        assert f"8080 {name}.each.{web.namespace}.svc.cluster.local" in said


def test_an_address_has_the_name_of_its_service_or_pod(web: Kubectl) -> None:
    cluster_ip = web.json("get", "service", "all")["spec"]["clusterIP"]
    assert f"all.{web.namespace}.svc.cluster.local" in looked_up(web, reverse(cluster_ip), "PTR")
    assert f"web-0.each.{web.namespace}.svc.cluster.local" in looked_up(web, reverse(addresses(web)["web-0"]), "PTR")


def test_an_external_name_is_an_alias(web: Kubectl) -> None:
    spec = {"type": "ExternalName", "externalName": f"all.{web.namespace}.svc.cluster.local"}
    web.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "elsewhere"}, "spec": spec})
    assert eventually(lambda: asked(web, "elsewhere"), "an answer") in ("web-0", "web-1")


def test_with_affinity_a_client_stays_with_its_pod(web: Kubectl) -> None:
    web.apply(service("faithful", sessionAffinity="ClientIP"))
    eventually(lambda: asked(web, "faithful"), "an answer")
    assert len({asked(web, "faithful") for _ in range(8)}) == 1


def test_a_node_port_is_open_to_pods_and_on_the_machine(web: Kubectl) -> None:
    web.apply(service("outward", type="NodePort"))
    port = web.json("get", "service", "outward")["spec"]["ports"][0]["nodePort"]
    node = web.json("get", "nodes")["items"][0]["status"]["addresses"][0]["address"]
    assert eventually(lambda: asked(web, node, port), "an answer inside") in ("web-0", "web-1")
    assert eventually(lambda: asked_on_the_machine(port), "an answer outside") in ("web-0", "web-1")
    web("delete", "service", "outward")
    eventually(lambda: not listens(port), "the port is closed")


def asked_on_the_machine(port: int) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as made:
            made.sendall(b"GET / HTTP/1.0\r\n\r\n")
            said = b"".join(iter(lambda: made.recv(4096), b""))
    except OSError:
        return ""
    return said.rpartition(b"\r\n\r\n")[2].decode().strip()


def listens(port: int) -> bool:
    with socket.socket() as made:
        return made.connect_ex(("127.0.0.1", port)) == 0


def test_only_who_publishes_them_gives_connections_to_pods_that_are_not_ready(kubectl: Kubectl) -> None:
    never = {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}
    kubectl.pod("unready", SAYS_ITS_NAME, labels={"app": "web"}, main={**PORTS, **never})
    kubectl.apply(service("careful"), service("early", publishNotReadyAddresses=True), pod("client"))
    kubectl.ready("client")
    assert eventually(lambda: asked(kubectl, "early"), "an answer") == "unready"
    assert asked(kubectl, "careful") == ""


def test_a_service_without_a_selector_leads_where_its_slices_say(web: Kubectl) -> None:
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "manual-1", "labels": {"kubernetes.io/service-name": "manual"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [addresses(web)["web-1"]], "conditions": {"ready": True}}],
    }
    manual = service("manual")
    del manual["spec"]["selector"]
    web.apply(manual, slice_)
    assert eventually(lambda: asked(web, "manual"), "an answer") == "web-1"


def test_a_target_port_by_name_may_be_another_number_in_each_pod(kubectl: Kubectl) -> None:
    for name, port in (("one", 8081), ("two", 8082)):
        script = SAYS_ITS_NAME.replace("8080", str(port))
        main = {"ports": [{"name": "http", "containerPort": port}]}
        kubectl.pod(name, script, labels={"app": "web"}, main=main)
    kubectl.apply(service("both"), pod("client"))
    kubectl.ready("one", "two", "client")
    eventually(lambda: {asked(kubectl, "both") for _ in range(8)} == {"one", "two"}, "answers of both")


def test_names_of_the_machine_s_files_and_of_the_pod_s_own(web: Kubectl) -> None:
    address = addresses(web)["web-0"]
    web.apply(
        pod("named", hostAliases=[{"ip": address, "hostnames": ["nick.example"]}], hostname="me", subdomain="each"),
        pod("own", dnsPolicy="None", dnsConfig={"nameservers": ["10.9.8.7"], "searches": ["a.example"]}),
    )
    web.ready("named", "own")
    assert eventually(lambda: asked(web, "nick.example", 8080, "named"), "an answer") == "web-0"
    assert web("exec", "named", "--", "hostname", "-f").strip() == f"me.each.{web.namespace}.svc.cluster.local"
    lines = web("exec", "own", "--", "cat", "/etc/resolv.conf").splitlines()
    assert sorted(lines) == ["nameserver 10.9.8.7", "search a.example"]


def test_a_pod_of_the_node_s_network_serves_at_the_node_s_address(kubectl: Kubectl) -> None:
    script = SAYS_ITS_NAME.replace("hostname >", "echo node >").replace("8080", "18099")
    kubectl.apply(pod("on-node", script, hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"), pod("client"))
    kubectl.ready("on-node", "client")
    status = kubectl.status("on-node")
    assert status["podIP"] == status["hostIP"]
    assert eventually(lambda: asked(kubectl, status["podIP"], 18099), "an answer") == "node"


def test_a_service_of_no_pods_refuses_at_once(kubectl: Kubectl) -> None:
    kubectl.apply(service("empty"), pod("client"))
    kubectl.ready("client")
    eventually(lambda: refused(kubectl), "connections are refused")


def refused(kubectl: Kubectl) -> bool:
    said = kubectl.result("exec", "client", "--", "wget", "-qO-", "http://empty/")
    return said.returncode != 0 and b"Connection refused" in said.stderr


def test_endpoints_follow_the_pods(web: Kubectl) -> None:
    found = json.loads(web("get", "endpointslices", "-l", "kubernetes.io/service-name=all", "-o", "json"))["items"]
    assert {name for item in found for each in item["endpoints"] for name in each["addresses"]} == set(
        addresses(web).values()
    )
