"""Sends a case's request to the API under test and judges the answer.

What answers is not to be trusted: it is bounded in time and size, redirects are not followed, cookies are not kept, and
a connection serves one request only (the next case may be of another project at the same address). The credentials
are added here, and masked wherever they would show in what is kept.
"""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from groundwork.addresses import AddressPolicy, ForbiddenAddress, GuardedAsyncTransport
from groundwork.credentials import CredentialBox, UnreadableCredentials
from groundwork.expectation import check
from testops_consumer import metrics
from testops_consumer.store import Answer

if TYPE_CHECKING:
    from testops_consumer.settings import Settings
    from testops_consumer.store import Job

KEPT_BODY = 16 * 1024  # characters of a body that are kept with the result
KEPT_HEADER = 1024
KEPT_HEADERS = 100
LONGEST_REASON = 2000
MASK = "***"
SHORTEST_MASKED = 4  # a credential of "a" would mask every a
FIRST_WAIT = 0.2
REPEATABLE = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class Unusable(Exception):
    """The case gives no verdict; the reason is for the person who reads the result."""


@dataclass
class Exchange:
    """What is known so far of one case's conversation."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str | None
    secrets: list[str] = field(default_factory=list)
    attempts: int = 0
    status: int | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer_body: bytes = b""

    def clean(self, text: str, longest: int) -> str:
        """Fit to be kept: no credentials, no characters PostgreSQL refuses, not endless."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
        return text if len(text) <= longest else text[:longest] + "…"

    def request(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "url": self.clean(self.url, KEPT_BODY),
            "headers": {name: self.clean(value, KEPT_HEADER) for name, value in self.headers},
            "body": None if self.body is None else self.clean(self.body, KEPT_BODY),
        }

    def response(self) -> dict[str, Any]:
        if self.status is None:
            return {}
        headers = list(self.answer_headers.items())[:KEPT_HEADERS]
        return {
            "status": self.status,
            "headers": {self.clean(name, KEPT_HEADER): self.clean(value, KEPT_HEADER) for name, value in headers},
            "body": self.clean(self.answer_body.decode("utf-8", "replace"), KEPT_BODY),
            "size": len(self.answer_body),
        }


class Target:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._box = CredentialBox(settings.credentials_key)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = GuardedAsyncTransport(AddressPolicy(settings.allowed_hosts), limits)

    async def close(self) -> None:
        await self._transport.aclose()

    async def judge(self, job: Job) -> Answer:
        started = time.perf_counter()
        exchange = Exchange(job.method, job.base_url + job.path, list(job.headers.items()), job.body)
        try:
            self._authenticate(exchange, job)
            await self._converse(exchange)
            verdict = check(job.expectation, exchange.status, exchange.answer_headers, exchange.answer_body)
            outcome, reason = ("passed", "") if verdict.passed else ("failed", verdict.reason)
        except Unusable as error:
            outcome, reason = "error", str(error)
        return Answer(
            outcome=outcome,
            reason=exchange.clean(reason, LONGEST_REASON),
            status_code=exchange.status,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            attempts=exchange.attempts,
            request=exchange.request(),
            response=exchange.response(),
        )

    def _authenticate(self, exchange: Exchange, job: Job) -> None:
        if not job.path.startswith("/"):  # appended to the base URL it could name another host
            raise Unusable(f"the path of a case starts with /, this one is {job.path!r}")
        exchange.url = job.base_url.rstrip("/") + job.path
        try:
            credentials = self._box.open(job.sealed_credentials) if job.authentication else {}
        except UnreadableCredentials as error:
            raise Unusable(str(error)) from None
        for scheme, place in job.authentication.items():
            if scheme not in credentials:
                raise Unusable(f"the project has no credential for the security scheme {scheme!r}: add it there")
            self._add(exchange, place, credentials[scheme])

    def _add(self, exchange: Exchange, place: dict[str, str], secret: str) -> None:
        spellings = {secret, quote(secret, safe="")}
        exchange.secrets += sorted((s for s in spellings if len(s) >= SHORTEST_MASKED), key=len, reverse=True)
        name, value = place["name"], place.get("prefix", "") + secret
        match place["in"]:
            case "header":
                exchange.headers.append((name, value))
            case "cookie":
                exchange.headers.append(("Cookie", f"{name}={value}"))
            case "query":
                joint = "&" if "?" in exchange.url else "?"
                exchange.url += f"{joint}{quote(name, safe='')}={quote(value, safe='')}"
            case other:
                raise Unusable(f"a credential cannot be put into {other!r}")

    async def _converse(self, exchange: Exchange) -> None:
        """Transport errors are repeated; a request that may have had an effect is so only if that does no harm."""
        wait = FIRST_WAIT
        while True:
            exchange.attempts += 1
            try:
                async with asyncio.timeout(self._settings.request_timeout):
                    return await self._send(exchange)
            except ForbiddenAddress as error:
                raise Unusable(str(error)) from None
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError) as error:
                raise Unusable(f"the request cannot be sent: {error}") from None
            except (httpx.TransportError, TimeoutError) as error:
                again = exchange.method in REPEATABLE or isinstance(error, NOT_SENT)
                if not again or exchange.attempts >= self._settings.attempts:
                    raise Unusable(self._explain(error)) from None
            metrics.RETRIES.inc()
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            wait *= 2

    def _explain(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no complete answer within {self._settings.request_timeout:g} s"
        return f"{type(error).__name__}: {error}".rstrip(": ")

    async def _send(self, exchange: Exchange) -> None:
        timeout = httpx.Timeout(self._settings.request_timeout, connect=min(10, self._settings.request_timeout))
        request = httpx.Request(
            exchange.method,
            exchange.url,
            headers=exchange.headers,
            content=exchange.body.encode("utf-8", "surrogatepass") if exchange.body is not None else None,
            extensions={"timeout": timeout.as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        try:
            body = await self._read(response)
        finally:
            await response.aclose()
        exchange.status, exchange.answer_headers, exchange.answer_body = (
            response.status_code,
            dict(response.headers),
            body,
        )

    async def _read(self, response: httpx.Response) -> bytes:
        limit = self._settings.response_limit
        unpack = _Unpacking(response.headers.get("content-encoding", "identity"), limit)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += unpack(chunk)
            if len(body) > limit:
                raise Unusable(f"the answer is larger than {limit} bytes")
        return bytes(body)


class _Unpacking:
    """Compressed answers, unpacked no further than the limit: a few bytes can stand for gigabytes."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._limit = limit
        match encoding.strip().lower():
            case "identity" | "":
                self._decoder = None
            case "gzip" | "x-gzip" | "deflate":
                self._decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
            case other:
                raise Unusable(f"the answer is encoded as {other[:40]!r}, which was not asked for")

    def __call__(self, chunk: bytes) -> bytes:
        if self._decoder is None:
            return chunk
        try:
            return self._decoder.decompress(chunk, self._limit + 1)
        except zlib.error as error:
            raise Unusable(f"the compressed answer cannot be unpacked: {error}") from None
