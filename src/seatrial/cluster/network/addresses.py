"""Which address is whose inside the node, and the pool the pods' own come from."""

from __future__ import annotations

import ipaddress

from seatrial.base.errors import Retryable

POD_NETWORK = ipaddress.IPv4Network("10.244.0.0/16")
SERVICE_NETWORK = ipaddress.IPv4Network("10.96.0.0/16")
NODE_ADDRESS = "10.244.0.1"
"""The node's own, and of every pod with `hostNetwork`; the pods' gateway."""
API_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
LOCAL_SERVICES = (API_ADDRESS, DNS_ADDRESS)
"""Service addresses the node itself answers at, without translation."""
_FIRST = 2
"""The network's own address and the gateway come before."""


class AddressesExhausted(Retryable):
    reason = "AddressesExhausted"


class AddressPool:
    """One address per pod, given round and round: none is reused while clients may still remember it."""

    def __init__(self, network: ipaddress.IPv4Network = POD_NETWORK) -> None:
        self._network = network
        self._next = _FIRST
        self._by_pod: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def of(self, uid: str) -> str:
        """The pod's address; a new one if it has none. Raises AddressesExhausted."""
        found = self._by_pod.get(uid)
        if found is None:
            found = self._free()
            self._by_pod[uid] = found
            self._taken[found] = uid
        return found

    def avoid(self, uid: str, address: str) -> None:
        """Somebody else's pod has this address: a simulated one's, or one of before a restart."""
        if uid not in self._by_pod:
            self._taken.setdefault(address, uid)

    def release(self, uid: str, address: str = "") -> None:
        for freed in {self._by_pod.pop(uid, ""), address}:
            if freed and self._taken.get(freed) == uid:
                del self._taken[freed]

    def _free(self) -> str:
        usable = self._network.num_addresses - 1 - _FIRST
        for step in range(usable):
            offset = _FIRST + (self._next - _FIRST + step) % usable
            address = str(self._network[offset])
            if address not in self._taken:
                self._next = offset + 1
                return address
        raise AddressesExhausted(f"no free pod address is left in {self._network}: delete pods that have ended")
