"""One part of an instance as a child process: started, watched, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.base.clock import Clock

log = logging.getLogger(__name__)

_FIRST_DELAY, _LAST_DELAY = 0.5, 30.0
_STEADY_SECONDS = 60.0
"""A child that ran this long starts its back-off anew."""
_STOP_SECONDS = 10.0


class StartFailed(Terminal):
    reason = "StartFailed"


class Component:
    """`python -m MODULE JSON`; the child reports readiness as one line of JSON on a descriptor of its own."""

    def __init__(
        self, name: str, module: str, options: dict[str, Any], *, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self.name = name
        self.state = "stopped"
        self.reason = ""
        self.restarts = 0
        self.ready: dict[str, Any] = {}
        self._module = module
        self._options = options
        self._clock = clock
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None

    def to_json(self) -> dict[str, Any]:
        pid = self._process.pid if self._process and self.state != "stopped" else None
        return {"state": self.state, "pid": pid, "restarts": self.restarts, "reason": self.reason}

    def _set(self, state: str, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._changed()

    async def start(self) -> None:
        """Return when the child says that it is ready. Raises StartFailed with its reason."""
        self._set("starting")
        read_end, write_end = os.pipe()
        try:
            options = orjson.dumps({**self._options, "notify": write_end}).decode()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", self._module, options),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=[write_end],
                start_new_session=True,
            )
        finally:
            os.close(write_end)
        answer = await asyncio.to_thread(_read_line, read_end)
        if "error" in answer or not answer:
            code = await self._process.wait()
            text = answer.get("error") or f"{self.name} ended with exit code {code} before it was ready"
            self._set("failed", text)
            raise StartFailed(text, reason=answer.get("reason"))
        self.ready = answer
        self._options.update({key: answer[key] for key in ("port",) if key in answer})
        self._set("running")

    async def keep_running(self) -> None:
        """Restart the child whenever it ends; never returns."""
        delay = _FIRST_DELAY
        while True:
            if self._process is not None:
                began = self._clock.monotonic()
                code = await self._process.wait()
                if self._clock.monotonic() - began > _STEADY_SECONDS:
                    delay = _FIRST_DELAY
                if self.state == "running":
                    self._set("restarting", f"ended with exit code {code}")
            log.warning("component ended, restarting", extra={"component": self.name, "delay": delay})
            await self._clock.sleep(delay)
            delay = min(delay * 2, _LAST_DELAY)
            self.restarts += 1
            with contextlib.suppress(StartFailed):
                await self.start()
                log.info("component is back", extra={"component": self.name, "restarts": self.restarts})

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


def _read_line(descriptor: int) -> dict[str, Any]:
    """The child's one line; an empty dict if it closed the pipe without a word."""
    with os.fdopen(descriptor, "rb") as pipe:
        line = pipe.readline()
    return orjson.loads(line) if line else {}
