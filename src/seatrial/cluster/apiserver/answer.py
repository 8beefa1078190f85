"""What a verb answers with. HTTP wants bytes, an in-process caller wants objects; each is made only when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from pathlib import Path

    from seatrial.cluster.store.entry import Entry
    from seatrial.kube.model.objects import Object

JSON = "application/json"
PIECE = 256 * 1024
"""Bytes handed to a connection at once, and so about what a client that does not read costs."""


def pieces(parts: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The parts in groups of about `PIECE` bytes, or of one part that is larger."""
    group: list[bytes] = []
    size = 0
    for part in parts:
        group.append(part)
        size += len(part)
        if size >= PIECE:
            yield group
            group, size = [], 0
    if group:
        yield group


class Answer:
    """One object, or raw bytes of some content type. `warnings` become `Warning: 299` headers."""

    __slots__ = ("_data", "_object", "content_type", "headers", "status", "warnings")

    def __init__(
        self,
        status: int = 200,
        *,
        object: Object | None = None,
        data: bytes | None = None,
        content_type: str = JSON,
        warnings: Sequence[str] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self._object = object
        self._data = data
        self.content_type = content_type
        self.warnings = warnings
        self.headers = headers or {}

    @property
    def data(self) -> bytes:
        if self._data is None:
            self._data = orjson.dumps(self._object)
        return self._data

    @property
    def object(self) -> Object:
        if self._object is None:
            self._object = orjson.loads(self._data or b"{}")
        return self._object

    @property
    def size(self) -> int:
        """Bytes of `data`."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """`data` in pieces of about `PIECE` bytes: the first is read while the next is put together and encrypted."""
        data = self.data
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]


_CLOSING = b"]}"


class ListAnswer(Answer):
    """A list put together from the items' stored encodings, never encoded again."""

    __slots__ = ("_entries", "_head")

    def __init__(self, head: dict[str, Any], entries: Sequence[Entry], warnings: Sequence[str] = ()) -> None:
        super().__init__(warnings=warnings)
        self._head = head
        self._entries = entries

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks())

    @property
    def object(self) -> Object:
        return {**self._head, "items": [entry.object for entry in self._entries]}

    def _opening(self) -> bytes:
        return orjson.dumps(self._head)[:-1] + b',"items":['

    @property
    def size(self) -> int:
        commas = max(0, len(self._entries) - 1)
        return len(self._opening()) + sum([len(entry.data) for entry in self._entries]) + commas + len(_CLOSING)

    def chunks(self) -> Iterator[bytes]:
        yield self._opening()
        separator = b""
        for items in pieces([entry.data for entry in self._entries]):
            yield separator + b",".join(items)
            separator = b","
        yield _CLOSING


class Delivery(Protocol):
    """One watch event on its way to a client; the store's own events are deliveries as they are."""

    type: str

    @property
    def object(self) -> Any:
        """The object (an `Object`; `Any` because the name hides the type here)."""

    @property
    def frame(self) -> bytes:
        """The event as one line of JSON."""


class Notice:
    """A delivery made for one watcher: a bookmark, an error, or an event seen through a projection."""

    __slots__ = ("object", "type")

    def __init__(self, type: str, object: Object) -> None:
        self.type = type
        self.object = object

    @property
    def frame(self) -> bytes:
        return orjson.dumps({"type": self.type, "object": self.object}) + b"\n"


class WatchAnswer:
    """An endless answer: batches of deliveries until the watch ends."""

    __slots__ = ("batches", "content_type", "warnings")

    def __init__(
        self,
        batches: AsyncIterator[Sequence[Delivery]],
        content_type: str = JSON,
        warnings: Sequence[str] = (),
    ) -> None:
        self.batches = batches
        self.content_type = content_type
        self.warnings = warnings


class StreamAnswer:
    """Bytes that come when they come: a log that is followed."""

    def __init__(self, content_type: str, first: bytes, chunks: AsyncIterator[bytes]) -> None:
        """`first` is there already: whoever made this has seen that it works."""
        self.content_type = content_type
        self.warnings: Sequence[str] = ()
        self._first = first
        self._chunks = chunks

    async def frames(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        async for chunk in self._chunks:
            yield chunk


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The connection is to be handed over: to whoever listens on `socket`, after `head`."""

    socket: Path
    head: bytes
