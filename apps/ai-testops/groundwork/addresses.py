"""Which hosts this system may call on a user's behalf.

A user names the URLs: of a description to import, of an API to test. Without a guard that would let anyone who can sign
in reach what only this system can reach. Public addresses are allowed; a private one only when the operator lists its
host name (`*.svc`) or network (`10.0.0.0/8`). The address that was checked is the one connected to, so a name cannot
answer differently the second time.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import socket

import httpx


class ForbiddenAddress(ValueError):
    """The operator has not allowed this host."""


class AddressPolicy:
    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self._networks = []
        self._names = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names.append(entry.lower())

    def choose(self, host: str, addresses: list[str]) -> str:
        """The first address, if every one is allowed: one bad answer among good ones is an attack or a mistake."""
        if not addresses:
            raise ForbiddenAddress(f"{host} has no address")
        for address in addresses:
            if not self._permits(host, address):
                raise ForbiddenAddress(
                    f"{host} is at {address}, which is not a public address: "
                    "the operator can allow it in TARGET_ALLOWED_HOSTS"
                )
        return addresses[0]

    def _permits(self, host: str, address: str) -> bool:
        if any(fnmatch.fnmatchcase(host.lower().rstrip("."), pattern) for pattern in self._names):
            return True
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        if any(ip in network for network in self._networks):
            return True
        return ip.is_global and not ip.is_multicast


def _addresses(answers: list) -> list[str]:
    return list(dict.fromkeys(answer[4][0] for answer in answers))


def _pin(request: httpx.Request, address: str) -> httpx.Request:
    """The same request, to the checked address; the Host header and the TLS name stay as they were."""
    host = request.url.host
    request.extensions = {**request.extensions, "sni_hostname": host}
    request.url = request.url.copy_with(host=address)
    return request


class GuardedTransport(httpx.HTTPTransport):
    def __init__(self, policy: AddressPolicy) -> None:
        super().__init__()
        self._policy = policy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host, port = request.url.host, request.url.port or 0
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(f"{host} cannot be resolved: {error}") from error
        return super().handle_request(_pin(request, self._policy.choose(host, _addresses(answers))))


class GuardedAsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, policy: AddressPolicy, limits: httpx.Limits) -> None:
        super().__init__(limits=limits)
        self._policy = policy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host, port = request.url.host, request.url.port or 0
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(f"{host} cannot be resolved: {error}") from error
        return await super().handle_async_request(_pin(request, self._policy.choose(host, _addresses(answers))))
