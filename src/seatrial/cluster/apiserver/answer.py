"""What a verb answers with. HTTP wants bytes, an in-process caller wants objects; each is made only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from seatrial.kube.model.objects import Object

JSON = "application/json"


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


class ListAnswer(Answer):
    """A list put together from the items' stored encodings, never encoded again."""

    __slots__ = ("_encoded", "_head", "_items")

    def __init__(self, head: dict[str, Any], items: Sequence[Object], encoded: Sequence[bytes]) -> None:
        super().__init__()
        self._head = head
        self._items = items
        self._encoded = encoded

    @property
    def data(self) -> bytes:
        head = orjson.dumps(self._head)[:-1]
        return b"".join((head, b',"items":[', b",".join(self._encoded), b"]}"))

    @property
    def object(self) -> Object:
        return {**self._head, "items": list(self._items)}


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
