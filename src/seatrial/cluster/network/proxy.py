"""Keeps the Service rules as the EndpointSlices are: every change within milliseconds, bursts in one transaction.

Informers mark Services; one loop compiles the marked ones and applies the difference. `settled` is how `routes` knows
that what the informers showed has become rules.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from seatrial.cluster.network import backends, conntrack, services
from seatrial.cluster.network.backends import BY_SERVICE
from seatrial.cluster.network.rules import Table
from seatrial.cluster.network.services import TABLE, Compiled, compile_service
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.base.clock import Clock
    from seatrial.cluster.network.backends import Backend
    from seatrial.cluster.network.nft import Nft
    from seatrial.kube.control.controller import Key
    from seatrial.kube.control.informer import Informer, InformerFactory
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.002
"""What changes together comes within this time."""


class Applier:
    """A loop that turns marked keys into rules, and lets others wait until it has."""

    name = "rules"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._dirty: set[Key] = set()
        self._marked = asyncio.Event()
        self._asked = 0
        self._done = 0
        self._progress = asyncio.Condition()

    def mark(self, key: Key) -> None:
        self._dirty.add(key)
        self._asked += 1
        self._marked.set()

    async def settled(self) -> None:
        """Return once everything marked before this call is applied."""
        wanted = self._asked
        async with self._progress:
            await self._progress.wait_for(lambda: self._done >= wanted)

    async def follow(self) -> None:
        """Apply what is marked, until cancelled."""
        while True:
            await self._marked.wait()
            await self._clock.sleep(_GATHER_SECONDS)
            self._marked.clear()
            dirty, self._dirty, asked = self._dirty, set(), self._asked
            await self.apply(dirty)
            async with self._progress:
                self._done = asked
                self._progress.notify_all()

    async def apply(self, dirty: set[Key]) -> None:
        raise NotImplementedError


class Proxy(Applier):
    name = "service proxy"

    def __init__(self, nft: Nft, informers: InformerFactory, clock: Clock, node: str = "") -> None:
        super().__init__(clock)
        self._node = node
        self._table = Table(nft, TABLE, services.BASE)
        self.services = informers.get(resources.for_plural("services"))
        self.slices = informers.get(resources.for_plural("endpointslices", "discovery.k8s.io"))
        self.slices.add_index(BY_SERVICE, backends.service_index)
        self._udp: dict[Key, frozenset[tuple[str, int, Backend]]] = {}
        _mark_changed(self, self.services, lambda item: [(objects.namespace(item), objects.name(item))])
        _mark_changed(self, self.slices, backends.service_keys)

    async def run(self) -> None:
        await self.services.wait_synced()
        await self.slices.wait_synced()
        await self.apply(set())  # the table itself, also where there is no Service yet
        await self.follow()

    async def apply(self, dirty: set[Key]) -> None:
        compiled = {key: self._compile(key) for key in dirty}
        await self._table.apply({key: item.fragment if item else None for key, item in compiled.items()})
        gone: set[tuple[str, int, Backend]] = set()
        for key, item in compiled.items():
            now = item.udp if item else frozenset()
            gone |= self._udp.pop(key, frozenset()) - now
            if now:
                self._udp[key] = now
        if gone:
            await asyncio.to_thread(conntrack.forget, gone)

    def _compile(self, key: Key) -> Compiled | None:
        service = self.services.get(*key)
        if service is None:
            return None
        return compile_service(service, self.slices.by_index(BY_SERVICE, "/".join(key)), self._node)


def _mark_changed(applier: Applier, informer: Informer, keys: KeysOf) -> None:
    def changed(old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            for key in keys(obj) if obj is not None else ():
                applier.mark(key)

    informer.on_change(changed)


if TYPE_CHECKING:
    from collections.abc import Callable

    KeysOf = Callable[[Object], Iterable[Key]]
