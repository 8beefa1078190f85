"""Which registry an image name means: docker.io's names are the instance's registry's, under the same path.

Names are checked by the programs that get them; here they are only taken apart. Next: `buildah.py`, `push.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from pathlib import Path

DOCKER = "docker.io"
_OLD_DOCKER = "index.docker.io"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,400}(@sha256:[0-9a-f]{64})?")


class InvalidName(Terminal):
    reason = "InvalidImageName"


@dataclass(frozen=True, slots=True)
class Name:
    """A complete name; `rest` is `:tag` or `@sha256:...`."""

    registry: str
    repository: str
    rest: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{self.rest}"

    @property
    def without_tag(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def locator(self) -> str:
        """What a registry is asked for: the tag, or the digest."""
        return self.rest[1:]


@dataclass(frozen=True, slots=True)
class Registry:
    """The instance's registry: plain HTTP on loopback."""

    address: str
    auth_file: Path | None = None

    def at(self, name: Name) -> str:
        """Where it keeps what is called `name`."""
        return f"{self.address}/{name.repository}{name.rest}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is pushed to and fetched from."""

    reference: str
    plain_http: bool


def parse(text: str) -> Name:
    """Raises InvalidName."""
    if not _NAME.fullmatch(text):
        raise InvalidName(f"image name {text[:80]!r}: expected [registry/]repository[:tag] in plain characters")
    rest, at, digest = text.partition("@")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, tag = rest, ""
    first, slash, path = head.partition("/")
    if not slash or not (first == "localhost" or any(mark in first for mark in ".:")):
        first, path = DOCKER, head
    registry = DOCKER if first == _OLD_DOCKER else first
    if registry == DOCKER and "/" not in path:
        path = f"library/{path}"
    if not path or path != path.lower():
        raise InvalidName(f"image name {text!r}: the repository must be there, and in lower case")
    return Name(registry, path, f"@{digest}" if at else f":{tag or 'latest'}")


def place(name: Name, registry: Registry | None) -> Place:
    if registry is not None and name.registry == DOCKER:
        return Place(registry.at(name), plain_http=True)
    return Place(str(name), plain_http=is_loopback(name.registry))


def is_loopback(registry: str) -> bool:
    host = registry.rpartition(":")[0] if ":" in registry else registry
    return host in ("localhost", "[::1]") or host.startswith("127.")
