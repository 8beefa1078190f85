"""Where a registry is reached: its own address, and mirrors that are asked before it (pure)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.cluster.node.images.reference import DEFAULT_REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB_ADDRESS = "registry-1.docker.io"
_TLS_PORT = "443"


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str
    """Scheme, host and port."""
    registry: str
    """The name that credentials are looked up by."""

    @property
    def plain(self) -> bool:
        return self.url.startswith("http://")


@dataclass(frozen=True, slots=True)
class Registries:
    """`plain` names registries (host[:port]) that speak http; `mirrors` maps a registry to URLs to ask first."""

    plain: frozenset[str] = frozenset()
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def endpoints(self, registry: str) -> tuple[Endpoint, ...]:
        """In the order to ask. A mirror gets the credentials for its own name only."""
        mirrors = (Endpoint(url.rstrip("/"), url.partition("://")[2].rstrip("/")) for url in self._mirrors(registry))
        return (*mirrors, self._own(registry))

    def _mirrors(self, registry: str) -> tuple[str, ...]:
        return tuple(self.mirrors.get(registry, ()))

    def _own(self, registry: str) -> Endpoint:
        address = _HUB_ADDRESS if registry == DEFAULT_REGISTRY else registry
        scheme = "http" if registry in self.plain or _speaks_plainly(address) else "https"
        return Endpoint(f"{scheme}://{address}", registry)


def _speaks_plainly(address: str) -> bool:
    """Loopback is plain http, as no certificate is issued for it, unless the port says TLS."""
    host, port = _split(address)
    return is_loopback(host) and port != _TLS_PORT


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _split(address: str) -> tuple[str, str]:
    host, colon, port = address.rpartition(":")
    return (host, port) if colon and port.isdigit() else (address, "")
