"""Who may come in: tokens of people, and tokens that live as long as one run and open one repository."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_HEADER = 4096


@dataclass(frozen=True, slots=True)
class Visitor:
    name: str
    repository: str = ""
    """All that it may see; "": everything."""

    @property
    def may_create(self) -> bool:
        """A person's push makes the repository it names, as on Gitea and Forgejo."""
        return not self.repository

    def may_see(self, repository: str) -> bool:
        return self.repository in ("", repository)


class Tokens:
    def __init__(self, people: Mapping[str, str]) -> None:
        """`people`: a token for each name."""
        self._known: dict[str, Visitor] = {token: Visitor(name) for name, token in people.items() if token}

    def issue(self, name: str, repository: str) -> str:
        """A new token, for this repository alone, until it is revoked."""
        token = secrets.token_urlsafe(24)
        self._known[token] = Visitor(name, repository)
        return token

    def revoke(self, token: str) -> None:
        self._known.pop(token, None)

    def visitor(self, authorization: str) -> Visitor | None:
        """Of an Authorization header: `Bearer TOKEN`, or `Basic` with the token as the password (or the name)."""
        found: Visitor | None = None
        given = _given(authorization)
        for token, visitor in self._known.items():  # all of them: the time taken tells nothing
            for candidate in given:
                if hmac.compare_digest(candidate, token.encode()):
                    found = visitor
        return found


def _given(authorization: str) -> list[bytes]:
    if len(authorization) > _LONGEST_HEADER:
        return []
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    if scheme.lower() in ("bearer", "token"):
        return [rest.encode(errors="replace")]
    if scheme.lower() != "basic":
        return []
    try:
        user, _, password = base64.b64decode(rest, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return []
    return [password] if password and password != b"x-oauth-basic" else [user]
