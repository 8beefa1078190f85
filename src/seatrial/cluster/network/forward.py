"""Names that are not the cluster's: asked of the machine's own name servers, over sockets of the machine.

Answers are remembered for as long as they say, up to a bound in time and number.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING

from dnslib import QTYPE, RCODE, DNSRecord

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.cluster.network.outside import Outside

log = logging.getLogger(__name__)

_MOST_ANSWERS = 4096
_LONGEST_TTL = 300
_NEGATIVE_TTL = 30
_MOST_QUERIES = 128
"""Under way at once; each is a socket."""
_TIMEOUT = 2.0
_MOST_SERVERS = 3
_LARGEST = 65535


class Forwarder:
    def __init__(self, outside: Outside, servers: list[str], clock: Clock, port: int = 53) -> None:
        """`servers`: numeric addresses, as the machine reaches them."""
        self._outside = outside
        self._servers = servers[:_MOST_SERVERS]
        self._port = port
        self._clock = clock
        self._answers: OrderedDict[tuple[str, int, int], tuple[float, DNSRecord]] = OrderedDict()
        self._room = asyncio.Semaphore(_MOST_QUERIES)

    async def ask(self, name: str, kind: int, klass: int) -> DNSRecord | None:
        """The answer of the first server that gives one; None if none does."""
        key = (name.lower().rstrip("."), kind, klass)
        kept = self._answers.get(key)
        if kept is not None and kept[0] > self._clock.monotonic():
            self._answers.move_to_end(key)
            return kept[1]
        if self._room.locked():
            return None
        async with self._room:
            answer = await self._ask_servers(name, kind, klass)
        if answer is not None:
            self._keep(key, answer)
        return answer

    async def _ask_servers(self, name: str, kind: int, klass: int) -> DNSRecord | None:
        for server in self._servers:
            try:
                async with asyncio.timeout(_TIMEOUT):
                    answer = await self._ask_one(server, name, kind, klass)
            except (OSError, TimeoutError) as error:
                log.debug("name server does not answer", extra={"server": server, "error": error})
                continue
            if answer.header.rcode in (RCODE.NOERROR, RCODE.NXDOMAIN):
                return answer
        return None

    async def _ask_one(self, server: str, name: str, kind: int, klass: int) -> DNSRecord:
        query = DNSRecord.question(name)
        query.questions[0].qtype, query.questions[0].qclass = kind, klass
        query.header.id = secrets.randbelow(1 << 16)
        answer = await self._exchange(server, query, socket.SOCK_DGRAM)
        return await self._exchange(server, query, socket.SOCK_STREAM) if answer.header.tc else answer

    async def _exchange(self, server: str, query: DNSRecord, type_: socket.SocketKind) -> DNSRecord:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        made = await self._outside.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, type_)
        try:
            made.setblocking(False)
            await loop.sock_connect(made, (server, self._port))
            packet = query.pack()
            if type_ == socket.SOCK_STREAM:
                await loop.sock_sendall(made, len(packet).to_bytes(2, "big") + packet)
                length = int.from_bytes(await _exactly(made, 2), "big")
                answer = _answer(query, await _exactly(made, length))
                if answer is None:
                    raise OSError("not an answer to what was asked")
                return answer
            await loop.sock_sendall(made, packet)
            while True:  # whatever else arrives at this socket is somebody's forgery
                answer = _answer(query, await loop.sock_recv(made, _LARGEST))
                if answer is not None:
                    return answer
        finally:
            made.close()

    def _keep(self, key: tuple[str, int, int], answer: DNSRecord) -> None:
        ttl = min((record.ttl for record in answer.rr), default=_NEGATIVE_TTL)
        if answer.header.rcode == RCODE.NXDOMAIN:
            ttl = _NEGATIVE_TTL
        self._answers[key] = (self._clock.monotonic() + min(ttl, _LONGEST_TTL), answer)
        self._answers.move_to_end(key)
        while len(self._answers) > _MOST_ANSWERS:
            self._answers.popitem(last=False)


async def _exactly(made: socket.socket, size: int) -> bytes:
    loop, found = asyncio.get_running_loop(), b""
    while len(found) < size:
        part = await loop.sock_recv(made, size - len(found))
        if not part:
            raise OSError("the name server ended the connection")
        found += part
    return found


def _answer(query: DNSRecord, packet: bytes) -> DNSRecord | None:
    """None: nonsense, or about something else."""
    try:
        answer = DNSRecord.parse(packet)
        same = answer.header.id == query.header.id and answer.header.qr == 1
        asked, said = query.q, answer.q
        if not same or str(asked.qname).lower() != str(said.qname).lower() or asked.qtype != said.qtype:
            return None
    except Exception:  # the parser raises whatever a hostile packet makes it stumble over
        return None
    return answer


def servers(resolv_conf: str) -> list[str]:
    """The name servers in the text of a resolv.conf."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.append(str(ipaddress.ip_address(words[1].partition("%")[0])))
            except ValueError:
                log.warning("resolv.conf names no address", extra={"nameserver": words[1]})
    return found


def is_address_kind(kind: int) -> bool:
    return kind in (QTYPE.A, QTYPE.AAAA, QTYPE.ANY)
