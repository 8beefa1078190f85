"""Lifecycle hooks: what a container is asked to do after it starts and before it is stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from seatrial.base.errors import SeatrialError, Terminal
from seatrial.cluster.node.probes import http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.runtime.types import Runtime
    from seatrial.kube.model.objects import Object

_AGENT = "kube-lifecycle/1.37"


class HookFailed(Terminal):
    reason = "HookFailed"


async def run_hook(
    handler: Mapping[str, Any],
    *,
    runtime: Runtime,
    container_id: str,
    address: str,
    container: Object,
    timeout: float,
    clock: Clock,
) -> None:
    """Return when the hook has done its work. Raises HookFailed."""
    try:
        async with asyncio.timeout(timeout):
            await _run(handler, runtime, container_id, address, container, timeout, clock)
    except TimeoutError:
        raise HookFailed(f"{_kind(handler)} hook did not end within {timeout:.0f} s") from None
    except HookFailed:
        raise
    except (OSError, aiohttp.ClientError, ValueError, SeatrialError) as error:
        raise HookFailed(f"{_kind(handler)} hook failed: {error or type(error).__name__}") from error


async def _run(
    handler: Mapping[str, Any],
    runtime: Runtime,
    container_id: str,
    address: str,
    container: Object,
    timeout: float,
    clock: Clock,
) -> None:
    if "sleep" in handler:
        await clock.sleep(float(handler["sleep"].get("seconds") or 0))
    elif "exec" in handler:
        await _command(handler["exec"].get("command") or [], runtime, container_id, timeout)
    elif "httpGet" in handler:
        asked = handler["httpGet"]
        answer = await http.get(http.target(asked, container, address), http.headers(asked, _AGENT))
        if answer.code >= 400:
            raise HookFailed(f"httpGet hook failed: status code {answer.code}")
    else:
        raise HookFailed(f"a {_kind(handler)} hook is not supported: use exec, httpGet or sleep")


async def _command(command: list[str], runtime: Runtime, container_id: str, timeout: float) -> None:
    try:
        done = await runtime.run(container_id, command, timeout=timeout)
    except SeatrialError as error:
        raise HookFailed(f"exec hook failed: {error.message}") from error
    if done.timed_out or done.code != 0:
        said = done.output.decode("utf-8", "replace").strip()
        how = f"did not end within {timeout:.0f} s" if done.timed_out else f"exited with {done.code}"
        raise HookFailed(f"Exec lifecycle hook ([{' '.join(command)}]) {how}, message: {said!r}")


def _kind(handler: Mapping[str, Any]) -> str:
    return next(iter(handler), "empty")
