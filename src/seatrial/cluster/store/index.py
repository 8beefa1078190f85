"""The present state: every entry by resource, namespace and name, always in listing order."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.cluster.store.entry import Entry


class _Shelf:
    """The entries of one resource in one namespace; `names` stays sorted, so a listing never sorts."""

    __slots__ = ("entries", "names")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.names: list[str] = []

    def put(self, entry: Entry) -> None:
        if entry.name not in self.entries:
            insort(self.names, entry.name)
        self.entries[entry.name] = entry

    def remove(self, name: str) -> None:
        del self.entries[name]
        del self.names[bisect_left(self.names, name)]

    def listing(self) -> list[Entry]:
        entries = self.entries
        return [entries[name] for name in self.names]


class Index:
    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._shelves: dict[str, dict[str, _Shelf]] = {}
        for entry in entries:
            shelf = self._shelf(entry.resource, entry.namespace)
            shelf.entries[entry.name] = entry
        for shelves in self._shelves.values():
            for shelf in shelves.values():
                shelf.names = sorted(shelf.entries)

    def _shelf(self, resource: str, namespace: str) -> _Shelf:
        shelves = self._shelves.setdefault(resource, {})
        shelf = shelves.get(namespace)
        if shelf is None:
            shelf = shelves[namespace] = _Shelf()
        return shelf

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        shelves = self._shelves.get(resource)
        shelf = shelves.get(namespace) if shelves else None
        return shelf.entries.get(name) if shelf else None

    def put(self, entry: Entry) -> None:
        self._shelf(entry.resource, entry.namespace).put(entry)

    def remove(self, entry: Entry) -> None:
        shelves = self._shelves[entry.resource]
        shelf = shelves[entry.namespace]
        shelf.remove(entry.name)
        if not shelf.entries:
            del shelves[entry.namespace]

    def listing(self, resource: str, namespace: str | None) -> list[Entry]:
        shelves = self._shelves.get(resource, {})
        if namespace is not None:
            shelf = shelves.get(namespace)
            return shelf.listing() if shelf else []
        return [entry for _, shelf in sorted(shelves.items()) for entry in shelf.listing()]

    def count(self, resource: str, namespace: str | None) -> int:
        shelves = self._shelves.get(resource, {})
        if namespace is not None:
            shelf = shelves.get(namespace)
            return len(shelf.entries) if shelf else 0
        return sum(len(shelf.entries) for shelf in shelves.values())

    def resources(self) -> list[str]:
        return sorted(resource for resource, shelves in self._shelves.items() if shelves)
