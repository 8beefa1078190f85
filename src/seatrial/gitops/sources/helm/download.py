"""Downloads: GET over HTTP(S) with a repository's credentials, bounded in time and size."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from seatrial.gitops.sources.address import Address
from seatrial.gitops.sources.files import SourceFailed, SourceRefused
from seatrial.gitops.sources.git import access
from seatrial.gitops.sources.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seatrial.gitops.api.repositories import Credential

_SECONDS, _CONNECT_SECONDS, _STALL_SECONDS = 300.0, 15.0, 60.0
_MOST_REDIRECTS = 5
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    """200 or 304."""
    content: bytes = field(repr=False)
    headers: Mapping[str, str]


class Downloads:
    def __init__(
        self, credentials: Callable[[str], Credential | None] = lambda _url: None, trust: Callable[[], Trust] = Trust
    ) -> None:
        self._credentials = credentials
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None

    async def get(
        self,
        url: str,
        repository: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        everywhere: bool = False,
    ) -> Answer:
        """`repository` is the URL whose credentials are used: on its own server, or with `everywhere` on any.

        Raises SourceFailed, SourceRefused.
        """
        credential = self._credentials(repository)
        if credential is not None and credential.problem:
            raise SourceRefused(f"repository {Address.of(repository).url}: {credential.problem}")
        home = Address.of(repository)
        for _ in range(_MOST_REDIRECTS):
            address = Address.of(url)
            if address.scheme not in ("http", "https"):
                raise SourceRefused(f"repository {home.url}: leads to {address.url}; expected http:// or https://")
            if home.scheme == "https" and address.scheme == "http":
                raise SourceRefused(f"repository {home.url}: leads to {address.url}, which is not encrypted")
            trusted = everywhere or address.origin == home.origin
            answer = await self._once(address, credential, home, dict(headers or {}), trusted, limit)
            if isinstance(answer, Answer):
                return answer
            url = answer
        raise SourceFailed(f"repository {home.url}: more than {_MOST_REDIRECTS} redirects")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(
        self,
        address: Address,
        credential: Credential | None,
        home: Address,
        headers: dict[str, str],
        trusted: bool,
        limit: int,
    ) -> Answer | str:
        """An answer, or where to go instead."""
        if trusted:
            _prove(headers, credential, home)
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_STALL_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, headers={"user-agent": "seatrial"})
        try:
            async with self._session.get(
                URL(address.url, encoded=True),
                headers=headers,
                ssl=self._context(address, credential, trusted),
                allow_redirects=False,
                proxy=(credential.proxy or None) if credential is not None else None,
            ) as got:
                if got.status in (301, 302, 303, 307, 308):
                    return str(URL(address.url, encoded=True).join(URL(got.headers.get("location", ""))))
                return await _answer(got, address, limit)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            what = str(error) or type(error).__name__
            raise SourceFailed(f"{address.url} could not be read: {what[:300]}") from error

    def _context(self, address: Address, credential: Credential | None, trusted: bool) -> ssl.SSLContext | bool:
        if address.scheme != "https":
            return True
        authority = self._trust().authorities.get(address.host)
        if authority is None and (credential is None or not (credential.insecure or credential.tls_client_cert)):
            return True
        try:
            context = ssl.create_default_context(cadata=authority)
            if credential is not None and credential.insecure and trusted:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if credential is not None and credential.tls_client_cert and trusted:
                _show(context, credential)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise SourceRefused(f"{address.origin}: its certificates or client key cannot be read: {error}") from error
        return context


async def _answer(got: aiohttp.ClientResponse, address: Address, limit: int) -> Answer:
    if got.status == 304:
        return Answer(304, b"", dict(got.headers))
    if got.status != 200:
        hint = " (add or correct the repository's username and password)" if got.status in (401, 403) else ""
        raise SourceFailed(f"{address.url} answered {got.status}{hint}")
    parts: list[bytes] = []
    size = 0
    async for part in got.content.iter_chunked(_PIECE):
        size += len(part)
        if size > limit:
            raise SourceRefused(f"{address.url} is larger than {limit >> 20} MiB")
        parts.append(part)
    return Answer(200, b"".join(parts), {name.lower(): value for name, value in got.headers.items()})


def _prove(headers: dict[str, str], credential: Credential | None, home: Address) -> None:
    username, password = home.username, home.password
    if credential is not None:
        if credential.bearer_token:
            headers["authorization"] = f"Bearer {credential.bearer_token}"
            return
        username, password = credential.username or username, credential.password or password
    if username or password:
        headers["authorization"] = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _show(context: ssl.SSLContext, credential: Credential) -> None:
    """The client's certificate, from memory."""
    with access.in_memory(credential.tls_client_cert) as cert, access.in_memory(credential.tls_client_key) as key:
        context.load_cert_chain(cert, key)
