"""The routes of the node's server. It listens on a Unix socket of its user's alone; the API server asks for others."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from seatrial.cluster.node.server import channels, forward, logs, remotecommand, upgrade
from seatrial.cluster.node.server.conversation import Asked, converse
from seatrial.cluster.node.server.stats import Sampler
from seatrial.cluster.node.server.upgrade import WebSocketWire
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.runtime.types import Runtime, Session
    from seatrial.cluster.node.server.pods import Found, Pods
    from seatrial.cluster.node.server.upgrade import Wire


class NodeServer:
    name = "node server"

    def __init__(self, listener: socket.socket, pods: Pods, runtime: Runtime, clock: Clock, node: str) -> None:
        self._listener = listener
        self._pods = pods
        self._runtime = runtime
        self._clock = clock
        self._sampler = Sampler(pods, runtime, clock, node)

    async def run(self) -> None:
        """Until cancelled."""
        app = web.Application(middlewares=[_explained])
        container = "{namespace}/{pod}/{container}"
        app.router.add_get(f"/containerLogs/{container}", self._log)
        app.router.add_route("*", f"/exec/{container}", self._exec)
        app.router.add_route("*", f"/attach/{container}", self._attach)
        app.router.add_route("*", "/portForward/{namespace}/{pod}", self._forward)
        app.router.add_get("/stats/summary", self._summary)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        try:
            await web.SockSite(runner, self._listener).start()
            await self._sampler.run()
        finally:
            await runner.cleanup()

    async def _log(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request, previous=request.query.get("previous") in ("true", "1"))
        try:
            wish = logs.Wish.of(request.query, self._clock.time())
        except (ValueError, KeyError) as error:
            raise StatusError(400, "BadRequest", f"a parameter that cannot be read: {error}") from None
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        async for piece in logs.read(found.log_path, wish, self._clock, lambda: self._runs(request, found)):
            await answer.write(piece)
        return answer

    def _runs(self, request: web.Request, found: Found) -> bool:
        """Whether that very container still writes."""
        try:
            now = self._find(request)
        except StatusError:
            return False
        return now.is_running and now.container_id == found.container_id

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        found, asked = self._running(request), _asked(request, attach=False)
        command = request.query.getall("command", [])

        def begin() -> Awaitable[Session]:
            return self._runtime.execute(found.container_id, command, tty=asked.tty, stdin=asked.stdin)

        return await _converse(request, begin, asked)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        found, asked = self._running(request), _asked(request, attach=True)
        return await _converse(request, lambda: self._runtime.attach(found.container_id, stdin=asked.stdin), asked)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        pid = self._pods.sandbox(request.match_info["namespace"], request.match_info["pod"])
        if upgrade.is_spdy(request):
            return await upgrade.raw(request, forward.PROTOCOL, lambda wire: forward.Forwarder(wire, pid).run())
        socket = await upgrade.websocket(request, (forward.TUNNELLED,))
        await forward.Forwarder(WebSocketWire(socket), pid).run()
        return socket

    async def _summary(self, _request: web.Request) -> web.Response:
        return web.json_response(self._sampler.summary())

    def _find(self, request: web.Request, *, previous: bool = False) -> Found:
        named = request.match_info
        return self._pods.find(named["namespace"], named["pod"], named["container"], previous=previous)

    def _running(self, request: web.Request) -> Found:
        found = self._find(request)
        if not found.is_running:
            raise StatusError(500, "InternalError", f'container not found ("{request.match_info["container"]}")')
        return found


async def _converse(request: web.Request, begin: Callable[[], Awaitable[Session]], asked: Asked) -> web.StreamResponse:
    async def over_spdy(wire: Wire) -> None:
        with contextlib.suppress(TimeoutError):  # a client that opens no streams
            async with remotecommand.SpdyPeer(wire, asked) as peer:
                await converse(peer, begin(), asked)

    if upgrade.is_spdy(request):
        return await upgrade.raw(request, remotecommand.PROTOCOL, over_spdy)
    socket = await upgrade.websocket(request, channels.PROTOCOLS)
    await converse(channels.WebSocketPeer(socket), begin(), asked)
    await socket.close()
    return socket


def _asked(request: web.Request, *, attach: bool) -> Asked:
    named = {name: request.query.get(name) in ("true", "1") for name in ("stdin", "stdout", "stderr", "tty")}
    return Asked(**named, attach=attach)


@web.middleware
async def _explained(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except StatusError as error:
        return web.Response(status=error.code, text=error.message)
