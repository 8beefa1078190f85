"""Links, addresses and routes by netlink: the bridge of the node, and a veth pair per pod.

The wiring: every port of the bridge is isolated, a pod has a /32 and reaches everything through the node. So each
packet between pods is routed by the node, where Service and policy rules see it, also one to its own sender.
The kernel is asked in threads: each call takes a few milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from seatrial.base.errors import Retryable
from seatrial.cluster.netns import inside
from seatrial.cluster.network.addresses import LOCAL_SERVICES, NODE_ADDRESS, POD_NETWORK, SERVICE_NETWORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

BRIDGE = "pods"
_INSIDE = "eth0"
_MTU = 1500
_SCOPE_LINK = 253
_IPV4 = 2
_EEXIST = 17
_GONE = (19, 2, 3)
"""ENODEV, ENOENT, ESRCH."""
_SYSCTL = Path("/proc/sys/net")
_SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/ip_unprivileged_port_start": "0",
    "ipv6/conf/all/disable_ipv6": "1",
    # Packets on the bridge go to no rule by themselves: they are routed, and the rules see them there.
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
    # A port that a NodePort Service has must not be taken by an outgoing connection of the node.
    "ipv4/ip_local_reserved_ports": "30000-32767",
}


class LinkFailed(Retryable):
    reason = "PodNetworkFailed"


class Links:
    """The links of the network namespace this was made in.

    The netlink library runs an event loop of its own and keeps to the thread that made it: so one thread has it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "links")
        self._route: IPRoute | None = None
        self._bridge = 0

    async def set_up(self) -> None:
        """The bridge with the node's address, the routes and what the kernel must be told. Raises LinkFailed."""
        await self._call(self._set_up)

    async def plug(self, name: str, namespace: str, address: str) -> None:
        """Link the pod's network namespace (a path) to the bridge under this address. Raises LinkFailed."""
        with _explained(f"the link of the pod at {namespace}"), _opened(namespace) as descriptor:
            await self._call(partial(self._plug, name, descriptor, address))
            await asyncio.to_thread(inside, descriptor, partial(_configure, address))

    async def unplug(self, name: str) -> None:
        """Explicitly: the kernel keeps the link while sockets of a dead namespace are open. Raises LinkFailed."""
        await self._call(partial(self._unplug, name))

    async def has_address(self, name: str) -> bool:
        """False too if there is no such link."""
        return await self._call(partial(self._has_address, name))

    def close(self) -> None:
        self._thread.submit(lambda: self._route.close() if self._route else None)
        self._thread.shutdown()

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @property
    def _netlink(self) -> Any:
        if self._route is None:
            self._route = IPRoute()
        return self._route

    def _set_up(self) -> None:
        with _explained("the node's bridge"):
            netlink = self._netlink
            for name, value in _SYSCTLS.items():
                _set(name, value)
            _ignoring_existing(lambda: netlink.link("add", ifname=BRIDGE, kind="bridge", mtu=_MTU))
            self._bridge = netlink.link_lookup(ifname=BRIDGE)[0]
            netlink.link("set", index=1, state="up")
            self._address(NODE_ADDRESS, POD_NETWORK.prefixlen)
            for address in LOCAL_SERVICES:
                self._address(address, 32)
            netlink.link("set", index=self._bridge, address=_hardware_address(NODE_ADDRESS), state="up")
            # The node reaches Service addresses by this route, on which its own rules then send them to pods.
            services = {"dst": str(SERVICE_NETWORK), "oif": self._bridge, "scope": _SCOPE_LINK, "prefsrc": NODE_ADDRESS}
            _ignoring_existing(lambda: netlink.route("add", **services))

    def _address(self, address: str, prefix: int) -> None:
        netlink = self._netlink
        _ignoring_existing(lambda: netlink.addr("add", index=self._bridge, address=address, prefixlen=prefix))

    def _plug(self, name: str, descriptor: int, address: str) -> None:
        netlink = self._netlink
        if not netlink.link_lookup(ifname=name):
            peer = {"ifname": _INSIDE, "net_ns_fd": descriptor, "address": _hardware_address(address), "mtu": _MTU}
            netlink.link("add", ifname=name, kind="veth", mtu=_MTU, peer=peer)
        index = netlink.link_lookup(ifname=name)[0]
        netlink.link("set", index=index, master=self._bridge, state="up")
        netlink.brport("set", index=index, isolated=1)

    def _unplug(self, name: str) -> None:
        with _explained(f"the link {name}"):
            for index in self._netlink.link_lookup(ifname=name):
                try:
                    self._netlink.link("del", index=index)
                except NetlinkError as error:
                    if error.code not in _GONE:
                        raise

    def _has_address(self, name: str) -> bool:
        found = self._netlink.link_lookup(ifname=name)
        return bool(found) and any(True for _ in self._netlink.get_addr(index=found[0], family=_IPV4))


def _configure(address: str) -> None:
    """The pod's side: loopback, its address, and the node as the way to everywhere."""
    route = IPRoute()
    try:
        route.link("set", index=1, state="up")
        index = route.link_lookup(ifname=_INSIDE)[0]
        _ignoring_existing(lambda: route.addr("add", index=index, address=address, prefixlen=32))
        route.link("set", index=index, state="up")
        route.route("replace", dst=f"{NODE_ADDRESS}/32", oif=index, scope=_SCOPE_LINK)
        route.route("replace", dst="default", gateway=NODE_ADDRESS, oif=index)
    finally:
        route.close()


def _set(name: str, value: str) -> None:
    """What this kernel does not have needs no setting."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        (_SYSCTL / name).write_text(value)


def _hardware_address(address: str) -> str:
    """Made of the IP address: an address that moves to another pod invalidates nobody's neighbour table."""
    return "0a:58:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)


def _ignoring_existing(call: Callable[[], Any]) -> None:
    try:
        call()
    except NetlinkError as error:
        if error.code != _EEXIST:
            raise


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """An open descriptor of a namespace, closed at the end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns what the kernel says into the one error family."""
    try:
        yield
    except (NetlinkError, OSError, IndexError) as error:
        raise LinkFailed(f"{what} cannot be made or removed: {error}") from error
