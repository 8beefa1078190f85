"""Rows of what connects pods: Service, Endpoints, EndpointSlice, Ingress and the rest of networking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.tables.columns import (
    AGE,
    NAME,
    NONE,
    SELECTOR,
    UNKNOWN,
    Layout,
    age,
    dig,
    labels_text,
    shortened,
    text,
)
from seatrial.cluster.apiserver.tables.workloads import selector_text
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_MOST = 3
"""How many addresses, hosts or ports a cell lists before it only counts."""

_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def _service(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP") or NONE]
    ports = ",".join(_port(port) for port in spec.get("ports") or [])
    return [
        objects.name(obj),
        spec.get("type") or "",
        addresses[0],
        _external(obj),
        ports or NONE,
        age(obj, now),
        labels_text(spec.get("selector")),
    ]


def _port(port: dict[str, Any]) -> str:
    number, node = port.get("port"), port.get("nodePort")
    return f"{number}:{node}/{port.get('protocol')}" if node else f"{number}/{port.get('protocol')}"


def _external(obj: Object) -> str:
    spec = obj.get("spec") or {}
    given = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            return ",".join([*_balanced(obj), *given]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName") or "")
    return UNKNOWN


def _balanced(obj: Object) -> list[str]:
    """Addresses a load balancer has given, each once, sorted."""
    ingress = dig(obj, "status", "loadBalancer", "ingress") or []
    return sorted({found for item in ingress if (found := item.get("ip") or item.get("hostname"))})


def _endpoints(obj: Object, now: float) -> list[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or []:
        addresses = [address.get("ip") or "" for address in subset.get("addresses") or []]
        ports = subset.get("ports") or []
        if not ports:
            found += addresses
        for port in ports:
            found += [_joined(address, port.get("port")) for address in addresses]
    shown = shortened(found, _MOST, empty="") if obj.get("subsets") else NONE
    return [objects.name(obj), shown, age(obj, now)]


def _joined(address: str, port: Any) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _slice(obj: Object, now: float) -> list[Any]:
    ports = [_slice_port(port) for port in obj.get("ports") or []]
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    return [
        objects.name(obj),
        obj.get("addressType") or "",
        shortened(ports, _MOST),
        shortened(addresses, _MOST),
        age(obj, now),
    ]


def _slice_port(port: dict[str, Any]) -> str:
    if port.get("port") is not None:
        return str(port["port"])
    return port["name"] if port.get("name") is not None else "*"


def _ingress(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        dig(obj, "spec", "ingressClassName") or NONE,
        _hosts(dig(obj, "spec", "rules") or []),
        ",".join(_balanced(obj)),
        "80, 443" if dig(obj, "spec", "tls") else "80",
        age(obj, now),
    ]


def _hosts(rules: list[dict[str, Any]]) -> str:
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    if not hosts:
        return "*"
    if len(hosts) <= _MOST:
        return ",".join(hosts)
    return shortened(hosts, _MOST, total=len(rules))


def _ingress_class(obj: Object, now: float) -> list[Any]:
    default = objects.annotations(obj).get(_DEFAULT_CLASS) == "true"
    found = dig(obj, "spec", "parameters")
    parameters = NONE
    if found is not None:
        group = f".{found['apiGroup']}" if found.get("apiGroup") is not None else ""
        parameters = f"{found.get('kind')}{group}/{found.get('name')}"
    return [
        f"{objects.name(obj)} (default)" if default else objects.name(obj),
        dig(obj, "spec", "controller") or "",
        parameters,
        age(obj, now),
    ]


def _policy(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), selector_text(dig(obj, "spec", "podSelector") or {}), age(obj, now)]


def _cidr(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), ",".join(dig(obj, "spec", "cidrs") or []), age(obj, now)]


def _address(obj: Object, now: float) -> list[Any]:
    parent = dig(obj, "spec", "parentRef")
    shown = NONE
    if parent:
        group, namespace = parent.get("group") or "", parent.get("namespace") or ""
        resource = f"{parent.get('resource')}.{group}" if group else str(parent.get("resource"))
        shown = "/".join(part for part in (resource.lower(), namespace, parent.get("name")) if part)
    return [objects.name(obj), shown]


LAYOUTS = {
    "endpoints": Layout((NAME, text("Endpoints", "Addresses and ports behind the Service."), AGE), _endpoints),
    "endpointslices.discovery.k8s.io": Layout(
        (
            NAME,
            text("AddressType", "IPv4, IPv6 or FQDN."),
            text("Ports", "Ports of every endpoint."),
            text("Endpoints", "Addresses of the endpoints."),
            AGE,
        ),
        _slice,
    ),
    "ingressclasses.networking.k8s.io": Layout(
        (
            NAME,
            text("Controller", "Who serves Ingresses of this class."),
            text("Parameters", "Where the class has its settings."),
            AGE,
        ),
        _ingress_class,
    ),
    "ingresses.networking.k8s.io": Layout(
        (
            NAME,
            text("Class", "The IngressClass that serves it."),
            text("Hosts", "Host names it answers to."),
            text("Address", "Where it is reached."),
            text("Ports", "Ports it is reached on."),
            AGE,
        ),
        _ingress,
    ),
    "ipaddresses.networking.k8s.io": Layout((NAME, text("ParentRef", "What uses the address.")), _address),
    "networkpolicies.networking.k8s.io": Layout(
        (NAME, text("Pod-Selector", "Pods the policy is about."), AGE), _policy
    ),
    "servicecidrs.networking.k8s.io": Layout((NAME, text("CIDRs", "Ranges Service addresses come from."), AGE), _cidr),
    "services": Layout(
        (
            NAME,
            text("Type", "How the Service is reached."),
            text("Cluster-IP", "Address inside the cluster."),
            text("External-IP", "Address from outside."),
            text("Port(s)", "Ports, with those of the node."),
            AGE,
            SELECTOR,
        ),
        _service,
    ),
}
