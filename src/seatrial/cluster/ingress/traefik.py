"""Keeps the ingress proxy running: started with the machine's sockets, again when it ends, stopped with the node.

The listening sockets stay ours: while the proxy is started anew, connections wait in them and none is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

import aiohttp

from seatrial.base.errors import Terminal
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.ingress import fallback
from seatrial.cluster.ingress.account import Account
from seatrial.cluster.ingress.command import Advertised, command

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.runtime.processes import End, Processes
    from seatrial.kube.client.client import Client

log = logging.getLogger(__name__)

_FIRST_DESCRIPTOR = 3
_LOOPBACK = "127.0.0.80"
"""Where it answers about itself: of the node's network namespace, out of reach of pods and of the machine."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_GOOD_SECONDS = 30.0
"""Having run for so long, it is started anew without a pause."""
_STOP_SECONDS = 5.0
_STEP = 0.02
_LONGEST_LINE = 64 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=2)
_LEVELS = {"debug": logging.DEBUG, "info": logging.DEBUG, "warn": logging.INFO}


class Ingress:
    name = "ingress proxy"

    def __init__(
        self,
        program: str,
        directory: Path,
        processes: Processes,
        client: Client,
        clock: Clock,
        *,
        server: str,
        ca: str,
        listeners: tuple[socket.socket, socket.socket],
        advertised: Advertised,
    ) -> None:
        """`program`: `command.find`. `directory`: for its credentials. `client`: may ask for a token of its account.

        `server` and `ca` (PEM): the API server as reached from the node's network namespace. `listeners`: they listen
        in the machine's network, for plain and for TLS requests; the caller closes them.
        """
        self._program = program
        self._directory = directory
        self._processes = processes
        self._clock = clock
        self._account = Account(client, clock, directory, server, ca)
        self._listeners = listeners
        self._advertised = advertised
        self._session: aiohttp.ClientSession | None = None
        self.is_running = False

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        self._settings = await asyncio.to_thread(fallback.write, self._directory, self._clock)
        renewal = await self._account.prepare()
        with socket.create_server((_LOOPBACK, 0)) as own:
            address = f"http://{_LOOPBACK}:{own.getsockname()[1]}"
            async with TaskGroup() as tasks, aiohttp.ClientSession(address, timeout=_TIMEOUT) as self._session:
                tasks.start("ingress proxy's token", self._account.keep(renewal))
                try:
                    await self._keep_running([*self._listeners, own])
                finally:
                    self._session = None
                    await tasks.close()

    async def _keep_running(self, listeners: list[socket.socket]) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            begun = self._clock.monotonic()
            why = await self._run_once(listeners)
            pause = _SHORTEST_PAUSE if self._clock.monotonic() - begun > _GOOD_SECONDS else pause
            log.warning("the ingress proxy ended and is started anew", extra={"why": why, "seconds": pause})
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _run_once(self, listeners: list[socket.socket]) -> str:
        """Why it ended."""
        read, write = os.pipe()
        descriptors = {_FIRST_DESCRIPTOR + n: item.fileno() for n, item in enumerate(listeners)}
        try:
            mark = self._processes.mark()
            arguments = command(self._program, self._account.kubeconfig, self._settings, self._advertised)
            pid = self._processes.spawn(arguments, {1: write, 2: write, **descriptors})
        except OSError as error:
            os.close(read)
            return str(error)
        finally:
            os.close(write)
        ended = self._processes.ended(pid, since=mark)
        reading = asyncio.create_task(_log_lines(read))
        self.is_running = True
        try:
            end = await asyncio.shield(ended)
            return f"signal {end.signal}" if end.signal else f"exit code {end.code}"
        finally:
            self.is_running = False
            if not ended.done():
                await self._stop(pid, ended)
            await reading

    async def _stop(self, pid: int, ended: asyncio.Future[End]) -> None:
        os.kill(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await asyncio.shield(ended)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            await ended

    # asking it

    async def answers(self, timeout: float = 10.0) -> None:
        """Return once it runs and takes requests. Raises Terminal."""
        try:
            async with asyncio.timeout(timeout):
                while not await self._is_up():
                    await self._clock.sleep(_STEP)
        except TimeoutError as error:
            raise Terminal(f"the ingress proxy did not answer within {timeout:g} s: its log says why") from error

    async def _is_up(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError):
            await self._ask("/api/overview")
            return True
        return False

    async def services(self) -> dict[str, Any]:
        """Its services as they are in force, by name. Raises OSError, TimeoutError, aiohttp.ClientError."""
        found: dict[str, Any] = (await self._ask("/api/rawdata")).get("services") or {}
        return found

    async def _ask(self, path: str) -> dict[str, Any]:
        if self._session is None:
            raise ConnectionError("the ingress proxy is not running")
        async with self._session.get(path) as answer:
            answer.raise_for_status()
            told: dict[str, Any] = await answer.json()
            return told


async def _log_lines(descriptor: int) -> None:
    """What it says becomes lines of our own log, until it has ended."""
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    file = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # longer than any line of use
                continue
            if not line:
                return
            level, text = _read_line(line)
            log.log(level, "ingress proxy", extra={"said": text})
    finally:
        transport.close()


def _read_line(line: bytes) -> tuple[int, str]:
    text = line.decode(errors="replace").strip()
    try:
        said = json.loads(text)
        level = _LEVELS.get(said.pop("level", ""), logging.WARNING)
        said.pop("time", None)
    except (ValueError, AttributeError, TypeError):
        return logging.WARNING, text
    return level, " ".join(f"{key}={value}" if key != "message" else str(value) for key, value in said.items())
