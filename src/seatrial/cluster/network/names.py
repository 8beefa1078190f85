"""What the cluster's own names mean (the Kubernetes DNS specification, 1.1.0). Pure but for reading informers.

`Names.find` takes a name below the cluster's domain, or a reverse one, and says which records it has: None is a name
that does not exist, an empty list one without records of that kind.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from dnslib import CNAME, PTR, QTYPE, RR, SRV, TXT, A

from seatrial.cluster.network import backends
from seatrial.cluster.network.addresses import POD_NETWORK, SERVICE_NETWORK
from seatrial.cluster.network.backends import BY_SERVICE
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

TTL = 5
"""Seconds a client may remember an answer about the cluster: upstream's default too."""
_BY_ADDRESS = "address"
_VERSION = "1.1.0"


class Found(NamedTuple):
    records: list[RR]
    extra: list[RR]
    """Addresses of what the records name."""
    follow: str = ""
    """The target of a CNAME, still to be resolved."""


NO_DATA = Found([], [])


class Names:
    def __init__(self, informers: InformerFactory, domain: str = "cluster.local") -> None:
        self.domain = domain
        self._labels = domain.split(".")
        self._services = informers.get(resources.for_plural("services"))
        self._slices = informers.get(resources.for_plural("endpointslices", "discovery.k8s.io"))
        self._namespaces = informers.get(resources.for_plural("namespaces"))
        self._slices.add_index(BY_SERVICE, backends.service_index)
        self._slices.add_index(_BY_ADDRESS, _addresses)
        self._services.add_index(_BY_ADDRESS, lambda item: [item["spec"].get("clusterIP") or ""])

    def is_ours(self, name: str) -> bool:
        """`name`: lower case, without the last dot."""
        return name == self.domain or name.endswith(f".{self.domain}") or _reverse(name) is not None

    def find(self, name: str, kind: int) -> Found | None:
        address = _reverse(name)
        if address is not None:
            return self._pointer(name, address, kind)
        labels = name.split(".")[: -len(self._labels)]
        if not labels:
            return NO_DATA
        match labels:
            case ["dns-version"]:
                return Found(_only(kind, QTYPE.TXT, [_record(name, QTYPE.TXT, TXT(_VERSION))]), [])
            case [*rest, "svc"]:
                return self._service_name(name, rest, kind)
            case [*rest, "pod"]:
                return self._pod_name(name, rest, kind)
        return None

    # names of Services

    def _service_name(self, name: str, labels: list[str], kind: int) -> Found | None:
        if not labels:
            return NO_DATA
        *labels, namespace = labels
        if not labels:
            return NO_DATA if self._namespaces.get("", namespace) else None
        *labels, service_name = labels
        service = self._services.get(namespace, service_name)
        if service is None:
            return None
        if backends.is_external_name(service):
            return self._external(name, service, kind) if not labels else None
        match labels:
            case []:
                return self._service(name, service, kind)
            case [host]:
                return self._under(name, service, host, kind)
            case [port, protocol]:
                return self._ports(name, service, (port, protocol), kind)
        return None

    def _external(self, name: str, service: Object, kind: int) -> Found:
        target = str(service["spec"].get("externalName") or "").rstrip(".")
        found = [_record(name, QTYPE.CNAME, CNAME(f"{target}."))]
        return Found(found, [], "" if kind == QTYPE.CNAME else target.lower())

    def _service(self, name: str, service: Object, kind: int) -> Found | None:
        if not backends.is_headless(service):
            found = [_address(name, service["spec"]["clusterIP"])]
        else:
            found = [_address(name, address) for address in dict.fromkeys(a for _, a, _ in self._ready(service))]
            if not found:
                return None
        if kind == QTYPE.SRV:
            return self._srv(name, service, None)
        return Found(_only(kind, QTYPE.A, found), [])

    def _under(self, name: str, service: Object, host: str, kind: int) -> Found | None:
        """`web-0.db.shop.svc`, or the parent of `_http._tcp.db.shop.svc`."""
        if host in ("_tcp", "_udp", "_sctp"):
            return NO_DATA
        found = [_address(name, address) for called, address, _ in self._ready(service) if called == host]
        return Found(_only(kind, QTYPE.A, found[:1]), []) if found else None

    def _ports(self, name: str, service: Object, wanted: tuple[str, str], kind: int) -> Found | None:
        port, protocol = (item.removeprefix("_") for item in wanted)
        made = self._srv(name, service, (port, protocol))
        if not made.records:
            return None
        return made if kind in (QTYPE.SRV, QTYPE.ANY) else NO_DATA

    def _srv(self, name: str, service: Object, wanted: tuple[str, str] | None) -> Found:
        own = f"{objects.name(service)}.{objects.namespace(service)}.svc.{self.domain}"
        pairs: list[tuple[str, str, int]] = []
        if backends.is_headless(service):
            for host, address, ports in self._ready(service):
                pairs += [(f"{host}.{own}", address, port["port"]) for port in ports if _is_wanted(port, wanted)]
        else:
            address, ports = service["spec"]["clusterIP"], service["spec"].get("ports") or []
            pairs += [(own, address, port["port"]) for port in ports if _is_wanted(port, wanted)]
        records = [_record(name, QTYPE.SRV, SRV(0, 100, port, f"{target}.")) for target, _, port in pairs]
        hosts = dict.fromkeys((target, address) for target, address, _ in pairs)
        return Found(records, [_address(target, address) for target, address in hosts])

    def _ready(self, service: Object) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
        """(host name, address, ports) of each endpoint that is ready; of a Service with an address too."""
        for item in self._slices.by_index(BY_SERVICE, f"{objects.namespace(service)}/{objects.name(service)}"):
            if item.get("addressType") == "IPv4":
                for endpoint in item.get("endpoints") or ():
                    if backends.is_ready(endpoint):
                        for address in endpoint.get("addresses") or ():
                            yield _host(endpoint, address), address, item.get("ports") or []

    # names of pods, and names of addresses

    def _pod_name(self, name: str, labels: list[str], kind: int) -> Found | None:
        if not labels:
            return NO_DATA
        if len(labels) > 2 or self._namespaces.get("", labels[-1]) is None:
            return None
        if len(labels) == 1:
            return NO_DATA
        try:
            address = str(ipaddress.IPv4Address(labels[0].replace("-", ".")))
        except ValueError:
            return None
        return Found(_only(kind, QTYPE.A, [_address(name, address)]), [])

    def _pointer(self, name: str, address: str, kind: int) -> Found | None:
        targets = [
            f"{objects.name(item)}.{objects.namespace(item)}.svc.{self.domain}."
            for item in self._services.by_index(_BY_ADDRESS, address)
        ]
        for item in self._slices.by_index(_BY_ADDRESS, address):
            for namespace, service in backends.service_keys(item):
                targets += [
                    f"{_host(endpoint, address)}.{service}.{namespace}.svc.{self.domain}."
                    for endpoint in item.get("endpoints") or ()
                    if address in (endpoint.get("addresses") or ())
                ]
        if not targets:
            return None
        return Found(_only(kind, QTYPE.PTR, [_record(name, QTYPE.PTR, PTR(item)) for item in sorted(set(targets))]), [])


def _addresses(item: Object) -> list[str]:
    return [address for endpoint in item.get("endpoints") or () for address in endpoint.get("addresses") or ()]


def _host(endpoint: backends.Endpoint, address: str) -> str:
    return str(endpoint.get("hostname") or address.replace(".", "-"))


def _is_wanted(port: dict[str, Any], wanted: tuple[str, str] | None) -> bool:
    if wanted is None:
        return bool(port.get("port"))
    return (port.get("name") or "", (port.get("protocol") or "TCP").lower()) == wanted


def _reverse(name: str) -> str | None:
    """The address a reverse name is about, if it is one of the cluster's."""
    labels = name.split(".")
    if labels[-2:] != ["in-addr", "arpa"] or len(labels) != 6:
        return None
    try:
        address = ipaddress.IPv4Address(".".join(reversed(labels[:4])))
    except ValueError:
        return None
    return str(address) if address in SERVICE_NETWORK or address in POD_NETWORK else None


def _record(name: str, kind: int, data: Any) -> RR:
    return RR(name, kind, ttl=TTL, rdata=data)


def _address(name: str, address: str) -> RR:
    return _record(name, QTYPE.A, A(address))


def _only(kind: int, has: int, records: list[RR]) -> list[RR]:
    return records if kind in (has, QTYPE.ANY) else []
