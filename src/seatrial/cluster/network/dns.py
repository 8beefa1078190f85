"""The cluster's name server: UDP and TCP on the DNS Service's address. `names` answers, `forward` asks outside.

Nothing a packet holds may end it: what cannot be parsed is answered with FORMERR, or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, cast

from dnslib import CLASS, EDNS0, QTYPE, RCODE, RR, SOA, DNSHeader, DNSRecord

from seatrial.cluster.network.addresses import DNS_ADDRESS, NODE_ADDRESS
from seatrial.cluster.network.forward import is_address_kind
from seatrial.cluster.network.names import TTL
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.cluster.network.forward import Forwarder
    from seatrial.cluster.network.names import Found, Names
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

PORT = 53
_PLAIN_SIZE = 512
_OUR_SIZE = 1232
"""The largest UDP answer: survives every path unfragmented."""
_MOST_UDP = 1024
"""Questions under way at once; more are not read, and clients ask again."""
_MOST_STREAMS = 256
_IDLE_SECONDS = 10.0
_MOST_CNAMES = 8
_OPT = 41


class Resolver:
    """One packet in, one out."""

    def __init__(self, names: Names, forwarder: Forwarder | None) -> None:
        self._names = names
        self._forwarder = forwarder

    async def answer(self, packet: bytes, *, udp: bool) -> bytes | None:
        try:
            query = DNSRecord.parse(packet)
        except Exception:  # the parser raises whatever a hostile packet makes it stumble over
            return _form_error(packet)
        if query.header.qr:
            return None  # an answer: answering it could go on for ever
        try:
            reply = await self._reply(query)
            return _packed(query, reply, udp=udp)
        except Exception as error:  # a name that parses may still not pack
            log.debug("question cannot be answered", extra={"error": error})
            return _form_error(packet)

    async def _reply(self, query: DNSRecord) -> DNSRecord:
        reply = DNSRecord(DNSHeader(id=query.header.id, qr=1, rd=query.header.rd, ra=1), questions=query.questions)
        if query.header.opcode != 0:
            reply.header.rcode = RCODE.NOTIMP
        elif len(query.questions) != 1:
            reply.header.rcode = RCODE.FORMERR
        elif query.q.qclass not in (CLASS.IN, 255):
            reply.header.rcode = RCODE.REFUSED
        else:
            await self._fill(reply, str(query.q.qname), query.q.qtype, query.q.qclass)
        return reply

    async def _fill(self, reply: DNSRecord, asked: str, kind: int, klass: int) -> None:
        name = asked.rstrip(".").lower()
        if not self._names.is_ours(name):
            await self._forward(reply, asked, kind, klass)
            return
        reply.header.aa = 1
        found = self._names.find(name, kind)
        if found is None:
            reply.header.rcode = RCODE.NXDOMAIN
        elif found.records:
            for record in found.records:
                reply.add_answer(record)
            for record in found.extra:
                reply.add_ar(record)
            await self._follow(reply, found, kind, klass)
            return
        reply.add_auth(self._authority())

    async def _follow(self, reply: DNSRecord, found: Found, kind: int, klass: int) -> None:
        """What a CNAME leads to, so that a client need not ask again."""
        for _ in range(_MOST_CNAMES):
            if not found.follow or not is_address_kind(kind):
                return
            if not self._names.is_ours(found.follow):
                reply.header.aa = 0
                await self._forward(reply, found.follow, kind, klass)
                return
            target = self._names.find(found.follow, kind)
            if target is None:
                return
            for record in target.records:
                reply.add_answer(record)
            found = target

    async def _forward(self, reply: DNSRecord, name: str, kind: int, klass: int) -> None:
        answer = await self._forwarder.ask(name, kind, klass) if self._forwarder is not None else None
        if answer is None:
            reply.header.rcode = RCODE.SERVFAIL
            return
        reply.header.rcode = answer.header.rcode
        for record in answer.rr:
            reply.add_answer(record)
        for record in answer.auth:
            reply.add_auth(record)
        for record in answer.ar:
            if record.rtype != _OPT:
                reply.add_ar(record)

    def _authority(self) -> RR:
        """How long a client may remember that there is nothing."""
        domain = self._names.domain
        data = SOA(f"ns.dns.{domain}.", f"hostmaster.{domain}.", (1, 7200, 1800, 86400, TTL))
        return RR(f"{domain}.", QTYPE.SOA, ttl=TTL, rdata=data)


def _packed(query: DNSRecord, reply: DNSRecord, *, udp: bool) -> bytes:
    size = _PLAIN_SIZE
    asked = next((record for record in query.ar if record.rtype == _OPT), None)
    if asked is not None:
        reply.add_ar(EDNS0(udp_len=_OUR_SIZE))
        size = max(_PLAIN_SIZE, min(asked.edns_len, _OUR_SIZE))
    packet: bytes = reply.pack()
    if not udp or len(packet) <= size:
        return packet
    short = DNSRecord(reply.header, questions=reply.questions)
    short.header.tc = 1
    if asked is not None:
        short.add_ar(EDNS0(udp_len=_OUR_SIZE))
    cut: bytes = short.pack()
    return cut


def _form_error(packet: bytes) -> bytes | None:
    """The header alone, if there is one and it is a question's."""
    if len(packet) < 12 or packet[2] & 0x80:
        return None
    header = DNSHeader(id=int.from_bytes(packet[:2], "big"), qr=1, rcode=RCODE.FORMERR)
    made: bytes = DNSRecord(header).pack()
    return made


class DnsServer:
    name = "cluster DNS"

    def __init__(self, resolver: Resolver, address: str = DNS_ADDRESS, port: int = PORT) -> None:
        self._resolver = resolver
        self._address = address
        self._port = port
        self._work: set[asyncio.Task[None]] = set()
        self._streams = 0

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError if the address cannot be listened on."""
        loop = asyncio.get_running_loop()
        local = (self._address, self._port)
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=local)
        try:
            server = await asyncio.start_server(self._stream, *local)
            async with server:
                await server.serve_forever()
        finally:
            transport.close()
            for task in self._work:
                task.cancel()

    def datagram(self, transport: asyncio.DatagramTransport, packet: bytes, sender: tuple[str, int]) -> None:
        if len(self._work) >= _MOST_UDP:
            return

        async def reply() -> None:
            answer = await self._resolver.answer(packet, udp=True)
            if answer is not None and not transport.is_closing():
                transport.sendto(answer, sender)

        task = asyncio.get_running_loop().create_task(reply())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams += 1
        try:
            while self._streams <= _MOST_STREAMS:
                async with asyncio.timeout(_IDLE_SECONDS):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    answer = await self._resolver.answer(await reader.readexactly(length), udp=False)
                    if answer is None:
                        return
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            self._streams -= 1
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        made: socket.socket = transport.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.datagram(self._transport, data, addr)


# the Service by which clients find it


async def publish(client: Client) -> None:
    """Write the `kube-dns` Service and its slice: existing fields of others stay. Raises StatusError."""
    for plural, group, obj in (("services", "", _service()), ("endpointslices", "discovery.k8s.io", _slice())):
        resource, metadata = resources.for_plural(plural, group), obj["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        try:
            await client.get(resource, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            await client.create(resource, obj)
        else:
            await client.patch(resource, name, obj, namespace, type=PatchType.MERGE)


_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


def _service() -> Object:
    labels = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    ports = [{"name": name, "port": PORT, "protocol": protocol, "targetPort": PORT} for name, protocol in _PORTS]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {"type": "ClusterIP", "clusterIP": DNS_ADDRESS, "ports": ports},
    }


def _slice() -> Object:
    labels = {"kubernetes.io/service-name": "kube-dns", "k8s-app": "kube-dns"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": PORT, "protocol": protocol} for name, protocol in _PORTS],
    }
