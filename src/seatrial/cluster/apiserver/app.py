"""HTTP: from an ASGI scope to a Request and a User, and from an Answer to bytes on the wire.

uvicorn parses HTTP and calls `App`; `server.py` gives it the TLS connection's client certificate in the scope.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from seatrial.cluster.apiserver import node
from seatrial.cluster.apiserver.answer import PIECE, StreamAnswer, Tunnel, WatchAnswer, pieces
from seatrial.cluster.apiserver.auth.user import ANONYMOUS
from seatrial.cluster.apiserver.writing import MAX_BODY
from seatrial.kube.client.transport import Request
from seatrial.kube.model import status
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from seatrial.cluster.apiserver.answer import Answer
    from seatrial.cluster.apiserver.api import Api
    from seatrial.cluster.apiserver.auth.authenticate import Authenticator
    from seatrial.cluster.apiserver.auth.user import User

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)

PEER_CERTIFICATE = "seatrial.peer_certificate"
"""Where in the scope's `extensions` the client certificate (DER) is found."""
TUNNEL = "seatrial.tunnel"
"""And there the function that hands the connection over."""
_BODY_SECONDS = 60
_MAX_PARAMETERS = 1000
_MAX_WARNINGS = 50
"""Python's HTTP clients give up on an answer with more than a hundred headers."""
_IMPERSONATION = "impersonate-"


class App:
    """An ASGI application."""

    def __init__(self, api: Api, authenticator: Authenticator) -> None:
        self._api = api
        self._authenticator = authenticator

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1002})
            return
        if scope["type"] != "http":
            return
        try:
            request, user = await self._request(scope, receive)
            answer = await self._api.handle(request, user)
        except StatusError as error:
            await _send_error(send, error)
            return
        except ConnectionError:
            return
        if isinstance(answer, WatchAnswer):
            await _stream(send, receive, answer, _write(send, answer))
        elif isinstance(answer, StreamAnswer):
            await _stream(send, receive, answer, _copy(send, answer))
        elif isinstance(answer, Tunnel):
            await _hand_over(scope, send, answer)
        else:
            await _send(send, answer)

    async def _request(self, scope: dict[str, Any], receive: Receive) -> tuple[Request, User]:
        headers = _headers(scope["headers"])
        user = self._user(scope, headers)
        if any(name.startswith(_IMPERSONATION) for name in headers):
            raise status.not_implemented("impersonation is not supported: remove the Impersonate-* headers (--as)")
        body = await _body(headers, receive) if scope["method"] != "GET" else b""
        return Request(scope["method"], scope["path"], _query(scope), headers, body), user

    def _user(self, scope: dict[str, Any], headers: dict[str, str]) -> User:
        """Who is asking. Raises 401 for credentials that are not valid."""
        if sum(name.lower() == b"authorization" for name, _ in scope["headers"]) > 1:
            raise status.unauthorized()  # what stands in front of us may have looked at the other one
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme:
            user = self._authenticator.from_bearer(token.strip()) if scheme.lower() == "bearer" else None
            if user is None:
                raise status.unauthorized()
            return user
        certificate = scope.get("extensions", {}).get(PEER_CERTIFICATE)
        if certificate:
            named = self._authenticator.from_certificate(certificate)
            if named is None:
                raise status.unauthorized()
            return named
        return ANONYMOUS


def _query(scope: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:
        raise status.bad_request(f"the query has more than {_MAX_PARAMETERS} parameters") from None


def _headers(given: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name in small letters; one that comes several times is a list (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for raw, value in given:
        name = raw.decode("latin-1").lower()
        headers[name] = f"{headers[name]}, {value.decode('latin-1')}" if name in headers else value.decode("latin-1")
    return headers


async def _body(headers: dict[str, str], receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise status.too_large(MAX_BODY)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError("the client went away while sending its request")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > MAX_BODY:
                    raise status.too_large(MAX_BODY)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise StatusError(408, "Timeout", f"the body did not arrive within {_BODY_SECONDS} s") from None


async def _send(send: Send, answer: Answer) -> None:
    size = answer.size
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(size).encode())]
    headers += _extra(answer.headers, answer.warnings)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if size <= PIECE:
        await send({"type": "http.response.body", "body": answer.data})
        return
    for chunk in answer.chunks():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _extra(headers: dict[str, str], warnings: Any) -> list[tuple[bytes, bytes]]:
    shown = [(name.encode(), value.encode()) for name, value in headers.items()]
    told = list(dict.fromkeys(warnings))[:_MAX_WARNINGS]
    shown += [(b"warning", f'299 - "{_header_safe(text)}"'.encode("latin-1", "replace")) for text in told]
    shown.append((b"cache-control", b"no-cache, private"))
    return shown


def _header_safe(text: str) -> str:
    """A warning's text as an HTTP quoted string: no control characters, quotes escaped, bounded."""
    printable = "".join(c if c.isprintable() else " " for c in text[:1000])
    return printable.replace("\\", "\\\\").replace('"', '\\"')


async def _send_error(send: Send, error: StatusError) -> None:
    from seatrial.cluster.apiserver.answer import Answer

    headers = dict(error.headers)
    if seconds := error.details.get("retryAfterSeconds"):
        headers["retry-after"] = str(seconds)
    if error.code == 401:
        headers["www-authenticate"] = "Bearer"
    await _send(send, Answer(error.code, object=error.to_object(), headers=headers))


async def _hand_over(scope: dict[str, Any], send: Send, answer: Tunnel) -> None:
    """The connection is no longer HTTP's. Only a connection can be handed over, not an in-process call."""
    try:
        await scope["extensions"][TUNNEL](answer)
    except OSError as error:
        await _send_error(send, node.unreachable(error))


async def _stream(
    send: Send, receive: Receive, answer: WatchAnswer | StreamAnswer, writing: Coroutine[Any, Any, None]
) -> None:
    """Send what comes until it ends or the client leaves."""
    headers = [(b"content-type", answer.content_type.encode()), *_extra({}, answer.warnings)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # Headers go out with the first body chunk: an empty one lets the client see that its watch is on.
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    writer = asyncio.create_task(writing)
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({writer, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        writer.cancel()
        results = await asyncio.gather(writer, gone, return_exceptions=True)
    failed = [r for r in results if isinstance(r, Exception) and not isinstance(r, ConnectionError | OSError)]
    if failed:
        log.error("stream failed", exc_info=failed[0])
    await send({"type": "http.response.body", "body": b""})


async def _write(send: Send, answer: WatchAnswer) -> None:
    async for batch in answer.batches:
        for frames in pieces(delivery.frame for delivery in batch):
            await send({"type": "http.response.body", "body": b"".join(frames), "more_body": True})


async def _copy(send: Send, answer: StreamAnswer) -> None:
    async for frame in answer.frames():
        await send({"type": "http.response.body", "body": frame, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
