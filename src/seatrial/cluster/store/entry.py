"""One object at one revision, as a parsed dict and as the JSON that answers are put together from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


class Entry:
    """Immutable by convention: a change makes another Entry.

    The dict is parsed when first asked for: opening a large store costs no parsing, and old states kept only for
    the event window can give theirs back (`cool`).
    """

    __slots__ = ("_object", "data", "name", "namespace", "resource", "revision")

    def __init__(
        self, resource: str, namespace: str, name: str, revision: int, data: bytes, obj: Object | None = None
    ) -> None:
        self.resource = resource
        """`pods`, `deployments.apps`"""
        self.namespace = namespace
        """"" if cluster-scoped"""
        self.name = name
        self.revision = revision
        self.data = data
        self._object = obj

    @classmethod
    def encoded(cls, resource: str, namespace: str, name: str, revision: int, obj: Object) -> Entry:
        """The entry of `obj`, which it takes over and stamps with the revision."""
        obj.setdefault("metadata", {})["resourceVersion"] = str(revision)
        return cls(resource, namespace, name, revision, orjson.dumps(obj), obj)

    def buried(self, revision: int) -> Entry:
        """What a watcher is told on deletion: the last state, stamped with the revision of the deletion."""
        last = self.object
        meta: dict[str, Any] = dict(last.get("metadata") or {})
        return Entry.encoded(self.resource, self.namespace, self.name, revision, {**last, "metadata": meta})

    @property
    def object(self) -> Object:
        found = self._object
        if found is None:
            found = self._object = orjson.loads(self.data)
        return found

    def cool(self) -> None:
        """Forget the dict; it comes back on demand."""
        self._object = None

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f'{self.resource} "{where}"'

    def __repr__(self) -> str:
        return f"<Entry {self} @{self.revision}>"
