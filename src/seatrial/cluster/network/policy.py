"""NetworkPolicies: which pods may talk to which, as rules where the node routes their packets.

Pure: `compile_policies` turns policies, pods and namespaces into fragments of the `policies` table. Pods with the same
policies share a chain (a `group`); peers with the same selectors share a set of addresses, so a pod that comes or goes
changes elements, not rules. A group's chain returns what some policy allows and drops the rest.

The rules see addresses after Service translation. What the node sends (probes, the ingress proxy) is always allowed,
and so are replies. The cluster's DNS counts as a pod of kube-system labelled `k8s-app: kube-dns`.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from seatrial.cluster.network.addresses import DNS_ADDRESS, SERVICE_NETWORK
from seatrial.cluster.network.rules import Element, Fragment
from seatrial.kube.model import objects, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seatrial.kube.model.objects import Object

TABLE = "policies"
BASE = f"""
map senders {{ type ipv4_addr : verdict; }}
map receivers {{ type ipv4_addr : verdict; }}
chain routed {{
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
    ip saddr vmap @senders
    ip daddr vmap @receivers
}}
chain to_node {{
    type filter hook input priority 0; policy accept;
    ct state established,related accept
    ip daddr {SERVICE_NETWORK} ip saddr vmap @senders
}}
"""
"""A pod may always talk to the node itself; the Service addresses that the node answers at are no such thing."""

Direction = Literal["ingress", "egress"]
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
_HIGHEST = 65535


class Target(NamedTuple):
    """A pod as far as policies see it."""

    namespace: str
    labels: dict[str, str]
    address: str
    ports: tuple[tuple[str, str, int], ...]
    """(name, protocol, number)"""


DNS = Target(
    "kube-system",
    {"k8s-app": "kube-dns"},
    DNS_ADDRESS,
    (("dns", "UDP", 53), ("dns-tcp", "TCP", 53)),
)


class World(NamedTuple):
    targets: Sequence[Target]
    namespaces: dict[str, dict[str, str]]
    """Labels by name."""


def target(pod: Object) -> Target | None:
    """None if policies do not concern it: no address of its own, or finished."""
    status = pod.get("status") or {}
    spec = pod["spec"]
    if not status.get("podIP") or spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    ports = tuple(
        (port["name"], port.get("protocol") or "TCP", int(port["containerPort"]))
        for container in [*spec.get("containers", ()), *sidecars]
        for port in container.get("ports") or ()
        if port.get("name")
    )
    return Target(objects.namespace(pod), objects.labels(pod), status["podIP"], ports)


def compile_policies(policies: Iterable[Object], world: World) -> dict[str, Fragment]:
    """By key: one fragment per group of pods, one per set of peers."""
    compiler = _Compiler(world)
    found = list(policies)
    compiler.groups([item for item in found if "ingress" in types(item)], "ingress")
    compiler.groups([item for item in found if "egress" in types(item)], "egress")
    return compiler.fragments


def types(policy: Object) -> list[str]:
    """Directions a policy is about: ingress unless said otherwise, egress if it has such rules."""
    spec = policy["spec"]
    given = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return [item.lower() for item in given]


class _Compiler:
    def __init__(self, world: World) -> None:
        self._world = world
        self.fragments: dict[str, Fragment] = {}
        self._alike: dict[str, dict[tuple[tuple[str, str], ...], list[Target]]] = {}
        """Pods with the same labels, by namespace: each selector looks at them once."""
        for item in world.targets:
            same = self._alike.setdefault(item.namespace, {})
            same.setdefault(tuple(sorted(item.labels.items())), []).append(item)

    def groups(self, policies: list[Object], direction: Direction) -> None:
        """Pods by the policies that select them."""
        selecting: dict[str, list[int]] = {}
        for number, policy in enumerate(policies):
            for pod in self._select(objects.namespace(policy), policy["spec"].get("podSelector") or {}):
                selecting.setdefault(pod.address, []).append(number)
        members: dict[tuple[int, ...], list[str]] = {}
        for address, numbers in selecting.items():
            members.setdefault(tuple(numbers), []).append(address)
        for group, addresses in members.items():
            self._group([policies[number] for number in group], addresses, direction)

    def _group(self, policies: list[Object], addresses: list[str], direction: Direction) -> None:
        """The chain is named by its policies: a pod that joins the group changes one element."""
        names = [f"{objects.namespace(policy)}/{objects.name(policy)}" for policy in policies]
        chain = f"{direction}_{_digest(names)}"
        rules: dict[str, None] = {}
        for policy in policies:
            for rule in policy["spec"].get(direction) or ():
                rules.update(dict.fromkeys(self._rules(rule, policy, direction)))
        field = "receivers" if direction == "ingress" else "senders"
        elements = frozenset(Element(field, address, f"jump {chain}") for address in addresses)
        self.fragments[chain] = Fragment(chains={chain: (*rules, "drop")}, elements=elements)

    def _rules(self, rule: dict[str, Any], policy: Object, direction: Direction) -> Iterator[str]:
        peers = rule.get("from" if direction == "ingress" else "to")
        side = "saddr" if direction == "ingress" else "daddr"
        ports = rule.get("ports") or []
        for match in self._peers(peers, objects.namespace(policy), side):
            for port in self._ports(ports, rule, policy, direction) if ports else [""]:
                yield " ".join(part for part in (match, port, "return") if part)

    def _peers(self, peers: list[dict[str, Any]] | None, namespace: str, side: str) -> Iterator[str]:
        """None or empty: everybody."""
        if not peers:
            yield ""
        for peer in peers or ():
            block = peer.get("ipBlock")
            if block:
                excepted = block.get("except") or []
                without = f" ip {side} != {{ {', '.join(_disjoint(excepted))} }}" if excepted else ""
                yield f"ip {side} {block['cidr']}{without}"
            else:
                yield f"ip {side} @{self._peer_set(peer, namespace)}"

    def _peer_set(self, peer: dict[str, Any], namespace: str) -> str:
        name = f"peer_{_digest([self._scope(peer, namespace), peer.get('podSelector')])}"
        if name not in self.fragments:
            found = self._peer_pods(peer, namespace)
            elements = frozenset(Element(name, item.address) for item in found)
            self.fragments[name] = Fragment({name: "set { type ipv4_addr; }"}, elements=elements)
        return name

    def _scope(self, peer: dict[str, Any], namespace: str) -> object:
        """Without a namespaceSelector: the policy's own namespace."""
        chosen = peer.get("namespaceSelector")
        return namespace if chosen is None else chosen

    def _peer_pods(self, peer: dict[str, Any], namespace: str) -> list[Target]:
        scope = self._scope(peer, namespace)
        if isinstance(scope, str):
            namespaces = [scope]
        else:
            wanted = selectors.from_object(peer["namespaceSelector"])
            namespaces = [name for name, labels in self._world.namespaces.items() if wanted.matches(labels)]
        found = []
        for name in namespaces:
            found += self._select(name, peer.get("podSelector") or {})
        return found

    def _select(self, namespace: str, selector: dict[str, Any]) -> list[Target]:
        wanted = selectors.from_object(selector)
        return [
            item
            for alike in self._alike.get(namespace, {}).values()
            if wanted.matches(alike[0].labels)
            for item in alike
        ]

    def _ports(
        self, ports: list[dict[str, Any]], rule: dict[str, Any], policy: Object, direction: Direction
    ) -> Iterator[str]:
        numbered: dict[str, list[tuple[int, int]]] = {}
        for port in ports:
            protocol, wanted = port.get("protocol") or "TCP", port.get("port")
            if isinstance(wanted, str):
                yield f"ip daddr . meta l4proto . th dport @{self._named(protocol, wanted, rule, policy, direction)}"
            elif wanted is None:
                numbered.setdefault(protocol, []).append((0, _HIGHEST))
            else:
                numbered.setdefault(protocol, []).append((wanted, port.get("endPort") or wanted))
        for protocol, ranges in numbered.items():
            shown = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in _merged(ranges))
            name = _PROTOCOLS[protocol]
            yield f"meta l4proto {name}" if shown == f"0-{_HIGHEST}" else f"meta l4proto {name} th dport {{ {shown} }}"

    def _named(self, protocol: str, wanted: str, rule: dict[str, Any], policy: Object, direction: Direction) -> str:
        """A port's name means what the receiving pod calls so: where each pod has it."""
        namespace = objects.namespace(policy)
        if direction == "ingress":
            receivers = self._select(namespace, policy["spec"].get("podSelector") or {})
            about: object = [namespace, policy["spec"].get("podSelector")]
        else:
            peers = [peer for peer in rule.get("to") or () if "ipBlock" not in peer]
            about = [[self._scope(peer, namespace), peer.get("podSelector")] for peer in peers]
            found = [item for peer in peers for item in self._peer_pods(peer, namespace)]
            receivers = found if rule.get("to") else list(self._world.targets)
        name = f"port_{_digest([direction, protocol, wanted, about])}"
        elements = frozenset(
            Element(name, f"{item.address} . {_PROTOCOLS[protocol]} . {number}")
            for item in receivers
            for called, spoken, number in item.ports
            if called == wanted and spoken == protocol
        )
        declaration = "set { type ipv4_addr . inet_proto . inet_service; }"
        self.fragments.setdefault(name, Fragment({name: declaration}, elements=elements))
        return name


def _digest(about: object) -> str:
    return hashlib.sha256(orjson.dumps(about, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping ranges as one: a set of the kernel takes no others."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _disjoint(blocks: list[str]) -> list[str]:
    networks = (ipaddress.IPv4Network(block, strict=False) for block in blocks)
    return [str(item) for item in ipaddress.collapse_addresses(networks)]
