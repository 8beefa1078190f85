"""Bearer tokens: fixed, from a file that is rotated, or from an exec plugin.

`http.py` asks for the token before each request and says when the server refused it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from seatrial.base.clock import parse_time
from seatrial.base.errors import Retryable

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.kube.client.connection import Connection, ExecPlugin

REREAD_SECONDS = 60.0
"""Projected service account tokens are renewed long before they end; once a minute is often enough."""
EXPIRY_MARGIN = 10.0
PLUGIN_SECONDS = 60.0


class CredentialError(Retryable):
    """There is no token to send: the file cannot be read, or the plugin failed."""

    reason = "CredentialUnavailable"


class Token(Protocol):
    async def get(self) -> str:
        """The token to send ("": none). Raises CredentialError."""

    def refused(self) -> bool:
        """The server answered 401: forget the token; True if another try may bring a new one."""


def token_of(connection: Connection, clock: Clock) -> Token:
    """As kubectl does: a file before a literal token, a plugin only without either."""
    if connection.token_file is not None:
        return FileToken(connection.token_file, clock)
    if connection.exec is not None and not connection.token:
        return PluginToken(connection.exec, clock)
    return FixedToken(connection.token)


class FixedToken:
    def __init__(self, token: str) -> None:
        self._token = token

    async def get(self) -> str:
        return self._token

    def refused(self) -> bool:
        return False


class FileToken:
    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._token = ""
        self._until = float("-inf")

    async def get(self) -> str:
        if self._clock.monotonic() >= self._until:
            try:
                self._token = (await asyncio.to_thread(self._path.read_text)).strip()
            except OSError as error:
                raise CredentialError(f"cannot read the token file {self._path}: {error.strerror}") from error
            self._until = self._clock.monotonic() + REREAD_SECONDS
        return self._token

    def refused(self) -> bool:
        self._until = float("-inf")
        return True


class PluginToken:
    """Runs the plugin when there is no token or it is about to expire."""

    def __init__(self, plugin: ExecPlugin, clock: Clock) -> None:
        self._plugin = plugin
        self._clock = clock
        self._token = ""
        self._until = float("-inf")
        self._running = asyncio.Lock()

    async def get(self) -> str:
        async with self._running:
            if self._clock.time() >= self._until:
                status = await self._run()
                self._token = status.get("token") or ""
                self._until = self._expiry(status)
            return self._token

    def refused(self) -> bool:
        self._until = float("-inf")
        return True

    def _expiry(self, status: dict[str, Any]) -> float:
        expires = status.get("expirationTimestamp")
        return parse_time(expires) - EXPIRY_MARGIN if expires else float("inf")

    async def _run(self) -> dict[str, Any]:
        plugin = self._plugin
        info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        environment = {**plugin.environment, "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()}
        output = await _output(plugin, environment)
        try:
            status = orjson.loads(output).get("status") or {}
        except (orjson.JSONDecodeError, AttributeError) as error:
            raise CredentialError(f"exec plugin {plugin.command}: its output is not an ExecCredential") from error
        if not status.get("token"):
            raise CredentialError(
                f"exec plugin {plugin.command}: no status.token in its ExecCredential "
                "(client certificates from plugins are not supported)"
            )
        found: dict[str, Any] = status
        return found


async def _output(plugin: ExecPlugin, environment: dict[str, str]) -> bytes:
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )
    except OSError as error:
        raise CredentialError(f"cannot run the exec plugin {plugin.command}: {error.strerror}") from error
    try:
        async with asyncio.timeout(PLUGIN_SECONDS):
            output, complaint = await child.communicate()
    except TimeoutError as error:
        raise CredentialError(f"exec plugin {plugin.command}: no answer in {PLUGIN_SECONDS:.0f} s") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise CredentialError(f"exec plugin {plugin.command}: exit code {child.returncode}: {last}")
    return output
