"""Pods with real links and real packets: each test has a network namespace of its own, and no process beside itself.

A socket belongs to the namespace it was made in, so one event loop drives the sockets of all pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest
from dnslib import QTYPE, RCODE, DNSRecord

from seatrial.base.clock import SystemClock
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.netns import inside
from seatrial.cluster.network.egress import open_egress
from seatrial.cluster.network.links import Links
from seatrial.cluster.network.node import Border, Network
from seatrial.cluster.network.pods import link_name
from seatrial.cluster.server import Cluster, Options
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from seatrial.kube.model.objects import Object

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

T = TypeVar("T")
Listener = socket.socket

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces without root need a process of their own")

_CLONE_NEWNET = 0x40000000
_DENIED_SECONDS = 0.3
_PATIENCE = 5.0
_libc = ctypes.CDLL(None, use_errno=True)


class Outside:
    """Sockets of the namespace the tests were started in."""

    def __init__(self, namespace: int) -> None:
        self.namespace = namespace

    def listen(self, port: int) -> Listener:
        return made_in(self.namespace, lambda: socket.create_server(("127.0.0.1", port)))

    async def socket(self, family: int, type: int) -> socket.socket:
        return await asyncio.to_thread(made_in, self.namespace, lambda: socket.socket(family, type))


class Pod:
    def __init__(self, name: str, namespace: int, obj: Object, address: str) -> None:
        self.name, self.descriptor, self.obj, self.address = name, namespace, obj, address
        self.uid = objects.uid(obj)
        self._servers: list[asyncio.AbstractServer | asyncio.BaseTransport] = []
        self._conversations: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        self.close_servers()
        os.close(self.descriptor)

    def close_servers(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self._conversations:
            writer.transport.abort()

    async def socket(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        made = made_in(self.descriptor, lambda: socket.socket(socket.AF_INET, kind))
        made.setblocking(False)
        return made

    async def serve(self, port: int) -> None:
        """Say the pod's name to each TCP connection, then what comes, in upper case."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{self.name}\n".encode())
            while data := await reader.read(4096):
                writer.write(data.upper())

        await self.serve_with(port, talk)

    async def serve_with(self, port: int, talk: Talk) -> None:
        made = await self.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("0.0.0.0", port))

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._conversations.add(writer)
            try:
                await talk(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                writer.transport.abort()
            finally:
                self._conversations.discard(writer)
                writer.close()

        self._servers.append(await asyncio.start_server(converse, sock=made, backlog=1024))

    async def serve_udp(self, port: int) -> None:
        made = await self.socket(socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", port))
        loop = asyncio.get_running_loop()
        self._servers.append((await loop.create_datagram_endpoint(lambda: _SaysName(self.name), sock=made))[0])

    async def open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = await self.socket()
        try:
            await asyncio.get_running_loop().sock_connect(made, (host, port))
            reader, writer = await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise
        self._conversations.add(writer)
        return reader, writer

    async def ask(self, host: str, port: int, timeout: float = 3.0) -> str:
        """The name of who answers. Raises OSError, TimeoutError."""
        async with asyncio.timeout(timeout):
            reader, writer = await self.open(host, port)
            try:
                return (await reader.readline()).decode().strip()
            finally:
                self._conversations.discard(writer)
                writer.transport.abort()

    async def can_reach(self, other: Pod, port: int) -> bool:
        try:
            return bool(await self.ask(other.address, port, _DENIED_SECONDS))
        except (OSError, TimeoutError):
            return False


class _SaysName(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._name.encode(), addr)


class Net:
    """An API server, the node's network, and pods whose status the test writes as a kubelet would."""

    def __init__(
        self, cluster: Cluster, network: Network, informers: InformerFactory, outside: Outside, api_port: int
    ) -> None:
        self.directory = cluster.options.directory
        self.network, self.outside, self.api_port = network, outside, api_port
        self.thread = threading.get_native_id()
        self.client = cluster.client("tester")
        self.informers = informers
        self.api_url, self.api_ca = cluster.url, cluster.authority.ca_pem.decode()
        self.mapper = RESTMapper(self.client)
        self._pods: list[Pod] = []

    async def create(self, obj: Object) -> Object:
        return await self.client.create(await self.mapper.for_kind(obj["apiVersion"], obj["kind"]), obj)

    async def pod(self, name: str, namespace: str = "default", *, ready: bool = True, **fields: Any) -> Pod:
        metadata = {"name": name, "namespace": namespace, "labels": fields.pop("labels", {"app": name})}
        container = {"name": "main", "image": "example.com/app:1", "ports": fields.pop("ports", [])}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 30, **fields}
        obj = await self.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        obj = await self._bind(obj)
        descriptor = _new_namespace()
        address = await self.network.pods.attach(objects.uid(obj), f"/proc/self/fd/{descriptor}")
        made = Pod(name, descriptor, obj, address)
        self._pods.append(made)
        await self.status(made, ready=ready)
        return made

    async def _bind(self, obj: Object) -> Object:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": objects.name(obj)},
            "target": {"kind": "Node", "name": "n1"},
        }
        pods = await self.mapper.for_name("pods")
        namespace, name = objects.namespace(obj), objects.name(obj)
        await self.client.create(pods, binding, namespace, subresource="binding", name=name)
        return await self.client.get(pods, name, namespace)

    async def status(self, pod: Pod, *, ready: bool, reason: str = "") -> None:
        pods = await self.mapper.for_name("pods")
        live = objects.clone(await self.client.get(pods, pod.name, objects.namespace(pod.obj)))
        conditions = [{"type": "Ready", "status": "True" if ready else "False", "reason": reason}]
        live["status"] = {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "conditions": conditions,
        }
        await self.client.update(pods, live, subresource="status")

    async def service(self, name: str, namespace: str = "default", port: int = 80, **spec: Any) -> Object:
        spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": 8080}], **spec}
        metadata = {"name": name, "namespace": namespace, "annotations": spec.pop("annotations", {})}
        return await self.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})

    async def delete(self, kind: str, name: str, namespace: str = "default", **options: Any) -> None:
        await self.client.delete(await self.mapper.for_name(kind), name, namespace, **options)

    async def policy(self, name: str, spec: Object, namespace: str = "default") -> None:
        metadata = {"name": name, "namespace": namespace}
        policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
        await self.create(policy)

    async def until(self, check: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(_PATIENCE):
            while True:
                with contextlib.suppress(OSError, TimeoutError):
                    if found := await check():
                        return found
                await asyncio.sleep(0.01)

    async def answers(self, client: Pod, service: Object, *names: str) -> None:
        """Wait until new connections to the Service go to exactly these pods."""

        async def check() -> bool:
            found = {await client.ask(service["spec"]["clusterIP"], 80, 1) for _ in range(12 * len(names))}
            return found == set(names)

        await self.until(check)

    def close(self) -> None:
        for pod in self._pods:
            pod.close()


def made_in(namespace: int, make: Callable[[], T]) -> T:
    found: list[T] = []
    inside(namespace, lambda: found.append(make()))
    return found[0]


def _new_namespace() -> int:
    found: list[int] = []

    def run() -> None:
        assert _libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        found.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


async def _upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stands for the API server: says in upper case what it was told, once it was told everything."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def _net(directory: Path, outside: int) -> AsyncIterator[Net]:
    clock = SystemClock()
    links = Links()
    await links.set_up()  # also brings up loopback, where the API server listens
    links.close()
    async with (
        Cluster(Options(directory, in_memory=True, node_socket=directory / "node")) as cluster,
        TaskGroup() as tasks,
    ):
        informers = InformerFactory(cluster.client("system:node"), clock, tasks)
        listener = made_in(outside, lambda: socket.create_server(("127.0.0.1", 0)))
        upper = await asyncio.start_server(_upper, sock=listener)
        machine = Outside(outside)
        client = cluster.client("system:node")
        border = Border(machine, listener.getsockname(), "nameserver 127.0.0.1\n", listen=machine.listen)
        recorder = EventRecorder(client, clock, "kubelet")
        tasks.start("events", recorder.run())
        network = Network(border, client, informers, recorder, clock)
        await network.start(tasks)
        informers.start()
        await informers.wait_synced()
        await network.publish()
        net = Net(cluster, network, informers, machine, listener.getsockname()[1])
        try:
            yield net
        finally:
            net.close()
            upper.close()
            await tasks.close()
            network.close()


def real(scenario: Callable[[Net], Awaitable[None]]) -> Callable[[Path], None]:
    """Run a scenario in a thread that has a network namespace of its own, as will every thread it starts."""

    def test(tmp_path: Path) -> None:
        failure: list[BaseException] = []

        async def main(outside: int) -> None:
            async with _net(tmp_path, outside) as net:
                await scenario(net)

        def run() -> None:
            outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            try:
                assert _libc.unshare(_CLONE_NEWNET) == 0
                asyncio.run(main(outside))
            except BaseException as error:
                failure.append(error)
            finally:
                os.close(outside)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]

    test.__name__, test.__doc__ = getattr(scenario, "__name__", ""), scenario.__doc__
    return test


# links


@real
async def test_pods_reach_each_other_and_the_node(net: Net) -> None:
    one, two = await net.pod("one"), await net.pod("two")
    await two.serve(8080)
    assert await one.ask(two.address, 8080) == "two"
    assert await two.ask(two.address, 8080) == "two"


@real
async def test_attach_is_idempotent_and_detach_takes_the_link_away(net: Net) -> None:
    pod = await net.pod("one")
    assert await net.network.pods.attach(pod.uid, f"/proc/self/fd/{pod.descriptor}") == pod.address
    await net.network.pods.detach(pod.uid)
    await net.network.pods.detach(pod.uid)
    assert link_name(pod.uid) not in [name for _, name in socket.if_nameindex()]
    assert (await net.pod("two")).address != pod.address


# Services


@real
async def test_a_service_spreads_connections_over_its_ready_pods(net: Net) -> None:
    service = await net.service("web")
    pods = [await net.pod(f"web-{n}", labels={"app": "web"}) for n in range(3)]
    for pod in pods:
        await pod.serve(8080)
    client = await net.pod("client")
    await net.answers(client, service, "web-0", "web-1", "web-2")
    await net.status(pods[0], ready=False)
    await net.answers(client, service, "web-1", "web-2")


@real
async def test_a_pod_reaches_itself_through_its_service_and_so_does_the_node(net: Net) -> None:
    service = await net.service("web")
    pod = await net.pod("web")
    await pod.serve(8080)
    await net.answers(pod, service, "web")
    reader, writer = await asyncio.open_connection(service["spec"]["clusterIP"], 80)
    assert await reader.readline() == b"web\n"
    writer.transport.abort()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(service["spec"]["clusterIP"], 81)


@real
async def test_a_service_without_pods_refuses_at_once(net: Net) -> None:
    service = await net.service("web")
    client = await net.pod("client")

    async def refused() -> bool:
        try:
            await client.ask(service["spec"]["clusterIP"], 80, 0.5)
        except ConnectionRefusedError:
            return True
        except TimeoutError:  # the rules of a new Service take a moment
            return False
        raise AssertionError("somebody answers")

    async with asyncio.timeout(10):
        while not await refused():
            pass


@real
async def test_a_node_port_leads_to_the_pods(net: Net) -> None:
    service = await net.service("web", type="NodePort")
    pod, client = await net.pod("web"), await net.pod("client")
    await pod.serve(8080)
    await net.answers(client, service, "web")
    port = service["spec"]["ports"][0]["nodePort"]
    assert await client.ask("10.244.0.1", port) == "web"
    reader, writer = await asyncio.open_connection("10.244.0.1", port)  # as a relay of the node does
    assert await reader.readline() == b"web\n"
    writer.transport.abort()


@real
async def test_session_affinity_keeps_a_client_at_its_pod(net: Net) -> None:
    service = await net.service("web", sessionAffinity="ClientIP")
    for n in range(4):
        await (await net.pod(f"web-{n}", labels={"app": "web"})).serve(8080)
    client = await net.pod("client")
    await net.until(lambda: client.ask(service["spec"]["clusterIP"], 80, 1))
    await net.network.proxy.settled()
    assert len({await client.ask(service["spec"]["clusterIP"], 80) for _ in range(20)}) == 1


@real
async def test_the_last_serving_pods_are_used_while_they_terminate(net: Net) -> None:
    service = await net.service("web")
    pod, client = await net.pod("web"), await net.pod("client")
    await pod.serve(8080)
    await net.answers(client, service, "web")
    await net.delete("pods", "web")
    await net.network.routes.exclude(pod.uid)
    assert await client.ask(service["spec"]["clusterIP"], 80) == "web"


@real
async def test_udp_clients_of_a_removed_pod_go_to_another(net: Net) -> None:
    service = await net.service("dnsish", ports=[{"port": 53, "targetPort": 5353, "protocol": "UDP"}])
    pods = [await net.pod(f"p{n}", labels={"app": "dnsish"}) for n in range(2)]
    for pod in pods:
        await pod.serve_udp(5353)
    client, loop = await net.pod("client"), asyncio.get_running_loop()
    made = await client.socket(socket.SOCK_DGRAM)

    async def ask() -> str:
        async with asyncio.timeout(0.5):
            await loop.sock_connect(made, (service["spec"]["clusterIP"], 53))
            await loop.sock_sendall(made, b"?")
            return (await loop.sock_recv(made, 100)).decode()

    first = await net.until(ask)
    await net.status(next(pod for pod in pods if pod.name == first), ready=False)

    async def moved() -> bool:
        return await ask() != first

    await net.until(moved)
    made.close()


@real
async def test_no_connection_fails_while_endpoints_are_swapped_a_thousand_times(net: Net) -> None:
    service = await net.service("web", selector=None)
    pods = [await net.pod(f"web-{n}") for n in range(4)]
    for pod in pods:
        await pod.serve(8080)
    client, swapping = await net.pod("client"), asyncio.Event()
    address = service["spec"]["clusterIP"]
    await _write_slice(net, "web", [pods[0]])
    await net.until(lambda: client.ask(address, 80, 1))
    reader, writer = await client.open(address, 80)
    first = (await reader.readline()).decode().strip()
    asked = 0

    async def load() -> None:
        nonlocal asked
        while not swapping.is_set():
            assert (await client.ask(address, 80)).startswith("web-")
            asked += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(load())
        for n in range(1000):
            version = await _write_slice(net, "web", [pods[n % 4], pods[(n + 1) % 4]])
            while objects.metadata(net.network.proxy.slices.get("default", "web") or {})["resourceVersion"] != version:
                await asyncio.sleep(0)
            await net.network.proxy.settled()
        swapping.set()
    writer.write(b"still " + first.encode())
    assert await reader.read(100) == b"STILL " + first.upper().encode()
    writer.transport.abort()
    assert asked > 100
    print(f"1000 swaps, {asked} connections, 0 failed")


async def _write_slice(net: Net, service: str, pods: list[Pod]) -> str:
    """Its resourceVersion."""
    resource = await net.mapper.for_name("endpointslices")
    obj = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": service,
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [pod.address], "conditions": {"ready": True}} for pod in pods],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }
    return str((await net.client.apply(resource, obj, force=True))["metadata"]["resourceVersion"])


# hand-over


class _Follower:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def excludes(self, address: str) -> None:
        self.told.append(("excludes", address))

    async def includes(self, address: str) -> None:
        self.told.append(("includes", address))


@real
async def test_include_returns_when_connections_arrive_and_exclude_when_none_do(net: Net) -> None:
    follower = _Follower()
    net.network.routes.register(follower)
    service, client = await net.service("web"), await net.pod("client")
    stays = await net.pod("stays", labels={"app": "web"})
    await stays.serve(8080)
    await net.network.routes.include(stays.uid)
    for n in range(10):
        pod = await net.pod(f"web-{n}", labels={"app": "web"})
        await pod.serve(8080)
        await net.network.routes.include(pod.uid)
        found = {await client.ask(service["spec"]["clusterIP"], 80) for _ in range(16)}
        assert found == {"stays", pod.name}
        await net.delete("pods", pod.name)
        await net.network.routes.exclude(pod.uid)
        assert {await client.ask(service["spec"]["clusterIP"], 80) for _ in range(16)} == {"stays"}
        await net.delete("pods", pod.name, grace=0)
    assert follower.told[:3] == [("includes", stays.address), ("includes", pod_address(follower, 1)), follower.told[2]]
    assert [word for word, _ in follower.told[1:]] == ["includes", "excludes"] * 10


def pod_address(follower: _Follower, index: int) -> str:
    return follower.told[index][1]


@real
async def test_a_pod_that_no_service_selects_is_not_waited_for(net: Net) -> None:
    pod = await net.pod("alone")
    async with asyncio.timeout(1):
        await net.network.routes.include(pod.uid)
        await net.network.routes.exclude(pod.uid)
        await net.network.routes.exclude("nobody")


# names


async def _ask_dns(pod: Pod, name: str, kind: str = "A") -> DNSRecord:
    made, loop = await pod.socket(socket.SOCK_DGRAM), asyncio.get_running_loop()
    try:
        async with asyncio.timeout(3):
            await loop.sock_connect(made, ("10.96.0.10", 53))
            await loop.sock_sendall(made, DNSRecord.question(name, kind).pack())
            return DNSRecord.parse(await loop.sock_recv(made, 65535))
    finally:
        made.close()


@real
async def test_a_pod_finds_services_by_name(net: Net) -> None:
    service, pod = await net.service("web"), await net.pod("client")

    async def found() -> bool:
        answer = await _ask_dns(pod, "web.default.svc.cluster.local")
        return [str(record.rdata) for record in answer.rr] == [service["spec"]["clusterIP"]]

    await net.until(found)
    assert (await _ask_dns(pod, "nothing.default.svc.cluster.local")).header.rcode == RCODE.NXDOMAIN
    empty = await _ask_dns(pod, "web.default.svc.cluster.local", "AAAA")
    assert (empty.header.rcode, empty.rr, empty.auth[0].rtype) == (RCODE.NOERROR, [], QTYPE.SOA)


_LOOK_UP = "mount --bind $0 /etc/resolv.conf && getent ahostsv4 $1 | cut -d' ' -f1 | sort -u"


@real
async def test_the_systems_own_resolver_finds_short_and_long_names(net: Net) -> None:
    service = await net.service("web")
    await net.until(lambda: _settled_names(net))
    search = "default.svc.cluster.local svc.cluster.local cluster.local"
    file = net.directory / "resolv.conf"
    file.write_text(f"nameserver 10.96.0.10\nsearch {search}\noptions ndots:5\n")
    for name in (
        "web",
        "web.default",
        "web.default.svc",
        "web.default.svc.cluster.local",
        "web.default.svc.cluster.local.",
    ):
        command = ["unshare", "-m", "sh", "-c", _LOOK_UP, str(file), name]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        found, _ = await process.communicate()
        assert found.decode().split() == [service["spec"]["clusterIP"]], name


async def _settled_names(net: Net) -> bool:
    return net.network.proxy.services.get("default", "web") is not None


@real
async def test_pods_reach_the_api_server_through_the_machines_network(net: Net) -> None:
    pod, size = await net.pod("client"), 3_000_000

    async def talk(number: int) -> None:
        reader, writer = await pod.open("10.96.0.1", 443)
        writer.write(b"x" * size + str(number).encode())
        writer.write_eof()
        assert await reader.read() == b"X" * size + str(number).encode()
        writer.close()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(talk(number))


@real
async def test_the_machine_reaches_a_node_port_as_long_as_the_service_has_it(net: Net) -> None:
    service = await net.service("web", type="NodePort")
    pod, client = await net.pod("web"), await net.pod("client")
    await pod.serve(8080)
    await net.answers(client, service, "web")
    port = service["spec"]["ports"][0]["nodePort"]
    assert await net.until(lambda: _asked_outside(net, port)) == b"web\n"
    await net.delete("services", "web")

    async def refused() -> bool:
        try:
            await _asked_outside(net, port)
        except ConnectionRefusedError:
            return True
        return False

    await net.until(refused)


@real
async def test_a_node_port_that_is_taken_on_the_machine_is_said_and_opened_once_it_is_free(net: Net) -> None:
    pod, client = await net.pod("web"), await net.pod("client")
    await pod.serve(8080)
    events = await net.mapper.for_name("events")

    async def said() -> list[str]:
        found = (await net.client.list(events, "default")).items
        return [item["message"] for item in found if item["reason"] == "NodePortTaken"]

    with _taken_node_port(net) as taken:
        port = taken.getsockname()[1]
        ports = [{"port": 80, "targetPort": 8080, "nodePort": port}]
        service = await net.service("web", type="NodePort", ports=ports)
        await net.answers(client, service, "web")
        message = (await net.until(said))[0]
        assert message.startswith(f"node port {port} cannot be opened on this machine: Address already in use")
    assert await net.until(lambda: _asked_outside(net, port)) == b"web\n"


def _taken_node_port(net: Net) -> socket.socket:
    for port in range(30000, 32768):
        with contextlib.suppress(OSError):
            return net.outside.listen(port)
    raise AssertionError("no node port is free on this machine")


async def _asked_outside(net: Net, port: int) -> bytes:
    caller = made_in(net.outside.namespace, lambda: socket.create_connection(("127.0.0.1", port)))
    reader, writer = await asyncio.open_connection(sock=caller)
    try:
        return await reader.readline()
    finally:
        writer.transport.abort()


@real
async def test_pods_reach_beyond_the_cluster_but_not_the_machines_loopback(net: Net) -> None:
    with contextlib.ExitStack() as stack:
        address = _machine_address(net.outside.namespace)
        listener = stack.enter_context(made_in(net.outside.namespace, lambda: socket.create_server((address, 0))))
        upper = await asyncio.start_server(_upper, sock=listener)
        programs = _Programs(net.outside.namespace)
        stack.callback(programs.close)
        assert await open_egress(programs, net.network.links, SystemClock(), net.thread)
        pod = await net.pod("client")
        reader, writer = await pod.open(*listener.getsockname())
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"HELLO"
        writer.close()
        with pytest.raises((OSError, TimeoutError)):
            await pod.ask("10.0.2.2", net.api_port, 1)
        upper.close()


class _Programs:
    def __init__(self, namespace: int) -> None:
        self._namespace = namespace
        self._started: list[subprocess.Popen[bytes]] = []

    async def start(self, arguments: Sequence[str]) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._started.append(made_in(self._namespace, lambda: subprocess.Popen(arguments, **quiet)))  # type: ignore[call-overload]

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


def _machine_address(namespace: int) -> str:
    def find() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.connect(("192.0.2.1", 9))
            return str(made.getsockname()[0])

    try:
        return made_in(namespace, find)
    except OSError:
        pytest.skip("this machine has no address but loopback")


# policies


@real
async def test_the_matrix_of_policies(net: Net) -> None:
    for name, labels in (("shop", {"team": "a"}), ("lab", {"team": "b"})):
        await net.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    for name in ("shop", "lab"):
        await net.until(partial(_account, net, name))
    ports = [{"name": "http", "containerPort": 8080}]
    web = await net.pod("web", "shop", ports=ports)
    front, other = await net.pod("front", "shop"), await net.pod("other", "shop")
    tester, nosy = await net.pod("tester", "lab"), await net.pod("nosy", "lab")
    everyone = [front, other, tester, nosy]
    for pod in (web, front):
        for port in (8080, 8081, 9090):
            await pod.serve(port)

    async def reached(port: int, target: Pod = web) -> set[str]:
        answers = await asyncio.gather(*(pod.can_reach(target, port) for pod in everyone))
        return {pod.name for pod, answer in zip(everyone, answers, strict=True) if answer}

    async def settled() -> None:
        await asyncio.sleep(0)
        await net.until(lambda: _current(net))
        await net.network.policies.settled()

    assert await reached(8080) == {"front", "other", "tester", "nosy"}
    reader, writer = await nosy.open(web.address, 9090)
    assert await reader.readline() == b"web\n"
    await net.policy("deny", {"podSelector": {}, "policyTypes": ["Ingress"]}, "shop")
    await settled()
    assert await reached(8080) == set()
    writer.write(b"established")
    assert await reader.read(100) == b"ESTABLISHED"
    writer.transport.abort()
    node_reader, node_writer = await asyncio.open_connection(web.address, 8080)
    assert await node_reader.readline() == b"web\n"
    node_writer.transport.abort()

    web_only = {"podSelector": {"matchLabels": {"app": "web"}}}
    peers: list[Object] = [
        {"podSelector": {"matchLabels": {"app": "front"}}},
        {
            "namespaceSelector": {"matchLabels": {"team": "b"}},
            "podSelector": {"matchLabels": {"app": "tester"}},
        },
    ]
    await net.policy("named", {**web_only, "ingress": [{"from": peers, "ports": [{"port": "http"}]}]}, "shop")
    await settled()
    assert await reached(8080) == {"front", "tester"}
    assert await reached(8081) == set()

    block = {"ipBlock": {"cidr": "10.244.0.0/16", "except": [f"{nosy.address}/32"]}}
    ranged = [{"port": 8081, "endPort": 8090}, {"port": 8085}]
    await net.policy("block", {**web_only, "ingress": [{"from": [block], "ports": ranged}]}, "shop")
    await settled()
    assert await reached(8081) == {"front", "other", "tester"}
    assert await reached(9090) == set()

    all_of_b = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
    await net.policy("space", {**web_only, "ingress": [{"from": [all_of_b], "ports": [{"port": 9090}]}]}, "shop")
    await settled()
    assert await reached(9090) == {"tester", "nosy"}

    to_web = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "http"}]}
    await net.policy("out", {"podSelector": {"matchLabels": {"app": "front"}}, "egress": [to_web]}, "shop")
    await settled()
    assert await front.can_reach(web, 8080)
    assert not await front.can_reach(web, 8081)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(_DENIED_SECONDS):
            await _ask_dns(front, "kubernetes.default.svc.cluster.local")
    dns = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
    to_dns = {"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}
    await net.policy("dns", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [to_dns]}, "shop")
    await settled()
    assert (await _ask_dns(front, "kubernetes.default.svc.cluster.local")).rr

    late = await net.pod("late", "shop", labels={"app": "front"})
    assert await late.can_reach(web, 8080)
    assert not await late.can_reach(web, 8081)
    for name in ("deny", "named", "block", "space", "out", "dns"):
        await net.delete("networkpolicies", name, "shop")
    await settled()
    assert await reached(8080) == {"front", "other", "tester", "nosy"}


async def _account(net: Net, namespace: str) -> bool:
    resource = await net.mapper.for_name("serviceaccounts")
    return bool((await net.client.list(resource, namespace)).items)


async def _current(net: Net) -> bool:
    """The enforcer has seen every policy there is, and no other."""
    resource = await net.mapper.for_name("networkpolicies")
    live = {objects.name(item) for item in (await net.client.list(resource)).items}
    return live == {objects.name(item) for item in net.network.policies.policies.list()}
