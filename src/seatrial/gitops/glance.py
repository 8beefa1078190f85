"""A Glance: what a cluster has at one moment, in the shape of informers, for work that is over in seconds.

Unlike an informer it never watches and never tries again: what cannot be read is an error at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

    Handler = Callable[[Object | None, Object | None], None]
    Items = list[Object]


class Seen:
    """The objects of one scope, once they have been read."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Object] = {}
        self._handlers: list[Handler] = []

    def get(self, namespace: str, name: str) -> Object | None:
        return self._objects.get((namespace, name))

    def list(self) -> Items:
        return [*self._objects.values()]

    def on_change(self, handler: Handler) -> None:
        self._handlers.append(handler)

    async def wait_synced(self) -> None:
        """Nothing to wait for: `Glance.look` has returned."""

    def take(self, items: Items) -> None:
        self._objects = {(objects.namespace(obj), objects.name(obj)): obj for obj in items}
        for obj in items[-1:]:  # one change is enough to have everything read anew
            for handler in self._handlers:
                handler(None, obj)


class Glance:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: list[tuple[Seen, Resource, str, str, str]] = []

    def get(self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Seen:
        """Empty until `look`."""
        seen = Seen()
        self._asked.append((seen, resource, namespace, label_selector, field_selector))
        return seen

    async def look(self) -> None:
        """Read everything that was asked for. Raises StatusError, TransportError."""
        await asyncio.gather(*(self._read(*asked) for asked in self._asked))

    async def _read(self, seen: Seen, resource: Resource, namespace: str, labels: str, fields: str) -> None:
        found = await self._client.list(resource, namespace, label_selector=labels, field_selector=fields)
        seen.take(found.items)
