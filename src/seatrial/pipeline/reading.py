"""The logs of runs over HTTP, also while they grow: `GET /runs/<name>/log[?attempt=N&follow=1]`."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aiohttp import web

from seatrial.pipeline.gitserver.server import visitor_of

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.pipeline.api.run import PipelineRun
    from seatrial.pipeline.controller import RunController
    from seatrial.pipeline.workflow.logs import Shelf

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?")
_PIECE = 1 << 16
_LOOK_SECONDS = 0.1


class Reading:
    controller: RunController

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/runs/{name}/log", self._log)]

    async def _log(self, request: web.Request) -> web.StreamResponse:
        run = self._run(request)
        if run is None or not visitor_of(request).may_see(run.repository):
            return web.Response(status=404, text="there is no such run\n")
        wanted = request.query.get("attempt", "")
        attempt = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 7 else run.attempt
        path = self._shelf.log(run.name, attempt)
        follows = request.query.get("follow") == "1"
        if not follows and not path.is_file():
            return web.Response(text="")
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        await self._send(response, path, run.name, attempt, follows)
        await response.write_eof()
        return response

    async def _send(self, response: web.StreamResponse, path: Path, name: str, attempt: int, follows: bool) -> None:
        place = 0
        while True:
            over = not follows or self.controller.is_over(name, attempt)  # asked first: what comes before is read below
            while piece := await asyncio.to_thread(_read, path, place):
                place += len(piece)
                await response.write(piece)
            if over:
                return
            await self._clock.sleep(_LOOK_SECONDS)

    def _run(self, request: web.Request) -> PipelineRun | None:
        name = request.match_info["name"]
        if not _NAME.fullmatch(name):
            return None
        return next((run for run in self.controller.runs() if run.name == name), None)


def _read(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(_PIECE)
    except FileNotFoundError:
        return b""
