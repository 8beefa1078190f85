"""One part of an instance as a child process: started, watched, restarted with back-off, stopped.

The child is `python -m MODULE OPTIONS-AS-JSON`. It reports on a descriptor of its own (option `notify`), one JSON
object a line: first what it has to say when it is ready (`port` is kept for its next start) or `{"error", "reason"}`,
then `{"degraded"}` whenever it works only in part.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.base.clock import Clock

log = logging.getLogger(__name__)

FIRST_DELAY, LAST_DELAY = 0.5, 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long starts its back-off anew."""
_STOP_SECONDS = 10.0


class StartFailed(Terminal):
    reason = "StartFailed"


class Component:
    def __init__(
        self, name: str, module: str, options: dict[str, Any], *, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self.name = name
        self.state = "stopped"
        self.reason = ""
        self.restarts = 0
        self.ready: dict[str, Any] = {}
        """What the child said of itself when it was ready."""
        self.options = options
        self._module = module
        self._clock = clock
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._reports: asyncio.StreamReader | None = None

    def to_json(self) -> dict[str, Any]:
        alive = self._process is not None and self._process.returncode is None
        pid = self._process.pid if self._process is not None and alive else None
        return {"state": self.state, "pid": pid, "restarts": self.restarts, "reason": self.reason}

    def _set(self, state: str, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._changed()

    async def start(self) -> None:
        """Return when the child says that it is ready. Raises StartFailed with its reason."""
        self._set("starting", self.reason)
        try:
            self._process = await self._spawn()
        except OSError as error:
            raise StartFailed(f"{self.name} cannot be started: {error.strerror}") from error
        answer = await self._report()
        if not answer or "error" in answer:
            code = await self._process.wait()
            text = answer.get("error") or f"{self.name} {_ended(code)} before it was ready: see the log"
            raise StartFailed(text, reason=answer.get("reason"))
        self.ready = answer
        if "port" in answer:
            self.options["port"] = answer["port"]
        self._set("running")

    async def _spawn(self) -> asyncio.subprocess.Process:
        read_end, write_end = os.pipe()
        self._reports = reports = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reports)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(read_end, "rb", 0))
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._module),
                orjson.dumps({**self.options, "notify": write_end}).decode(),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=[write_end],
                start_new_session=True,
            )
        finally:
            os.close(write_end)

    async def _report(self) -> dict[str, Any]:
        """What the child says next; an empty dict when it says no more."""
        line = await self._reports.readline() if self._reports is not None else b""
        return orjson.loads(line) if line else {}

    async def run(self) -> None:
        """Start the child, however often that takes, and keep it running; never returns."""
        try:
            await self.start()
        except StartFailed as error:
            self._set("restarting", error.message)
        await self.keep_running()

    async def keep_running(self) -> None:
        """Restart the child whenever it ends; never returns."""
        delay = FIRST_DELAY
        while True:
            began = self._clock.monotonic()
            await self._watch()
            if self._clock.monotonic() - began > STEADY_SECONDS:
                delay = FIRST_DELAY
            delay = await self._restart(delay)

    async def _watch(self) -> None:
        """Return when the child has ended."""
        while report := await self._report():
            if reason := report.get("degraded"):
                log.warning("component works only in part", extra={"component": self.name, "why": reason})
                self._set("degraded", reason)
        if self._process is not None:
            code = await self._process.wait()
            self._set("restarting", self.reason or _ended(code))

    async def _restart(self, delay: float) -> float:
        """Start it again, as often as it takes; the delay to begin with next time."""
        while True:
            log.warning(
                "component ended, restarting", extra={"component": self.name, "why": self.reason, "delay": delay}
            )
            await self._clock.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)
            self.restarts += 1
            try:
                await self.start()
            except StartFailed as error:
                self._set("restarting", error.message)
            else:
                log.info("component is back", extra={"component": self.name, "restarts": self.restarts})
                return delay

    async def stop(self) -> None:
        """Ask, wait, insist."""
        process, self.state = self._process, "stopped"
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            log.warning("component does not stop, killing it", extra={"component": self.name})
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
