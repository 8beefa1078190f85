"""The seam under the client: a Request goes in, a Response or a stream of WatchEvents comes out.

Two transports satisfy it: HTTP (`http.py`), and the embedded API server's own, which hands over parsed objects
without a socket. Whatever a transport returns is shared: see `kube.model.objects`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from seatrial.base.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from seatrial.kube.model.objects import Object


class TransportError(Retryable):
    """No answer: the server could not be reached, or the connection broke before the answer was complete."""

    reason = "Unreachable"


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR (object: a Status)."""

    type: str
    object: Object


@dataclass(slots=True)
class Request:
    method: str
    path: str
    """Percent-decoded, without the query."""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes | Object | None = None
    """Encoded as the content-type header says, or an object (JSON; in-process callers spare the encoding)."""

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        for key, value in self.query:
            if key == name:
                return value
        return default

    def flag(self, name: str) -> bool | None:
        """A yes-or-no parameter: any spelling but `false` and `0` is a yes, as upstream reads it; None if not given."""
        for key, value in self.query:
            if key == name:
                return value.lower() not in ("false", "0")
        return None


@dataclass(slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    object: Object | None = None
    """The parsed body where the transport has it anyway."""


class Transport(Protocol):
    async def send(self, request: Request) -> Response:
        """Raises `StatusError` for an answer of 400 or more, `TransportError` if there was none."""

    def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        """Events until the server ends the watch. Raises as `send`; an ERROR event is raised as StatusError."""

    async def close(self) -> None: ...
