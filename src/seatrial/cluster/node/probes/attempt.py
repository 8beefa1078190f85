"""One try of a probe."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

from seatrial.base.errors import SeatrialError
from seatrial.cluster.node.probes import health, http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.cluster.node.runtime.types import Runtime
    from seatrial.kube.model.objects import Object

AGENT = "kube-probe/1.37"


class Result(NamedTuple):
    passed: bool
    message: str = ""
    warning: str = ""
    """Passed, but not as it should be."""


async def attempt(
    probe: Mapping[str, Any], container: Object, container_id: str, address: str, runtime: Runtime
) -> Result:
    """Never raises but for cancellation: what goes wrong is a failure, whose message says so."""
    seconds = max(1, int(probe.get("timeoutSeconds") or 1))
    if "exec" in probe:
        return await _command(probe["exec"].get("command") or [], container_id, runtime, seconds)
    try:
        async with asyncio.timeout(seconds):
            return await _over_network(probe, container, address)
    except TimeoutError:
        return Result(False, f"{_asked(probe, container, address)}: context deadline exceeded: none within {seconds} s")
    except (OSError, aiohttp.ClientError, ssl.SSLError, ValueError, SeatrialError) as error:
        return Result(False, f"{_asked(probe, container, address)}: {error or type(error).__name__}")


async def _over_network(probe: Mapping[str, Any], container: Object, address: str) -> Result:
    if "httpGet" in probe:
        handler = probe["httpGet"]
        return _judged(await http.get(http.target(handler, container, address), http.headers(handler, AGENT)))
    if "tcpSocket" in probe:
        handler = probe["tcpSocket"]
        port = http.port_of(container, handler["port"])
        _reader, writer = await asyncio.open_connection(handler.get("host") or address, port)
        writer.close()
        return Result(True)
    if "grpc" in probe:
        handler = probe["grpc"]
        return Result(*await health.check(address, int(handler["port"]), handler.get("service") or "", AGENT))
    return Result(False, "the probe has no handler: give it exec, httpGet, tcpSocket or grpc")


def _judged(answer: http.Answer) -> Result:
    if answer.elsewhere:
        return Result(True, warning=f"Probe terminated redirects, Response body: redirected to {answer.elsewhere}")
    if 200 <= answer.code < 400:
        return Result(True)
    return Result(False, f"HTTP probe failed with statuscode: {answer.code}")


async def _command(command: list[str], container_id: str, runtime: Runtime, seconds: int) -> Result:
    try:
        done = await runtime.run(container_id, command, timeout=seconds)
    except SeatrialError as error:
        return Result(False, error.message)
    if done.timed_out:
        return Result(False, f'command "{" ".join(command)}" timed out after {seconds}s')
    return Result(done.code == 0, done.output.decode("utf-8", "replace").strip())


def _asked(probe: Mapping[str, Any], container: Object, address: str) -> str:
    """What was tried, as the kubelet's messages begin."""
    if "httpGet" in probe:
        try:
            return f'Get "{http.target(probe["httpGet"], container, address)}"'
        except SeatrialError:
            return "Get"
    handler = probe.get("tcpSocket") or probe.get("grpc") or {}
    return f"dial tcp {handler.get('host') or address}:{handler.get('port')}"
