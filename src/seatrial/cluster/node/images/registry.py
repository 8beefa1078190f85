"""The registry protocol over HTTP: manifests and blobs, with tokens, redirects and errors a person understands.

One `Registry` per process shares its connections. Nothing here verifies a blob (blobs.py does, while it streams) or
tries again (puller.py does).
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from yarl import URL

import seatrial
from seatrial.cluster.node.images import challenge, digest, manifest
from seatrial.cluster.node.images.digest import is_digest
from seatrial.cluster.node.images.errors import (
    AccessDenied,
    ImageError,
    ImageNotFound,
    PullFailed,
    PullRefused,
    RegistryUnavailable,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.images.credentials import Credential
    from seatrial.cluster.node.images.endpoint import Endpoint

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""A transfer may last as long as it likes, but not stand still."""
MAX_REDIRECTS = 5
MAX_TOKEN_BYTES = 1024 * 1024
LONGEST_TEXT = 300
"""How much of a registry's own words goes into a message."""
CONNECTIONS_PER_HOST = 8
BUFFER_BYTES = 1024 * 1024

_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Source:
    """A repository at an endpoint, and who asks."""

    endpoint: Endpoint
    repository: str
    credential: Credential | None = None

    def __str__(self) -> str:
        return f"{self.endpoint.registry}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Fetched:
    body: bytes
    media_type: str
    digest: str


class Registry:
    def __init__(
        self,
        clock: Clock,
        *,
        ssl_context: ssl.SSLContext | None = None,
        connector: Callable[..., aiohttp.BaseConnector] | None = None,
    ) -> None:
        """`connector` takes the options of `aiohttp.TCPConnector`: another network to connect from."""
        self._clock = clock
        self._ssl = ssl_context
        self._connector = connector or aiohttp.TCPConnector
        self._opened: aiohttp.ClientSession | None = None
        self._tokens: dict[Source, challenge.Token] = {}

    async def manifest(self, source: Source, locator: str) -> Fetched:
        """A manifest or index by tag or digest; its digest is checked, or computed and compared with the header."""
        accept = ", ".join(manifest.ACCEPTED)
        async with self._answer(source, f"manifests/{locator}", {"accept": accept}) as answer:
            with _network(source):
                body = await _read(answer, manifest.MAX_MANIFEST_BYTES, f"{source}: the manifest")
        named = locator if is_digest(locator) else answer.headers.get("docker-content-digest", "")
        if is_digest(named) and not digest.matches(named, body):
            raise PullFailed(
                f"{source}: the manifest is not what its digest {named} says: something on the way altered it"
            )
        media_type = answer.headers.get("content-type", "")
        return Fetched(body, media_type, named if is_digest(named) else digest.of(body))

    @asynccontextmanager
    async def blob(self, source: Source, name: str, offset: int = 0) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """The bytes of a blob, from `offset` if the registry can, else from 0; it says which."""
        headers = {"range": f"bytes={offset}-"} if offset else {}
        async with self._answer(source, f"blobs/{name}", headers) as answer:
            yield (offset if answer.status == 206 else 0), _chunks(answer, source)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    @asynccontextmanager
    async def _answer(
        self, source: Source, path: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer to a GET; anything else becomes an error of ours."""
        url = f"{source.endpoint.url}/v2/{source.repository}/{path}"
        answer = await self._ask(source, url, headers)
        async with answer:
            if answer.status not in (200, 206):
                raise await _refusal(answer, source, path)
            yield answer

    async def _ask(self, source: Source, url: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Send, and once more with what the registry asks for."""
        answer = await self._send(source, url, {**headers, **self._authorization(source)})
        if answer.status != 401:
            return answer
        async with answer:
            self._tokens.pop(source, None)
            asked = challenge.parse(answer.headers.getall("www-authenticate", []))
            if asked is None or (asked.scheme == "basic" and source.credential is None):
                raise await _refusal(answer, source, url)
        self._tokens[source] = await self._authenticate(source, asked)
        return await self._send(source, url, {**headers, **self._authorization(source)})

    def _authorization(self, source: Source) -> dict[str, str]:
        token = self._tokens.get(source)
        if token is None or token.expires < self._clock.monotonic():
            return {}
        return {"authorization": token.header}

    async def _authenticate(self, source: Source, asked: challenge.Challenge) -> challenge.Token:
        credential = source.credential
        if asked.scheme == "basic" and credential is not None:
            return challenge.Token(credential.basic, float("inf"))
        url = asked.token_url(source.endpoint.plain, source.repository)
        headers = {"authorization": credential.basic} if credential else {}
        answer = await self._send(source, url, headers)
        async with answer:
            if answer.status != 200:
                raise await _refusal(answer, source, "token")
            with _network(source):
                body = await _read(answer, MAX_TOKEN_BYTES, f"{source}: the token")
        return challenge.read_token(body, self._clock.monotonic())

    async def _send(self, source: Source, url: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """GET, following redirects: the credentials stay with the host they are for, and TLS stays TLS."""
        target = URL(url)
        for _ in range(MAX_REDIRECTS + 1):
            with _network(source):
                answer = await self._session().get(target, headers=headers, allow_redirects=False)
            location = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not location:
                return answer
            answer.release()
            following = target.join(URL(location))
            if following.scheme != target.scheme and following.scheme != "https":
                raise PullRefused(f"{source}: the registry redirects to {following.scheme}://{following.host}")
            if following.origin() != target.origin():
                headers = {name: value for name, value in headers.items() if name != "authorization"}
            target = following
        raise PullRefused(f"{source}: the registry redirects more than {MAX_REDIRECTS} times")

    def _session(self) -> aiohttp.ClientSession:
        """Made at first use: it belongs to the running loop. Bytes arrive as sent: digests are over those."""
        if self._opened is None:
            connector = self._connector(ssl=self._ssl or True, limit_per_host=CONNECTIONS_PER_HOST)
            self._opened = aiohttp.ClientSession(
                connector=connector,
                headers={"user-agent": f"seatrial/{seatrial.__version__}", "accept-encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
                auto_decompress=False,
                read_bufsize=BUFFER_BYTES,
            )
        return self._opened


async def _read(answer: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise PullRefused(f"{what} has more than {limit} bytes")
    return bytes(body)


async def _chunks(answer: aiohttp.ClientResponse, source: Source) -> AsyncIterator[bytes]:
    with _network(source):
        async for chunk in answer.content.iter_any():
            yield chunk


@contextmanager
def _network(source: Source) -> Iterator[None]:
    """Every failure of the wire becomes one of ours."""
    where = f"registry {source.endpoint.registry} ({source.endpoint.url})"
    try:
        yield
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise PullRefused(
            f"{where}: no TLS connection that can be trusted: {_short(error)}; if it is meant to speak "
            "plain http, list it as such"
        ) from error
    except aiohttp.ClientConnectorError as error:
        raise RegistryUnavailable(f"{where} cannot be reached: {_short(error.os_error)}") from error
    except TimeoutError as error:
        raise RegistryUnavailable(f"{where} did not answer in time") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PullFailed(f"{where}: the connection broke: {_short(error)}") from error


async def _refusal(answer: aiohttp.ClientResponse, source: Source, path: str) -> ImageError:
    said = await _said(answer)
    kind, what, tag = path.partition("/")
    if answer.status in (401, 403):
        return AccessDenied(_denied(source, said))
    if answer.status == 404:
        wanted = f"{'blob' if kind == 'blobs' else 'tag or digest'} {tag!r}" if what else "token service"
        return ImageNotFound(
            f"registry {source.endpoint.registry} has no {wanted} in repository {source.repository}{said}"
        )
    if answer.status == 429:
        return RegistryUnavailable(f"registry {source.endpoint.registry} limits the rate of pulls{said}")
    if answer.status >= 500:
        return RegistryUnavailable(f"registry {source.endpoint.registry} answered {answer.status}{said}")
    return PullRefused(f"{source}: the registry answered {answer.status} to GET {path}{said}")


def _denied(source: Source, said: str) -> str:
    if source.credential is None:
        return (
            f"registry {source.endpoint.registry} does not let everybody pull {source.repository} (or there is no such "
            f"repository){said}: check the name, or give credentials (imagePullSecrets)"
        )
    return (
        f"registry {source.endpoint.registry} refuses user {source.credential.username!r} for "
        f"{source.repository}{said}: check the credentials (imagePullSecrets)"
    )


async def _said(answer: aiohttp.ClientResponse) -> str:
    """The registry's own words, as `: words`, or "" if it had none worth repeating."""
    try:
        body = await answer.content.read(16 * 1024)
        document: Any = orjson.loads(body)
        error = document["errors"][0]
        text = str(error.get("message") or error.get("code") or "")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f": {_printable(text)}" if text else ""


def _short(error: BaseException) -> str:
    return _printable(str(error) or type(error).__name__)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST_TEXT]
