"""The HTTPS listener: uvicorn with our TLS, on a socket that is already open.

Client certificates are optional and verified by TLS against the cluster's CA; `app` reads who they name.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from seatrial.cluster.apiserver.app import PEER_CERTIFICATE

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Iterator

    from seatrial.cluster.apiserver.app import App
    from seatrial.cluster.pki import Authority

_KEEP_ALIVE_SECONDS = 120
_BACKLOG = 1024
_STOP_SECONDS = 1
"""Watches never end by themselves: at a stop they are cut after this long."""


class _Protocol(HttpToolsProtocol):
    """Hands the connection's client certificate to the application."""

    _extensions: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(True) if tls is not None else None
        self._extensions = {PEER_CERTIFICATE: certificate} if certificate else {}

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions


class Listener(uvicorn.Server):
    """`serve(sockets=[...])` until `should_exit`. Leaves signals to the process that owns it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def tls_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(authority.serving_cert, authority.serving_key)
    context.load_verify_locations(authority.ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def listener(app: App, authority: Authority) -> Listener:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        loop="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        backlog=_BACKLOG,
        ssl_context_factory=lambda _config, _default: tls_context(authority),
    )
    return Listener(config)


def open_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket: two that are only bound could have the same port. Raises OSError (EADDRINUSE, EACCES)."""
    import socket as sockets

    family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
    bound = sockets.socket(family, sockets.SOCK_STREAM)
    try:
        bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound
