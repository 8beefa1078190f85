"""The objects an informer holds: by namespace and name, and by whatever indexes were asked for.

Knows nothing of watches or handlers; the informer decides what goes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.selectors import LabelSelector

Objects: TypeAlias = "list[Object]"
_Key = tuple[str, str]


class _Index:
    __slots__ = ("_buckets", "_values")

    def __init__(self, values: Callable[[Object], Iterable[str]]) -> None:
        self._values = values
        self._buckets: dict[str, dict[_Key, Object]] = {}

    def add(self, key: _Key, obj: Object) -> None:
        for value in self._values(obj):
            self._buckets.setdefault(value, {})[key] = obj

    def discard(self, key: _Key, obj: Object) -> None:
        for value in self._values(obj):
            bucket = self._buckets.get(value)
            if bucket is not None:
                bucket.pop(key, None)
                if not bucket:
                    del self._buckets[value]

    def find(self, value: str) -> Objects:
        return list(self._buckets.get(value, {}).values())


class Cache:
    def __init__(self) -> None:
        self._namespaces: dict[str, dict[str, Object]] = {}
        self._indexes: dict[str, _Index] = {}

    def get(self, namespace: str, name: str) -> Object | None:
        bucket = self._namespaces.get(namespace)
        return bucket.get(name) if bucket else None

    def list(self, namespace: str | None = None, selector: LabelSelector | None = None) -> Objects:
        if namespace is None:
            found = [obj for bucket in self._namespaces.values() for obj in bucket.values()]
        else:
            found = list(self._namespaces.get(namespace, {}).values())
        if selector is None or selector.is_empty:
            return found
        return [obj for obj in found if selector.matches(obj["metadata"].get("labels") or {})]

    def add_index(self, index: str, values: Callable[[Object], Iterable[str]]) -> None:
        if index in self._indexes:
            return
        made = self._indexes[index] = _Index(values)
        for obj in self.list():
            made.add(_key(obj), obj)

    def by_index(self, index: str, value: str) -> Objects:
        return self._indexes[index].find(value)

    def put(self, obj: Object) -> Object | None:
        """Returns what it replaces."""
        namespace, name = key = _key(obj)
        bucket = self._namespaces.setdefault(namespace, {})
        old = bucket.get(name)
        bucket[name] = obj
        for index in self._indexes.values():
            if old is not None:
                index.discard(key, old)
            index.add(key, obj)
        return old

    def remove(self, obj: Object) -> Object | None:
        """Returns what was held under the object's name."""
        namespace, name = key = _key(obj)
        bucket = self._namespaces.get(namespace, {})
        old = bucket.pop(name, None)
        if old is None:
            return None
        if not bucket:
            del self._namespaces[namespace]
        for index in self._indexes.values():
            index.discard(key, old)
        return old

    def absent_from(self, items: Iterable[Object]) -> Objects:
        """What is held but not, by name, among `items`."""
        kept = {_key(obj) for obj in items}
        return [obj for obj in self.list() if _key(obj) not in kept]


def _key(obj: Object) -> _Key:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
