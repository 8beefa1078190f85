"""The routes of the node's server. It listens on a Unix socket of its user's alone; the API server asks for others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from seatrial.base.errors import SeatrialError
from seatrial.cluster.node.server import channels, forward, logs
from seatrial.cluster.node.server.stats import Sampler
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.runtime.types import Runtime, Session
    from seatrial.cluster.node.server.pods import Found, Pods

_OLD_CLIENT = "only upgrades to WebSocket are served here: use kubectl 1.31 or later"


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
        found, flags = self._running(request), request.query
        command, tty, stdin = flags.getall("command", []), _flag(flags, "tty"), _flag(flags, "stdin")
        return await self._converse(request, self._runtime.execute(found.container_id, command, tty=tty, stdin=stdin))

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        found = self._running(request)
        return await self._converse(
            request, self._runtime.attach(found.container_id, stdin=_flag(request.query, "stdin"))
        )

    async def _converse(self, request: web.Request, beginning: Awaitable[Session]) -> web.StreamResponse:
        begun = asyncio.ensure_future(beginning)
        try:
            socket = await _upgraded(request, channels.PROTOCOLS)
            try:
                session = await begun
            except SeatrialError as error:
                await channels.refuse(socket, error)
            else:
                await channels.converse(socket, session)
            await socket.close()
            return socket
        finally:
            if not begun.done():
                begun.cancel()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        pid = self._pods.sandbox(request.match_info["namespace"], request.match_info["pod"])
        socket = await _upgraded(request, (forward.PROTOCOL,))
        await forward.Forwarder(socket, pid).run()
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


def _flag(query: Any, name: str) -> bool:
    return query.get(name) in ("true", "1")


async def _upgraded(request: web.Request, protocols: tuple[str, ...]) -> web.WebSocketResponse:
    """Raises StatusError."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise StatusError(400, "BadRequest", _OLD_CLIENT)
    offered = {word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",")}
    if not offered & set(protocols):
        raise StatusError(400, "BadRequest", f"one of the protocols {', '.join(protocols)} is spoken here")
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=0, autoping=True, compress=False)
    await socket.prepare(request)
    return socket


@web.middleware
async def _explained(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except StatusError as error:
        return web.Response(status=error.code, text=error.message)
