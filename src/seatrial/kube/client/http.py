"""The transport to an API server over HTTP(S).

Nothing of Kubernetes' verbs is known here: a Request becomes an HTTP request, an answer becomes a Response, a
StatusError or a TransportError, and a watch becomes its lines. Retrying is up to the caller.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from seatrial.kube.client.credentials import token_of
from seatrial.kube.client.lines import split_lines
from seatrial.kube.client.transport import Response, TransportError, WatchEvent
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from seatrial.base.clock import Clock
    from seatrial.kube.client.connection import Connection
    from seatrial.kube.client.transport import Request
    from seatrial.kube.model.objects import Object

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 70.0
"""Servers end a request that is not a watch after 60 s; let them say so."""
WATCH_GRACE = 30.0
"""A watch that outlives its own timeoutSeconds by this has lost its server."""
LONGEST_TEXT = 500
"""How much of an error answer that is not a Status goes into the message."""
_LAST_TURNS = 3


class HttpTransport:
    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        *,
        user_agent: str = "seatrial",
        connector: Callable[..., aiohttp.BaseConnector] = aiohttp.TCPConnector,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        """`connector` takes the options of `aiohttp.TCPConnector`: another network to connect from."""
        self._connection = connection
        self._token = token_of(connection, clock)
        self._user_agent = user_agent
        self._connector = connector
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._opened: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Response:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=self._connect_seconds)
        async with self._answer(request, timeout) as answer:
            return Response(answer.status, _headers(answer), await answer.read())

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        lasts = float(request.param("timeoutSeconds") or 0)
        timeout = aiohttp.ClientTimeout(
            total=lasts + WATCH_GRACE if lasts else None, sock_connect=self._connect_seconds
        )
        async with self._answer(request, timeout) as answer:
            try:
                async for line in split_lines(answer.content.iter_any()):
                    yield _event(line)
            finally:
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()  # a farewell by TLS would outlive the caller's loop

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None
            for _ in range(_LAST_TURNS):  # connections end in the loop's next turns: it may have no other
                await self._clock.sleep(0)

    @asynccontextmanager
    async def _answer(self, request: Request, timeout: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request the server accepted; every failure until it is read becomes one of ours."""
        try:
            answer = await self._ask(request, timeout)
            if answer.status == 401 and self._token.refused():
                answer.close()
                answer = await self._ask(request, timeout)
            async with answer:
                if answer.status >= 400:
                    raise _status_error(answer, await answer.read())
                yield answer
        except TimeoutError as error:
            raise TransportError(f"{self._shown(request)}: no answer in time", reason="Timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(f"{self._shown(request)}: {error or type(error).__name__}") from error

    async def _ask(self, request: Request, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = dict(request.headers)
        token = await self._token.get()
        if token:
            headers["authorization"] = f"Bearer {token}"
        return await self._session().request(
            request.method,
            self._url(request),
            data=orjson.dumps(request.body) if isinstance(request.body, dict) else request.body,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            proxy=self._connection.proxy or None,
            server_hostname=self._connection.tls_server_name or None,
        )

    def _session(self) -> aiohttp.ClientSession:
        """Made at first use: it belongs to the running loop."""
        if self._opened is None:
            secure = self._connection.server.startswith("https:")
            connector = self._connector(
                ssl=self._connection.ssl_context() if secure else False, limit=0, limit_per_host=0
            )
            self._opened = aiohttp.ClientSession(
                connector=connector, headers={"user-agent": self._user_agent}, auto_decompress=True
            )
        return self._opened

    def _url(self, request: Request) -> URL:
        path = quote(request.path, safe="/:@!$&'()*+,;=~")
        query = f"?{urlencode(request.query)}" if request.query else ""
        return URL(f"{self._connection.server}{path}{query}", encoded=True)

    def _shown(self, request: Request) -> str:
        return f"{request.method} {self._connection.server}{request.path}"


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _event(line: bytes) -> WatchEvent:
    try:
        event = orjson.loads(line)
        type_, obj = event["type"], event["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise TransportError(f"the watch broke inside an event ({len(line)} bytes)") from error
    if type_ == "ERROR":
        raise StatusError.from_object(obj, 500)
    return WatchEvent(type_, obj)


def _status_error(answer: aiohttp.ClientResponse, body: bytes) -> StatusError:
    error = StatusError.from_object(_status(answer, body), answer.status)
    error.headers = _headers(answer)
    return error


def _status(answer: aiohttp.ClientResponse, body: bytes) -> Object:
    """The Status in an error answer, or one made of whatever a proxy or a gateway said instead."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict) and found.get("kind") == "Status":
        return found
    text = body[:LONGEST_TEXT].decode(errors="replace").strip() or answer.reason or ""
    return {"message": f"the server answered {answer.status}: {text}", "reason": _REASONS.get(answer.status, "")}


_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Gone",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
