"""Links, addresses and routes by netlink: the bridge of the node, and a veth pair per pod.

The wiring: every port of the bridge is isolated, a pod has a /32 and reaches everything through the node. So each
packet between pods is routed by the node, where Service and policy rules see it, also one to its own sender.
Everything here blocks for a few milliseconds at most; callers run it in a thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from seatrial.base.errors import Retryable
from seatrial.cluster.network.addresses import LOCAL_SERVICES, NODE_ADDRESS, POD_NETWORK, SERVICE_NETWORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BRIDGE = "pods"
_INSIDE = "eth0"
_MTU = 1500
_CLONE_NEWNET = 0x40000000
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
_POD_SYSCTLS = {"ipv4/ip_unprivileged_port_start": "0", "ipv4/ping_group_range": "0 2147483647"}
_libc = ctypes.CDLL(None, use_errno=True)


class LinkFailed(Retryable):
    reason = "PodNetworkFailed"


class Links:
    """The links of the network namespace this was made in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._route = IPRoute()
        self._bridge = 0

    def set_up(self) -> None:
        """The bridge with the node's address, the routes and what the kernel must be told. Raises LinkFailed."""
        with self._lock, _explained("the node's bridge"):
            for name, value in _SYSCTLS.items():
                _set(name, value)
            _ignoring_existing(lambda: self._route.link("add", ifname=BRIDGE, kind="bridge", mtu=_MTU))
            self._bridge = self._route.link_lookup(ifname=BRIDGE)[0]
            self._route.link("set", index=1, state="up")
            self._address(NODE_ADDRESS, POD_NETWORK.prefixlen)
            for address in LOCAL_SERVICES:
                self._address(address, 32)
            self._route.link("set", index=self._bridge, address=_hardware_address(NODE_ADDRESS), state="up")
            # The node reaches Service addresses by this route, on which its own rules then send them to pods.
            services = {"dst": str(SERVICE_NETWORK), "oif": self._bridge, "scope": _SCOPE_LINK, "prefsrc": NODE_ADDRESS}
            _ignoring_existing(lambda: self._route.route("add", **services))

    def _address(self, address: str, prefix: int) -> None:
        _ignoring_existing(lambda: self._route.addr("add", index=self._bridge, address=address, prefixlen=prefix))

    def plug(self, name: str, namespace: str, address: str) -> None:
        """Link the pod's network namespace (a path) to the bridge under this address. Raises LinkFailed."""
        with _explained(f"the link of the pod at {namespace}"), _opened(namespace) as descriptor:
            with self._lock:
                if not self._route.link_lookup(ifname=name):
                    peer = {"ifname": _INSIDE, "net_ns_fd": descriptor, "address": _hardware_address(address)}
                    self._route.link("add", ifname=name, kind="veth", mtu=_MTU, peer={**peer, "mtu": _MTU})
                index = self._route.link_lookup(ifname=name)[0]
                self._route.link("set", index=index, master=self._bridge, state="up")
                self._route.brport("set", index=index, isolated=1)
            inside(descriptor, lambda: _configure(address))

    def unplug(self, name: str) -> None:
        """Explicitly: the kernel keeps the link while sockets of a dead namespace are open."""
        with self._lock, _explained(f"the link {name}"):
            for index in self._route.link_lookup(ifname=name):
                try:
                    self._route.link("del", index=index)
                except NetlinkError as error:
                    if error.code not in _GONE:
                        raise

    def is_up(self, name: str) -> bool:
        """Whether the link exists and has an address."""
        with self._lock:
            found = self._route.link_lookup(ifname=name)
            return bool(found) and any(True for _ in self._route.get_addr(index=found[0], family=_IPV4))

    def close(self) -> None:
        self._route.close()


def inside(descriptor: int, work: Callable[[], None]) -> None:
    """Run `work` in another network namespace: in a thread that ends with it. Raises what it raises."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="pod network")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _configure(address: str) -> None:
    """The pod's side: loopback, its address, and the node as the way to everywhere."""
    for name, value in _POD_SYSCTLS.items():
        _set(name, value)
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
