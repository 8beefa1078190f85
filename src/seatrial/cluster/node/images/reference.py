"""Image names: what `busybox`, `localhost:5000/team/app:v1` or `ghcr.io/a/b@sha256:...` stand for.

The grammar and the defaults are Docker's, which Kubernetes shares: no registry means docker.io, one word there means
`library/`, neither tag nor digest means `latest`. Parsing looks at the text only and costs time in proportion to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from seatrial.base.errors import Terminal
from seatrial.cluster.node.images.digest import is_digest
from seatrial.cluster.node.images.errors import ImageError

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_OLD_DEFAULT = "index.docker.io"

LONGEST_NAME = 255
"""Registry and repository together, as registries themselves limit it."""
_LONGEST = 600
"""Name, tag (128) and a sha512 digest fit; anything longer is refused before a pattern looks at it."""

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


class InvalidImageName(ImageError, Terminal):
    reason = "InvalidImageName"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A complete name: at least one of tag and digest is there. With both, the digest decides what is pulled."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def locator(self) -> str:
        """What a registry is asked for."""
        return self.digest or self.tag

    @property
    def tagged(self) -> str:
        """`name:tag`, or "" without a tag."""
        return f"{self.name}:{self.tag}" if self.tag else ""

    @property
    def pinned(self) -> str:
        """`name@digest`, or "" without a digest."""
        return f"{self.name}@{self.digest}" if self.digest else ""

    @property
    def familiar(self) -> str:
        """As people write it: without docker.io and library/."""
        return familiar_name(self.name) + self._rest()

    def at(self, digest: str) -> Reference:
        return replace(self, digest=digest)

    def _rest(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._rest()


def familiar_name(name: str) -> str:
    """`docker.io/library/busybox` -> `busybox`, `docker.io/a/b` -> `a/b`, unless that would mean something else."""
    short = name.removeprefix(f"{DEFAULT_REGISTRY}/")
    first, slash, _ = short.partition("/")
    if short == name or (slash and _is_registry(first)):
        return name
    official = short.removeprefix(_OFFICIAL)
    return short if "/" in official else official


def _is_registry(component: str) -> bool:
    """A first component with a dot, a port or an upper-case letter, or `localhost`."""
    return component == "localhost" or any(mark in component for mark in ".:") or component != component.lower()


def parse(text: str) -> Reference:
    """Raises InvalidImageName."""
    if not text:
        raise InvalidImageName("the image name is empty: expected [registry/]repository[:tag][@sha256:...]")
    if len(text) > _LONGEST:
        raise InvalidImageName(f"the image name {text[:60]!r}... has {len(text)} characters: at most {_LONGEST} fit")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _invalid(text, f"{digest!r} is no digest: expected sha256: and 64 lower-case hexadecimal digits")
    name, tag = _split_tag(text, rest)
    registry, repository = _split_registry(text, name)
    _check_repository(text, registry, repository)
    return Reference(registry, repository, tag or ("" if digest else DEFAULT_TAG), digest)


def _split_tag(text: str, rest: str) -> tuple[str, str]:
    """The tag follows the last colon, unless a slash comes after that: then it was a port."""
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        return rest, ""
    if not _TAG.fullmatch(tag):
        raise _invalid(text, f"{tag!r} is no tag: expected up to 128 letters, digits, '_', '.', '-'")
    return name, tag


def _split_registry(text: str, name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not _is_registry(first):
        registry, repository = DEFAULT_REGISTRY, name
    elif _HOST.fullmatch(first):
        registry, repository = (DEFAULT_REGISTRY if first == _OLD_DEFAULT else first), rest
    else:
        raise _invalid(text, f"{first!r} is no registry: expected a host name with an optional :port")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL + repository
    return registry, repository


def _check_repository(text: str, registry: str, repository: str) -> None:
    if repository != repository.lower():
        raise _invalid(text, "the repository must be lower case")
    for component in repository.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise _invalid(
                text, f"{component!r} is no part of a repository: expected lower-case letters, digits, '.', '_', '-'"
            )
    if len(registry) + 1 + len(repository) > LONGEST_NAME:
        raise _invalid(text, f"registry and repository together are longer than {LONGEST_NAME} characters")
    if _IMAGE_ID.fullmatch(repository.removeprefix(_OFFICIAL)):
        raise _invalid(text, "64 hexadecimal digits are an image id, not a name: use the name or name@sha256:<digits>")


def _invalid(text: str, why: str) -> InvalidImageName:
    return InvalidImageName(f"image name {text!r}: {why}")
