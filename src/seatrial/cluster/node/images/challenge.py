"""What a registry asks for with 401: `WWW-Authenticate` parsed (pure), and the tokens its token service gave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson

from seatrial.cluster.node.images.errors import PullFailed, PullRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCHEME = re.compile(r"\s*(?:,\s*)?([A-Za-z]+)(?:\s+|$)")
_PARAMETER = re.compile(r'\s*(?:,\s*)?([A-Za-z_-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_LONGEST = 4096

TOKEN_SECONDS = 60.0
"""How long a token lasts whose answer does not say (distribution specification)."""


@dataclass(frozen=True, slots=True)
class Challenge:
    scheme: str
    """`bearer` or `basic`."""
    parameters: dict[str, str]

    def token_url(self, registry_plain: bool, repository: str) -> str:
        """Where to ask for a token to pull `repository`. Raises PullRefused where that would leak a password."""
        realm = self.parameters.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PullRefused(f"the registry names no usable token service: realm {realm[:100]!r}")
        if parts.scheme == "http" and not registry_plain:
            raise PullRefused(f"the registry's token service {realm[:100]!r} is plain http: nothing secret goes there")
        query = {"scope": self.parameters.get("scope") or f"repository:{repository}:pull"}
        if "service" in self.parameters:
            query["service"] = self.parameters["service"]
        return f"{realm}{'&' if parts.query else '?'}{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Token:
    header: str
    expires: float
    """On the monotonic clock."""


def parse(headers: Iterable[str]) -> Challenge | None:
    """The best challenge we can answer: a token rather than the password itself."""
    found = {challenge.scheme: challenge for header in headers for challenge in _challenges(header[:_LONGEST])}
    return found.get("bearer") or found.get("basic")


def _challenges(header: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    position = 0
    while position < len(header):
        parameter = _PARAMETER.match(header, position)
        scheme = None if parameter else _SCHEME.match(header, position)
        match = parameter or scheme
        if match is None or match.end() == position:
            break
        if scheme:
            challenges.append(Challenge(scheme[1].lower(), {}))
        elif parameter and challenges:
            quoted = parameter[2]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else parameter[3]
            challenges[-1].parameters[parameter[1].lower()] = value
        position = match.end()
    return challenges


def read_token(body: bytes, now: float) -> Token:
    """A token service's answer. Raises PullFailed."""
    try:
        answer: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise PullFailed("the registry's token service sent no token")
    lasts = answer.get("expires_in")
    seconds = float(lasts) if isinstance(lasts, (int, float)) and lasts > 0 else TOKEN_SECONDS
    return Token(f"Bearer {token}", now + 0.9 * seconds)
