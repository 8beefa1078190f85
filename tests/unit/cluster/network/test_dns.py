"""What names mean, and that no packet ends the name server."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, A, DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.network.dns import DnsServer, Resolver
from seatrial.cluster.network.forward import Forwarder, servers
from seatrial.cluster.network.names import Names
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import resources

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

_DOMAIN = "svc.cluster.local"


def _object(kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"{kind}-{name}", **rest.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, **rest}


def _slice(service: str, port: int, *endpoints: dict[str, Any]) -> Object:
    return _object(
        "EndpointSlice",
        service,
        "shop",
        metadata={"labels": {"kubernetes.io/service-name": service}},
        addressType="IPv4",
        endpoints=list(endpoints),
        ports=[{"name": "http", "port": port, "protocol": "TCP"}],
    )


def _names() -> Names:
    informers = InformerFactory(cast("Client", None), ManualClock(), TaskGroup())
    made = Names(informers)
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    content = {
        ("namespaces", ""): [_object("Namespace", "shop")],
        ("services", ""): [
            _object("Service", "web", "shop", spec={"clusterIP": "10.96.1.1", "ports": [port]}),
            _object("Service", "db", "shop", spec={"clusterIP": "None", "ports": [port]}),
            _object("Service", "idle", "shop", spec={"clusterIP": "None", "ports": [port]}),
            _object("Service", "away", "shop", spec={"type": "ExternalName", "externalName": "example.com"}),
            _object("Service", "alias", "shop", spec={"type": "ExternalName", "externalName": f"web.shop.{_DOMAIN}"}),
        ],
        ("endpointslices", "discovery.k8s.io"): [
            _slice("web", 8080, {"addresses": ["10.244.0.9"], "conditions": {"ready": True}}),
            _slice(
                "db",
                5432,
                {"addresses": ["10.244.0.2"], "hostname": "db-0", "conditions": {"ready": True}},
                {"addresses": ["10.244.0.3"], "conditions": {"ready": True}},
                {"addresses": ["10.244.0.4"], "conditions": {"ready": False}},
            ),
        ],
    }
    for (plural, group), items in content.items():
        informer = informers.get(resources.for_plural(plural, group))
        for item in items:
            informer._put(item)
    return made


async def _ask(name: str, kind: str = "A", forwarder: Forwarder | None = None) -> DNSRecord:
    answer = await Resolver(_names(), forwarder).answer(DNSRecord.question(name, kind).pack(), udp=True)
    assert answer is not None
    return DNSRecord.parse(answer)


def _shown(answer: DNSRecord) -> set[str]:
    return {str(record.rdata) for record in answer.rr}


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (f"web.shop.{_DOMAIN}", "A", {"10.96.1.1"}),
        (f"WEB.Shop.{_DOMAIN}", "A", {"10.96.1.1"}),
        (f"db.shop.{_DOMAIN}", "A", {"10.244.0.2", "10.244.0.3"}),
        (f"db-0.db.shop.{_DOMAIN}", "A", {"10.244.0.2"}),
        (f"10-244-0-3.db.shop.{_DOMAIN}", "A", {"10.244.0.3"}),
        (f"_http._tcp.web.shop.{_DOMAIN}", "SRV", {f"0 100 80 web.shop.{_DOMAIN}."}),
        (
            f"_http._tcp.db.shop.{_DOMAIN}",
            "SRV",
            {f"0 100 5432 db-0.db.shop.{_DOMAIN}.", f"0 100 5432 10-244-0-3.db.shop.{_DOMAIN}."},
        ),
        (f"away.shop.{_DOMAIN}", "CNAME", {"example.com."}),
        (f"alias.shop.{_DOMAIN}", "A", {f"web.shop.{_DOMAIN}.", "10.96.1.1"}),
        ("10-244-0-7.shop.pod.cluster.local", "A", {"10.244.0.7"}),
        ("1.1.96.10.in-addr.arpa", "PTR", {f"web.shop.{_DOMAIN}."}),
        ("2.0.244.10.in-addr.arpa", "PTR", {f"db-0.db.shop.{_DOMAIN}."}),
        ("dns-version.cluster.local", "TXT", {'"1.1.0"'}),
    ],
)
async def test_a_name_means_what_the_specification_says(name: str, kind: str, expected: set[str]) -> None:
    answer = await _ask(name, kind)
    assert (_shown(answer), {record.ttl for record in answer.rr}) == (expected, {5})
    assert answer.header.aa


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"none.shop.{_DOMAIN}", RCODE.NXDOMAIN),
        (f"idle.shop.{_DOMAIN}", RCODE.NXDOMAIN),
        (f"x.web.shop.{_DOMAIN}", RCODE.NXDOMAIN),
        (f"_ftp._tcp.web.shop.{_DOMAIN}", RCODE.NXDOMAIN),
        (f"example.com.shop.{_DOMAIN}", RCODE.NXDOMAIN),
        ("10-244-0-7.nowhere.pod.cluster.local", RCODE.NXDOMAIN),
        ("not-an-address.shop.pod.cluster.local", RCODE.NXDOMAIN),
        ("9.9.96.10.in-addr.arpa", RCODE.NXDOMAIN),
        (f"shop.{_DOMAIN}", RCODE.NOERROR),
        (f"_tcp.web.shop.{_DOMAIN}", RCODE.NOERROR),
        ("cluster.local", RCODE.NOERROR),
    ],
)
async def test_what_has_no_record_says_whether_the_name_exists(name: str, code: int) -> None:
    answer = await _ask(name)
    assert (answer.header.rcode, answer.rr) == (code, [])
    assert answer.auth[0].rtype == QTYPE.SOA


async def test_other_names_fail_without_a_server_to_ask() -> None:
    assert (await _ask("example.com")).header.rcode == RCODE.SERVFAIL


class _Outside:
    async def socket(self, family: int, type: int) -> socket.socket:
        return socket.socket(family, type)


class _Upstream(asyncio.DatagramProtocol):
    """Answers each question with one address, after a forgery."""

    def __init__(self) -> None:
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        query = DNSRecord.parse(data)
        forged = query.reply()
        forged.header.id ^= 1
        forged.add_answer(RR(query.q.qname, rdata=A("192.0.2.66"), ttl=60))
        answer = query.reply()
        answer.add_answer(RR(query.q.qname, rdata=A("192.0.2.1"), ttl=60))
        for packet in (b"\xff", forged.pack(), answer.pack()):
            self._transport.sendto(packet, addr)


async def test_other_names_are_asked_of_the_machines_servers_and_remembered() -> None:
    loop = asyncio.get_running_loop()
    transport, upstream = await loop.create_datagram_endpoint(_Upstream, local_addr=("127.0.0.1", 0))
    clock = ManualClock()
    forwarder = Forwarder(_Outside(), ["127.0.0.1"], clock, transport.get_extra_info("sockname")[1])
    for _ in range(2):
        assert _shown(await _ask("example.com", forwarder=forwarder)) == {"192.0.2.1"}
    assert _shown(await _ask(f"away.shop.{_DOMAIN}", forwarder=forwarder)) == {"example.com.", "192.0.2.1"}
    assert upstream.asked == 1
    await clock.advance(61)
    await _ask("example.com", forwarder=forwarder)
    assert upstream.asked == 2
    transport.close()


def test_servers_are_read_off_resolv_conf() -> None:
    assert servers("# x\nnameserver 192.0.2.1 # y\nsearch a\nnameserver fe80::1%eth0\nnameserver no\n") == [
        "192.0.2.1",
        "fe80::1",
    ]


async def test_an_answer_too_long_for_udp_is_cut_and_whole_over_tcp() -> None:
    names = _names()
    addresses = [{"addresses": [f"10.244.1.{n}"], "conditions": {"ready": True}} for n in range(1, 120)]
    names._slices._put(_slice("db", 5432, *addresses))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        port = made.getsockname()[1]
    server = asyncio.create_task(DnsServer(Resolver(names, None), "127.0.0.1", port).run())
    query = DNSRecord.question(f"db.shop.{_DOMAIN}")
    resolver = Resolver(names, None)
    short = DNSRecord.parse(await resolver.answer(query.pack(), udp=True) or b"")
    assert (short.header.tc, short.rr) == (1, [])
    writer = None
    while writer is None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await SystemClock().sleep(0.01)
    packet = query.pack()
    writer.write(len(packet).to_bytes(2, "big") + packet)
    size = int.from_bytes(await reader.readexactly(2), "big")
    assert len(DNSRecord.parse(await reader.readexactly(size)).rr) == 119
    writer.close()
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


async def test_a_client_that_takes_more_gets_more() -> None:
    query = DNSRecord.question(f"web.shop.{_DOMAIN}")
    query.add_ar(EDNS0(udp_len=4096))
    answer = DNSRecord.parse(await Resolver(_names(), None).answer(query.pack(), udp=True) or b"")
    assert [record.rtype for record in answer.ar] == [41]


_RESOLVER = Resolver(_names(), None)
_QUESTION: bytes = DNSRecord.question(f"web.shop.{_DOMAIN}").pack()


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=600), st.tuples(st.integers(0, len(_QUESTION) - 1), st.binary(max_size=40))))
def test_no_packet_is_too_strange(packet: bytes | tuple[int, bytes]) -> None:
    answer = asyncio.run(_RESOLVER.answer(_mangled(packet), udp=True))
    assert answer is None or len(answer) >= 12


def _mangled(packet: bytes | tuple[int, bytes]) -> bytes:
    """Nonsense as it is, or a question with nonsense somewhere."""
    if isinstance(packet, bytes):
        return packet
    at, noise = packet
    return _QUESTION[:at] + noise + _QUESTION[at + len(noise) :]
