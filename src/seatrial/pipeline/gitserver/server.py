"""The listener: `/git/<name>.git/...` for git clients, and whatever paths others add, behind one set of tokens."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

from aiohttp import web

from seatrial.pipeline.gitserver.backend import SERVICES, Backend, Call
from seatrial.pipeline.gitserver.repositories import UnknownRepository
from seatrial.pipeline.gitserver.tokens import Visitor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from seatrial.pipeline.gitserver.repositories import Push, Repositories
    from seatrial.pipeline.gitserver.tokens import Tokens

log = logging.getLogger(__name__)

PREFIX = "/git"
_VISITOR = web.RequestKey("visitor", Visitor)
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="seatrial", charset="UTF-8"'}
_STOP_SECONDS = 2.0


class GitServer:
    """`on_push` is called in the loop for each ref that moved, before the pusher hears of it; it must not block."""

    def __init__(
        self, repositories: Repositories, tokens: Tokens, on_push: Callable[[Push], None], *,
        host: str = "127.0.0.1", port: int = 0, routes: Iterable[web.RouteDef] = (),
    ) -> None:  # fmt: skip
        self.repositories = repositories
        self.tokens = tokens
        self.host = host
        self.port = port
        self._backend = Backend(repositories, on_push)
        self._routes = list(routes)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def clone_url(self, name: str) -> str:
        return f"{self.url}{PREFIX}/{name}.git"

    async def start(self) -> None:
        """`port` is the real one afterwards. Raises OSError."""
        self.repositories.prepare()
        application = web.Application(middlewares=[self._admit])
        application.router.add_get(f"{PREFIX}/{{name}}.git/info/refs", self._advertise)
        application.router.add_post(f"{PREFIX}/{{name}}.git/{{service}}", self._call)
        application.router.add_routes(self._routes)
        # git inflates what it is sent; doing it here would lie about the length.
        runner = web.AppRunner(application, access_log=None, auto_decompress=False, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    @web.middleware
    async def _admit(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        visitor = self.tokens.visitor(request.headers.get("Authorization", ""))
        if visitor is None:
            return web.Response(status=401, headers=_CHALLENGE, text="a token is needed\n")
        request[_VISITOR] = visitor
        return await handler(request)

    async def _advertise(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.query.get("service", ""), advertises=True)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.match_info["service"], advertises=False)

    async def _serve(self, request: web.Request, service: str, *, advertises: bool) -> web.StreamResponse:
        visitor = request[_VISITOR]
        name = request.match_info["name"]
        if service not in SERVICES:
            return web.Response(status=403, text="only smart HTTP is spoken here: use a git of this century\n")
        if not advertises and request.content_type != f"application/x-{service}-request":
            return web.Response(status=415, text=f"expected application/x-{service}-request\n")
        try:
            if not visitor.may_see(name):
                raise UnknownRepository(f"there is no repository '{name}' for this token")
            if advertises and service == "git-receive-pack" and visitor.may_create:
                await asyncio.to_thread(self.repositories.ensure, name)
            return await self._backend.serve(request, Call(name, service, advertises, visitor.name))
        except UnknownRepository as error:
            return web.Response(status=404, text=f"{error.message}\n")
        except ConnectionError:
            log.debug("a git client went away", extra={"repository": name})
            raise


def visitor_of(request: web.Request) -> Visitor:
    """Who sent this request, for the handlers of added routes."""
    return request[_VISITOR]
