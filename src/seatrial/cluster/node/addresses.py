"""Pod addresses: one for each pod, the same one however often it is asked for."""

from __future__ import annotations

import ipaddress

from seatrial.base.errors import Retryable

POD_NETWORK = ipaddress.IPv4Network("10.244.0.0/16")
_FIRST = 2
"""The network's own address and its gateway come before."""


class AddressesExhausted(Retryable):
    reason = "AddressesExhausted"


class AddressPool:
    """Addresses are given round and round, so that one is not reused while clients may still remember it."""

    def __init__(self, network: ipaddress.IPv4Network = POD_NETWORK) -> None:
        self._base = int(network.network_address)
        self._size = network.num_addresses - 1
        self._network = network
        self._next = _FIRST
        self._by_pod: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, uid: str) -> str:
        """The pod's address; a new one if it has none. Raises AddressesExhausted."""
        found = self._by_pod.get(uid)
        if found is None:
            found = self._free()
            self.note(uid, found)
        return found

    def note(self, uid: str, address: str) -> None:
        """The pod has this address (as its status says)."""
        before = self._by_pod.get(uid)
        if before != address:
            if before is not None:
                self._taken.discard(before)
            self._by_pod[uid] = address
            self._taken.add(address)

    def release(self, uid: str) -> None:
        address = self._by_pod.pop(uid, None)
        if address is not None:
            self._taken.discard(address)

    def _free(self) -> str:
        for step in range(self._size - _FIRST):
            offset = _FIRST + (self._next - _FIRST + step) % (self._size - _FIRST)
            address = str(ipaddress.IPv4Address(self._base + offset))
            if address not in self._taken:
                self._next = offset + 1
                return address
        raise AddressesExhausted(f"no free pod address is left in {self._network}: delete pods that have ended")
