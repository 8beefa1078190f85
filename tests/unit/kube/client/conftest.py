"""A tiny HTTP server on a free port, answering as each test says."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    client: str = ""
    """The name in the client's certificate."""


@dataclass
class Server:
    url: str = ""
    handler: Handler | None = None
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.method, request.raw_path, headers, await request.read(), _client(request))
        self.asked.append(asked)
        assert self.handler is not None
        return await self.handler(request)


def _client(request: web.Request) -> str:
    certificate = request.get_extra_info("peercert") or {}
    return ",".join(value for part in certificate.get("subject", ()) for _, value in part)


async def _serve(server: Server, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    return runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    runner = await _serve(made)
    yield made
    await runner.cleanup()


@dataclass
class Certificates:
    """One authority; a certificate for 127.0.0.1 and one for the user `alice`. All PEM."""

    ca: str
    server: str
    server_key: str
    alice: str
    alice_key: str


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _sign(subject: str, key: ec.EllipticCurvePrivateKey, authority: ec.EllipticCurvePrivateKey, *, ca: bool) -> str:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("test CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    authority, server, alice = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    return Certificates(
        ca=_sign("test CA", authority, authority, ca=True),
        server=_sign("127.0.0.1", server, authority, ca=False),
        server_key=_pem(server),
        alice=_sign("alice", alice, authority, ca=False),
        alice_key=_pem(alice),
    )


@pytest.fixture
async def tls_server(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Server]:
    """Takes client certificates of the authority, and clients without."""
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    certificate.write_text(certificates.server)
    key.write_text(certificates.server_key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=certificates.ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_cert_chain(certificate, key)
    made = Server()
    runner = await _serve(made, tls)
    yield made
    await runner.cleanup()
