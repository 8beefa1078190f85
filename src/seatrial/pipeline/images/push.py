"""`image push`: from the storage of builds to a registry. buildah tries again when network or registry stumble."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable, Terminal
from seatrial.pipeline.images import names, tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.pipeline.images.buildah import Buildah
    from seatrial.pipeline.images.names import Name, Place, Registry

_NOT_LOGGED_IN = ("unauthorized", "authentication required", "invalid username/password", "no basic auth", "denied:")
_UNREACHABLE = ("connection refused", "no such host", "i/o timeout", "no route to host", "network is unreachable")


class NotHere(Terminal):
    reason = "NoSuchImage"


class NotLoggedIn(Terminal):
    reason = "NotLoggedIn"


class RegistryDown(Retryable):
    reason = "RegistryUnreachable"


class PushFailed(Terminal):
    reason = "PushFailed"


@dataclass(frozen=True, slots=True)
class Pushed:
    name: str
    to: str
    digest: str


class Pusher:
    def __init__(self, buildah: Buildah, registry: Registry | None) -> None:
        self._buildah = buildah
        self._registry = registry

    def push(self, text: str, *, all_tags: bool = False) -> list[Pushed]:
        """Raises NotHere, NotLoggedIn, RegistryDown, PushFailed, InvalidName."""
        name = names.parse(text)
        if not all_tags:
            return [self._push(name)]
        tags = self._buildah.tags(name.without_tag)
        if not tags:
            raise NotHere(f"no tag of {name.without_tag} was built here: `seatrial image build -t {text} ...` first")
        return [self._push(names.parse(tag)) for tag in tags]

    def _push(self, name: Name) -> Pushed:
        if not self._buildah.has(str(name)):
            raise NotHere(f"{name} was not built here: `seatrial image build -t {name} ...` first")
        place = names.place(name, self._registry)
        with tempfile.TemporaryDirectory() as directory:
            told = Path(directory) / "digest"
            arguments: list[str | Path] = ["push", "--quiet", "--digestfile", told, *access(place, self._registry)]
            command = self._buildah.command(*arguments, str(name), f"docker://{place.reference}")
            transfer(command, self._buildah.environment, place)
            return Pushed(str(name), place.reference, told.read_text().strip())


def access(place: Place, registry: Registry | None, tls: str = "--tls-verify") -> list[str]:
    """Options of buildah and skopeo: how to talk to a registry, and as whom."""
    options = [f"{tls}=false"] if place.plain_http else []
    if registry is not None and registry.auth_file is not None:
        options += ["--authfile", str(registry.auth_file)]
    return options


def transfer(command: Sequence[str | Path], environment: dict[str, str], place: Place) -> None:
    """Raises NotLoggedIn, RegistryDown, PushFailed."""
    try:
        tool.output(command, environment)
    except tool.ToolFailed as error:
        raise _explained(error, error.said.lower(), place) from error


def _explained(error: tool.ToolFailed, said: str, place: Place) -> Terminal | Retryable:
    host = place.reference.partition("/")[0]
    if any(words in said for words in _NOT_LOGGED_IN):
        return NotLoggedIn(
            f"{host} does not let us push {place.reference}: log in with `skopeo login {host}`, "
            "or name the file with the credentials in REGISTRY_AUTH_FILE",
            detail=error.said,
        )
    if any(words in said for words in _UNREACHABLE):
        return RegistryDown(f"the registry {host} does not answer: does it run? ({error.message})", detail=error.said)
    return PushFailed(f"{place.reference} was not pushed: {error.message}", detail=error.said)
