"""All of the node's network, put together: what the node process starts and hands to the kubelet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from seatrial.cluster.network import dns, egress
from seatrial.cluster.network.addresses import API_ADDRESS
from seatrial.cluster.network.dns import DnsServer, Resolver
from seatrial.cluster.network.enforcer import Enforcer
from seatrial.cluster.network.forward import Forwarder, servers
from seatrial.cluster.network.links import Links
from seatrial.cluster.network.names import Names
from seatrial.cluster.network.nft import Nft
from seatrial.cluster.network.nodeports import NodePorts
from seatrial.cluster.network.pods import Pods
from seatrial.cluster.network.proxy import Proxy
from seatrial.cluster.network.relay import api_relay
from seatrial.cluster.network.routes import Routes
from seatrial.kube.model import resources

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from seatrial.base.clock import Clock
    from seatrial.base.tasks import TaskGroup
    from seatrial.cluster.network.outside import Outside, Programs
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.events import EventRecorder
    from seatrial.kube.control.informer import InformerFactory

_API_PORT = 443


class Part(Protocol):
    name: str

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Border:
    """What the machine gives the node's network."""

    outside: Outside
    api_server: tuple[str, int]
    """Where the machine reaches the API server: numeric address and port."""
    resolv_conf: str = ""
    """The text of the machine's own."""
    domain: str = "cluster.local"
    node_name: str = ""
    listen: Callable[[int], socket.socket] | None = None
    """Opens a port in the machine's network, for a node port. None: they are there inside alone."""
    programs: Programs | None = None
    """None: pods stay among themselves."""
    pid: int = 0
    """Of a process in the node's network namespace, as the machine counts."""


class Network:
    """Must be made and run in the node's network namespace, on its event loop."""

    def __init__(
        self, border: Border, client: Client, informers: InformerFactory, recorder: EventRecorder, clock: Clock
    ) -> None:
        """Raises FirewallMissing."""
        self._border = border
        self._client = client
        self._clock = clock
        self._nft = Nft()
        self.links = Links()
        self.proxy = Proxy(self._nft, informers, clock, border.node_name)
        self.policies = Enforcer(self._nft, informers, clock)
        self.pods = Pods(self.links, informers.get(resources.for_plural("pods")), self.policies)
        self.routes = Routes(self.proxy, informers)
        self._node_ports = [NodePorts(informers, recorder, clock, border.listen)] if border.listen is not None else []
        names = Names(informers, border.domain)
        self.resolver = Resolver(names, Forwarder(border.outside, servers(border.resolv_conf), clock))

    async def start(self, tasks: TaskGroup) -> None:
        """Links and listeners are there on return; rules follow when the informers have synced."""
        await self.links.set_up()
        api = api_relay(self._border.outside, API_ADDRESS, _API_PORT, self._border.api_server)
        parts: list[Part] = [self.proxy, self.policies, DnsServer(self.resolver), api, *self._node_ports]
        for part in parts:
            tasks.start(part.name, part.run())
        if self._border.programs is not None:
            await egress.open_egress(self._border.programs, self.links, self._clock, self._border.pid)

    async def publish(self) -> None:
        """Make the DNS Service known. Raises StatusError."""
        await dns.publish(self._client)

    def close(self) -> None:
        """After the tasks have ended."""
        self.links.close()
        self._nft.close()
