"""One request of a git client: `git http-backend` by CGI, with bodies that stream both ways.

What reaches the program's environment is made here from checked parts, never copied from the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from seatrial.pipeline.gitserver.repositories import Push, Repositories

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_PIECE = 1 << 16
_LONGEST_HEAD = 1 << 16
_IDLE_SECONDS = 300.0
"""A client that neither sends nor takes anything for so long keeps its place no longer."""
_PROTOCOL = re.compile(r"[A-Za-z0-9=:._-]{1,200}")
_LINE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) (refs/.+)")
_ENCODINGS = ("gzip", "x-gzip")
SERVICES = ("git-upload-pack", "git-receive-pack")


@dataclass(frozen=True, slots=True)
class Call:
    """`service` is one of SERVICES; `advertises`: GET info/refs, else POST."""

    repository: str
    service: str
    advertises: bool
    user: str


class Backend:
    def __init__(self, repositories: Repositories, on_push: Callable[[Push], None], *, parallel: int = 16) -> None:
        self._repositories = repositories
        self._on_push = on_push
        self._slots = asyncio.Semaphore(parallel)

    async def serve(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Raises UnknownRepository, OSError."""
        place = self._repositories.path(call.repository)
        async with self._slots:
            with tempfile.NamedTemporaryFile(prefix="seatrial-push-") as pushed:
                environment = self._environment(request, call, place, pushed.name)
                try:
                    return await _Run(request, environment).answer(lambda: self._tell(call, pushed.name))
                finally:
                    self._tell(call, pushed.name)  # also of one whose client went away

    def _tell(self, call: Call, pushed: str) -> None:
        """What post-receive wrote, once."""
        if call.advertises or call.service != "git-receive-pack":
            return
        with open(pushed, "r+", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
            file.truncate(0)
        for line in lines:
            if (found := _LINE.fullmatch(line)) is not None:
                self._on_push(Push(call.repository, found[3], found[1], found[2], call.user))

    def _environment(self, request: web.Request, call: Call, place: Path, pushed: str) -> dict[str, str]:
        tail = "info/refs" if call.advertises else call.service
        made = {
            **self._repositories.environment(),
            "GIT_PROJECT_ROOT": str(self._repositories.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REQUEST_METHOD": "GET" if call.advertises else "POST",
            "PATH_INFO": f"/{place.name}/{tail}",
            "QUERY_STRING": f"service={call.service}" if call.advertises else "",
            "REMOTE_USER": call.user,
            "REMOTE_ADDR": request.remote or "",
            "GIT_COMMITTER_NAME": call.user,
            "GIT_COMMITTER_EMAIL": f"{call.user}@seatrial.invalid",
            "SEATRIAL_PUSHED": pushed,
        }
        if not call.advertises:
            made["CONTENT_TYPE"] = f"application/x-{call.service}-request"
            if request.content_length is not None:
                made["CONTENT_LENGTH"] = str(request.content_length)
        if request.headers.get("Content-Encoding", "").lower() in _ENCODINGS:
            made["HTTP_CONTENT_ENCODING"] = "gzip"
        protocol = request.headers.get("Git-Protocol", "")
        if _PROTOCOL.fullmatch(protocol):
            made["GIT_PROTOCOL"] = protocol
        return made


class _Run:
    def __init__(self, request: web.Request, environment: Mapping[str, str]) -> None:
        self._request = request
        self._environment = environment

    async def answer(self, ended: Callable[[], None]) -> web.StreamResponse:
        """`ended` is called when git is through, before the client hears of it."""
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", cwd="/", env=self._environment, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=_LONGEST_HEAD,
        )  # fmt: skip
        feeding = asyncio.create_task(self._feed(process))
        try:
            assert process.stdout is not None
            status, headers = await _head(process.stdout)
            if not headers:
                return web.Response(status=500, text="git failed\n")
            response = web.StreamResponse(status=status, headers=headers)
            await response.prepare(self._request)
            while piece := await process.stdout.read(_PIECE):
                async with asyncio.timeout(_IDLE_SECONDS):
                    await response.write(piece)
            await process.wait()
            ended()
            await response.write_eof()
            return response
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await _end(process)

    async def _feed(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):  # git may answer before it has read everything
            while piece := await self._piece(process):
                process.stdin.write(piece)
                await process.stdin.drain()
            process.stdin.close()

    async def _piece(self, process: asyncio.subprocess.Process) -> bytes:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                return await self._request.content.read(_PIECE)
        except (ConnectionError, TimeoutError, web.HTTPException, aiohttp.ClientError):
            _kill(process)  # the client is gone, and git would wait for it
            raise ConnectionResetError from None


async def _head(stream: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """(status, headers) of a CGI answer; no headers if there is none."""
    try:
        raw = await stream.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return 500, {}
    status, headers = 200, {}
    for line in raw.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            continue
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()
    return status, headers or {"Content-Type": "text/plain"}


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    """With everything it started."""
    if process.returncode is None:
        _kill(process)
        await process.wait()
    if process.stdin is not None:
        process.stdin.close()
        with contextlib.suppress(ConnectionError):
            await process.stdin.wait_closed()
