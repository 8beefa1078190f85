"""The rules of a Service: pure, from the Service and its slices to a `Fragment` of the `services` table.

A connection to a Service's address finds the chain of its port in one map look-up, and one rule there picks a backend
at random. What is in no map, or has no backend, is refused at once.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.network import backends
from seatrial.cluster.network.addresses import LOCAL_SERVICES, NODE_ADDRESS, SERVICE_NETWORK
from seatrial.cluster.network.rules import Element, Fragment
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.network.backends import Backend
    from seatrial.kube.model.objects import Object

TABLE = "services"
TAP = "tap0"
"""The way out of the node: see `egress`."""
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
_AFFINITY_SECONDS = 10800

BASE = f"""
map ports {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
map nodeports {{ type inet_proto . inet_service : verdict; }}
set hairpin {{ type ipv4_addr . ipv4_addr; }}
chain dispatch {{
    ip daddr . meta l4proto . th dport vmap @ports
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @nodeports
}}
chain from_pods {{ type nat hook prerouting priority -100; policy accept; goto dispatch; }}
chain from_node {{ type nat hook output priority -100; policy accept; goto dispatch; }}
chain after {{
    type nat hook postrouting priority 100; policy accept;
    ct status dnat ip saddr . ip daddr @hairpin masquerade
    oifname "{TAP}" masquerade
}}
chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp type port-unreachable
}}
chain pods_astray {{ type filter hook forward priority -10; policy accept; ip daddr {SERVICE_NETWORK} goto refuse; }}
chain node_astray {{
    type filter hook output priority -10; policy accept;
    ip daddr {SERVICE_NETWORK} ip daddr != {{ {", ".join(LOCAL_SERVICES)} }} goto refuse;
}}
"""
"""The node's own Service addresses are local: what goes there meets no rule of this table."""


class _Port(NamedTuple):
    name: str
    protocol: str
    number: int
    node_port: int


class Compiled(NamedTuple):
    fragment: Fragment
    udp: frozenset[tuple[str, int, Backend]]
    """(Service address, port, backend): connections without an end, which must be forgotten when it goes."""


def compile_service(service: Object, slices: Sequence[Object], node: str = "") -> Compiled:
    """`node`: the name of ours, for traffic policies that ask for local endpoints."""
    address = service["spec"].get("clusterIP") or ""
    if backends.is_headless(service) or backends.is_external_name(service) or address in LOCAL_SERVICES:
        return Compiled(Fragment(), frozenset())
    chains: dict[str, tuple[str, ...]] = {}
    sets: dict[str, str] = {}
    elements: set[Element] = set()
    udp: set[tuple[str, int, Backend]] = set()
    for port in _ports(service):
        for inside in (True, False):
            if not inside and not port.node_port:
                continue
            found = backends.choose(slices, port.name, port.protocol, _only(service, node, inside=inside))
            if not found:
                continue
            chain = _chain_name(service, port, inside=inside)
            _balance(service, chain, port, found, chains, sets)
            elements.add(_entry(address, port, chain, inside=inside))
            elements |= {Element("hairpin", f"{item.address} . {item.address}") for item in found}
            if port.protocol == "UDP":
                at = (address, port.number) if inside else (NODE_ADDRESS, port.node_port)
                udp |= {(*at, item) for item in found}
    return Compiled(Fragment(sets, chains, frozenset(elements)), frozenset(udp))


def _ports(service: Object) -> Iterable[_Port]:
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        yield _Port(port.get("name") or "", protocol, port["port"], port.get("nodePort") or 0)


def _only(service: Object, node: str, *, inside: bool) -> str:
    field = "internalTrafficPolicy" if inside else "externalTrafficPolicy"
    return node if service["spec"].get(field) == "Local" else ""


def _chain_name(service: Object, port: _Port, *, inside: bool) -> str:
    """Of the Service's name: chains of a Service that is made anew are the same. A digest, for names may be long."""
    parts: tuple[Any, ...] = (objects.namespace(service), objects.name(service), port.protocol, port.number)
    return ("svc_" if inside else "node_") + hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]


def _entry(address: str, port: _Port, chain: str, *, inside: bool) -> Element:
    protocol = _PROTOCOLS[port.protocol]
    if inside:
        return Element("ports", f"{address} . {protocol} . {port.number}", f"goto {chain}")
    return Element("nodeports", f"{protocol} . {port.node_port}", f"goto {chain}")


def _balance(
    service: Object,
    chain: str,
    port: _Port,
    found: list[Backend],
    chains: dict[str, tuple[str, ...]],
    sets: dict[str, str],
) -> None:
    protocol = _PROTOCOLS[port.protocol]
    if service["spec"].get("sessionAffinity") != "ClientIP":
        targets = [_random(found), _first(found)] if len(found) > 1 else [_first(found)]
        chains[chain] = tuple(f"meta l4proto {protocol} dnat ip to {target}" for target in targets)
        return
    config = (service["spec"].get("sessionAffinityConfig") or {}).get("clientIP") or {}
    seconds = config.get("timeoutSeconds") or _AFFINITY_SECONDS
    # A chain per backend notes who came; it lives as long as the backend, so nobody is forgotten meanwhile.
    remembered, picks = [], []
    for number, item in enumerate(found):
        one = f"{chain}_{int(ipaddress.IPv4Address(item.address)):08x}_{item.port}"
        seen = f"{one}_{seconds}"
        sets[seen] = f"set {{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; size 65535; }}"
        chains[one] = (
            f"update @{seen} {{ ip saddr }}",
            f"meta l4proto {protocol} dnat ip to {item.address}:{item.port}",
        )
        remembered.append(f"ip saddr @{seen} goto {one}")
        picks.append(f"{number} : goto {one}")
    first = picks[0].partition(" : ")[2]
    chains[chain] = (*remembered, f"numgen random mod {len(found)} vmap {{ {', '.join(picks)} }}", first)


def _first(found: list[Backend]) -> str:
    """Who gets what the random pick lost.

    A packet that is among the old rules of a chain while they are replaced finds their map empty already: the kernel
    keeps the rules for it, but not the elements.
    """
    return f"{found[0].address}:{found[0].port}"


def _random(found: list[Backend]) -> str:
    pairs = ", ".join(f"{number} : {item.address} . {item.port}" for number, item in enumerate(found))
    return f"numgen random mod {len(found)} map {{ {pairs} }}"
