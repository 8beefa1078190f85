"""The listener: POST /api/webhook. It answers as soon as an event is believed; what follows is the caller's."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

from aiohttp import web

from seatrial.gitops.api.settings import WebhookSecrets
from seatrial.gitops.webhook import senders
from seatrial.gitops.webhook.push import WebhookRefused, WebhookUnproven

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.gitops.webhook.push import Push

log = logging.getLogger(__name__)

PATH = "/api/webhook"
_READ_SECONDS = 30.0
_MOST_AT_ONCE = 16
"""Payloads held in memory together."""


class WebhookServer:
    """`received` is called for each push, in the loop; it must not block. Secrets are asked for at each event."""

    def __init__(
        self,
        received: Callable[[Push], None],
        secrets: Callable[[], WebhookSecrets] = WebhookSecrets,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limit: int = senders.LARGEST_PAYLOAD,
    ) -> None:
        self._received = received
        self._secrets = secrets
        self._host = host
        self._limit = limit
        self._slots = asyncio.Semaphore(_MOST_AT_ONCE)
        self._runner: web.AppRunner | None = None
        self.port = port

    def application(self) -> web.Application:
        """For whoever serves it beside other paths."""
        made = web.Application(client_max_size=self._limit)
        made.router.add_post(PATH, self.handle)
        return made

    async def handle(self, request: web.Request) -> web.Response:
        async with self._slots:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    body = await request.read()
            except TimeoutError:
                return web.Response(status=408, text="the payload did not arrive\n")
            try:
                pushes = senders.parse(dict(request.headers), body, self._secrets())
            except WebhookUnproven as error:
                log.warning("a webhook is not proven", extra={"remote": request.remote, "error": error.message})
                return web.Response(status=401, text=f"{error.message}\n")
            except WebhookRefused as error:
                log.info("a webhook is refused", extra={"remote": request.remote, "error": error.message})
                return web.Response(status=400, text=f"{error.message}\n")
        for push in pushes:
            log.info("pushed", extra={"repository": push.urls[0] if push.urls else "", "ref": push.ref})
            self._received(push)
        return web.Response(text="received\n" if pushes else "nothing was pushed\n")

    async def start(self) -> None:
        """`port` is the real one afterwards. Raises OSError."""
        runner = web.AppRunner(self.application(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
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
