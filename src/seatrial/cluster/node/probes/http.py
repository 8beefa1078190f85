"""HTTP requests to a container, for probes and hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from yarl import URL

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object

_MOST_BYTES = 10 * 1024
_MOST_REDIRECTS = 10
_MOVED = (301, 302, 303, 307, 308)


class BadHandler(Terminal):
    """The handler names a port the container does not have."""

    reason = "BadHandler"


class Answer(NamedTuple):
    code: int
    body: str
    elsewhere: str = ""
    """A redirect to another host, which is not followed."""


def port_of(container: Object, port: Any) -> int:
    """A number, or the name of one of the container's ports. Raises BadHandler."""
    if isinstance(port, int) or str(port).isdecimal():
        return int(port)
    for known in container.get("ports") or []:
        if known.get("name") == port:
            return int(known["containerPort"])
    raise BadHandler(f'container {container["name"]} has no port named "{port}"')


def target(handler: Mapping[str, Any], container: Object, address: str) -> URL:
    """Raises BadHandler."""
    scheme = (handler.get("scheme") or "HTTP").lower()
    path, _, query = (handler.get("path") or "/").partition("?")
    port = port_of(container, handler["port"])
    try:
        return URL.build(
            scheme=scheme,
            host=handler.get("host") or address,
            port=port,
            path="/" + path.lstrip("/"),
            query_string=query,
            encoded=True,
        )
    except ValueError:
        raise BadHandler(f"container {container['name']}: {path!r} is no path of a URL") from None


def headers(handler: Mapping[str, Any], agent: str) -> list[tuple[str, str]]:
    """Ours first, unless the handler has its own; an empty value takes ours away."""
    given = [(entry["name"], entry.get("value") or "") for entry in handler.get("httpHeaders") or []]
    names = {name.lower() for name, _ in given}
    ours = [("User-Agent", agent), ("Accept", "*/*")]
    kept = [(name, value) for name, value in given if value or name.lower() not in ("user-agent", "accept")]
    return [*((name, value) for name, value in ours if name.lower() not in names), *kept]


async def get(url: URL, sent: list[tuple[str, str]]) -> Answer:
    """Certificates are not looked at, redirects followed on the same host only. Raises aiohttp.ClientError, OSError."""
    connector = aiohttp.TCPConnector(ssl=False, force_close=True, limit=1)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    ) as session:
        for _ in range(_MOST_REDIRECTS):
            async with session.get(url, headers=sent, allow_redirects=False) as answer:
                location = answer.headers.get("Location") if answer.status in _MOVED else None
                if location is None:
                    body = await answer.content.read(_MOST_BYTES)
                    return Answer(answer.status, body.decode("utf-8", "replace"))
                following = url.join(URL(location))
                if following.host != url.host:
                    return Answer(answer.status, "", str(following))
                url = following
    raise aiohttp.ClientError(f"stopped after {_MOST_REDIRECTS} redirects")
