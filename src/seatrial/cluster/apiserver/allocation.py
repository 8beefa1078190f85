"""Service addresses: cluster IPs and node ports, each given to one Service at a time.

What is taken is read off the stored Services, so nothing is leaked by a crash. Research section 2.6: node ports
30000-32767.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.kube.model import status

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.status import Cause

SERVICE_RANGE = ipaddress.IPv4Network("10.96.0.0/16")
API_SERVICE_IP = str(SERVICE_RANGE[1])
DNS_SERVICE_IP = str(SERVICE_RANGE[10])
_RESERVED = frozenset({API_SERVICE_IP, DNS_SERVICE_IP})
_FIRST_DYNAMIC = 16
"""Offsets below are left for addresses asked for by hand."""
_NODE_PORTS = range(30000, 32768)


class _Held(NamedTuple):
    """What one Service has."""

    addresses: list[str]
    ports: list[int]


_NOTHING = _Held([], [])


class Allocator:
    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._addresses: dict[str, str] = {}
        self._ports: dict[int, str] = {}
        self._next_address = _FIRST_DYNAMIC
        self._next_port = 0

    def hold(self, service: Object) -> None:
        """Remember what a stored Service has, instead of what it had."""
        self.release(service)
        uid = service["metadata"]["uid"]
        self._held[uid] = held = _Held(_cluster_ips(service), _node_ports(service))
        self._addresses.update(dict.fromkeys(held.addresses, uid))
        self._ports.update(dict.fromkeys(held.ports, uid))

    def release(self, service: Object) -> None:
        held = self._held.pop(service["metadata"]["uid"], _NOTHING)
        for address in held.addresses:
            self._addresses.pop(address, None)
        for port in held.ports:
            self._ports.pop(port, None)

    def assign(self, service: Object, old: Object | None) -> None:
        """Fill in what the Service needs and has not; keep what `old` had. Raises 422.

        It is taken only when the Service is stored: see `hold`.
        """
        spec = service["spec"]
        causes: list[Cause] = []
        if spec.get("type", "ClusterIP") == "ExternalName":
            for field in ("clusterIP", "clusterIPs"):
                spec.pop(field, None)
        else:
            _assign_families(service, old, causes)
            self._assign_address(service, old, causes)
        self._assign_ports(service, old, causes)
        if causes:
            raise status.invalid("", "Service", service["metadata"]["name"], causes)

    def _assign_address(self, service: Object, old: Object | None, causes: list[Cause]) -> None:
        spec, uid = service["spec"], service["metadata"]["uid"]
        asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or []), "")
        if not asked and old is not None and old["spec"].get("type") != "ExternalName":
            asked = old["spec"].get("clusterIP", "")
        if not asked:
            asked = self._free_address()
        elif asked != "None":
            self._check_address(asked, uid, causes)
        spec["clusterIP"], spec["clusterIPs"] = asked, [asked]

    def _check_address(self, address: str, uid: str, causes: list[Cause]) -> None:
        try:
            parsed = ipaddress.IPv4Address(address)
        except ValueError:
            causes.append(status.invalid_value("spec.clusterIPs[0]", address, "must be a valid IPv4 address or None"))
            return
        if parsed not in SERVICE_RANGE:
            detail = f"the provided IP is not in the valid range {SERVICE_RANGE}"
            causes.append(
                status.invalid_value("spec.clusterIPs", [address], f"failed to allocate IP {address}: {detail}")
            )
        elif self._addresses.get(address, uid) != uid:
            detail = f"failed to allocate IP {address}: provided IP is already allocated"
            causes.append(status.invalid_value("spec.clusterIPs", [address], detail))

    def _free_address(self) -> str:
        size = SERVICE_RANGE.num_addresses - 1
        for step in range(size):
            offset = self._next_address + step
            if offset >= size:
                offset = _FIRST_DYNAMIC + offset - size
            address = str(SERVICE_RANGE[offset])
            if address not in self._addresses and address not in _RESERVED:
                self._next_address = offset + 1
                return address
        raise status.internal_error(f"no free cluster IP left in {SERVICE_RANGE}: delete unused Services")

    def _assign_ports(self, service: Object, old: Object | None, causes: list[Cause]) -> None:
        spec, uid = service["spec"], service["metadata"]["uid"]
        if spec.get("type") not in ("NodePort", "LoadBalancer"):
            for port in spec.get("ports") or []:
                port.pop("nodePort", None)
            return
        if spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
            return
        before = {_port_key(port): port.get("nodePort") for port in (old or {}).get("spec", {}).get("ports") or []}
        taken: set[int] = set(_node_ports(service))
        for index, port in enumerate(spec.get("ports") or []):
            asked = port.get("nodePort") or before.get(_port_key(port))
            if not asked:
                asked = self._free_port(taken)
            elif self._ports.get(asked, uid) != uid:
                detail = "provided port is already allocated"
                causes.append(status.invalid_value(f"spec.ports[{index}].nodePort", asked, detail))
            port["nodePort"] = asked
            taken.add(asked)

    def _free_port(self, taken: set[int]) -> int:
        for step in range(len(_NODE_PORTS)):
            port = _NODE_PORTS[(self._next_port + step) % len(_NODE_PORTS)]
            if port not in self._ports and port not in taken:
                self._next_port = (self._next_port + step + 1) % len(_NODE_PORTS)
                return port
        raise status.internal_error("no free node port left in 30000-32767: delete unused Services")


def _assign_families(service: Object, old: Object | None, causes: list[Cause]) -> None:
    """Say which IP families a Service has: IPv4, the only one of this cluster.

    A headless Service without selector is the exception: its endpoints are somebody else's and may be of both.
    """
    spec = service["spec"]
    foreign = spec.get("clusterIP") == "None" and not spec.get("selector")
    before = (old or {}).get("spec", {}).get("ipFamilyPolicy")
    policy = spec.setdefault("ipFamilyPolicy", before or ("RequireDualStack" if foreign else "SingleStack"))
    if foreign:
        families = spec.get("ipFamilies") or ["IPv4"]
        both = len(families) > 1 or policy == "SingleStack"
        spec["ipFamilies"] = families if both else [*families, "IPv6" if families[0] == "IPv4" else "IPv4"]
        return
    if policy == "RequireDualStack":
        detail = "this cluster is not configured for dual-stack services"
        causes.append(status.invalid_value("spec.ipFamilyPolicy", policy, detail))
    families = spec.get("ipFamilies") or []
    causes += [
        status.invalid_value(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
        for index, family in enumerate(families)
        if family != "IPv4"
    ]
    spec["ipFamilies"] = families or ["IPv4"]


def _port_key(port: dict[str, Any]) -> tuple[Any, Any]:
    return port.get("protocol", "TCP"), port.get("port")


def _cluster_ips(service: Object) -> list[str]:
    spec = service.get("spec") or {}
    given = [spec["clusterIP"]] if spec.get("clusterIP") else []
    return [address for address in spec.get("clusterIPs") or given if address != "None"]


def _node_ports(service: Object) -> list[int]:
    ports = (service.get("spec") or {}).get("ports") or []
    return [port["nodePort"] for port in ports if port.get("nodePort")]
