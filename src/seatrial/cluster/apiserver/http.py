"""The HTTPS listener: uvicorn with our TLS, on a socket that is already open.

Client certificates are optional and verified by TLS against the cluster's CA; `app` reads who they name.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from seatrial.cluster.apiserver import tunnel
from seatrial.cluster.apiserver.app import PEER_CERTIFICATE, TUNNEL

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from seatrial.base.clock import Clock
    from seatrial.cluster.apiserver.answer import Tunnel
    from seatrial.cluster.apiserver.app import App
    from seatrial.cluster.pki import Authority

_KEEP_ALIVE_SECONDS = 120
_REQUEST_SECONDS = 75.0
"""From a request's first byte to its last: more than `app` allows a body, so that it answers before this cuts."""
_HEAD_BYTES = 256 * 1024
"""Of a request's head, or of whatever else the parser takes in without telling: trailers, chunk extensions."""
_BACKLOG = 1024
_STOP_SECONDS = 1.0
"""How long requests may go on at a stop; watches end by themselves when the store closes."""
_FLUSH_SECONDS, _FLUSH_STEPS = 0.2, 20
"""How long a client may take to read the last of its answer then."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Protocol(HttpToolsProtocol):
    """Hands the client certificate to the application; bounds how much a client sends, and how slowly."""

    _extensions: dict[str, Any]
    _untold = 0
    """Bytes since the parser last had anything to tell."""
    _in_message = False
    _cutter: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(True) if tls is not None else None
        self._extensions = {TUNNEL: self._hand_over}
        if certificate:
            self._extensions[PEER_CERTIFICATE] = certificate
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._untold += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._untold > _HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._cutter is None and (self._in_message or self._untold):
            self._expect()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_message = True
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        self._untold = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        self._in_message = False
        self._expect_nothing()
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """`kubectl exec` asks for an upgrade; the answer tells who asked, and the log has nothing to add."""

    async def _hand_over(self, wanted: Tunnel) -> None:
        """This connection is HTTP's no longer. Raises OSError if nobody takes it."""
        connections = self.connections
        end: tunnel.End | None = None

        def gone() -> None:
            connections.discard(end)

        end = await tunnel.open_tunnel(self.transport, wanted.socket, wanted.head, gone)
        self._expect_nothing()
        self.connections.discard(self)
        self.connections.add(end)  # type: ignore[arg-type]
        self.cycle.disconnected = True  # it will not answer

    def _expect(self) -> None:
        """The rest of a request by its deadline, or the connection is cut."""
        self._cutter = self.loop.call_later(_REQUEST_SECONDS, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._cutter is not None:
            self._cutter.cancel()
            self._cutter = None


class Listener(uvicorn.Server):
    """`serve(sockets=[...])` until `end`. Leaves signals to the process that owns it."""

    def __init__(self, config: uvicorn.Config, clock: Clock) -> None:
        super().__init__(config)
        self._clock = clock
        self._ended = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Return when nothing listens any more and every connection is closed."""
        self.should_exit = True
        if self.started:
            await self._ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was asked, for a moment; then cut. uvicorn's own would wait for clients to hang up."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_STOP_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        await self._hang_up()
        for server in self.servers:
            await server.wait_closed()

    async def _hang_up(self) -> None:
        """Let what is written go out, then close for good."""
        for _ in range(_FLUSH_STEPS):
            if not self.server_state.connections:
                return
            await self._clock.sleep(_FLUSH_SECONDS / _FLUSH_STEPS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._clock.sleep(0)


def tls_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(authority.serving_cert, authority.serving_key)
    context.load_verify_locations(authority.ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def listener(app: App, authority: Authority, clock: Clock) -> Listener:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        loop="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        backlog=_BACKLOG,
        ssl_context_factory=lambda _config, _default: tls_context(authority),
    )
    return Listener(config, clock)


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
