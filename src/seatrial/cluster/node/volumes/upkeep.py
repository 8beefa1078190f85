"""Volumes that come from the API stay current: written anew as soon as a watch tells of a change, or a token ages."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from seatrial.cluster.node.volumes import payload
from seatrial.cluster.node.volumes.errors import VolumeNotReady
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.volumes.projection import Projection, Projector
    from seatrial.kube.control.informer import Informer, InformerFactory
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_RETRY_SECONDS = 10.0
"""After an update that failed."""


class Upkeep:
    def __init__(self, projector: Projector, informers: InformerFactory, clock: Clock) -> None:
        self._projector = projector
        self._clock = clock
        self._of_pod: dict[str, dict[str, Projection]] = defaultdict(dict)
        """By uid and name."""
        self._showing: dict[tuple[str, str, str], list[Projection]] = defaultdict(list)
        """By kind, namespace and name of what they show."""
        self._stale: list[Projection] = []
        self._wake = asyncio.Event()
        for kind, informer in projector.informers.items():
            self._follow(kind, informer)
        informers.get(resources.for_plural("pods")).on_change(self._pod_changed)

    async def add(self, made: Projection) -> None:
        """Write it, and keep it current from now on. Raises VolumeNotReady; then it is not kept."""
        # Noted first: what changes while it is written must not be missed.
        self._note(made)
        try:
            async with made.lock:
                await self._projector.write(made)
        except BaseException:
            self._forget(made)
            raise
        if made.due < math.inf:
            self._wake.set()  # it may be the next that is due

    async def drop(self, uid: str) -> None:
        """Every one of the pod; none is written any more on return."""
        for made in list(self._of_pod.get(uid, {}).values()):
            self._forget(made)
            async with made.lock:
                pass

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._until_needed()
            now = self._clock.time()
            stale, self._stale = self._stale, []
            stale += [made for made in self._all() if made.due <= now]
            for made in dict.fromkeys(stale):
                await self._refresh(made)

    def _all(self) -> Iterable[Projection]:
        return (made for of_pod in self._of_pod.values() for made in of_pod.values())

    async def _until_needed(self) -> None:
        """Something is stale, or due."""
        wait = min((made.due for made in self._all()), default=math.inf) - self._clock.time()
        if not self._wake.is_set() and wait > 0:
            tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
            if wait < math.inf:
                tasks.append(asyncio.ensure_future(self._clock.sleep(wait)))
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        self._wake.clear()

    async def _refresh(self, made: Projection) -> None:
        async with made.lock:
            if self._of_pod.get(made.uid, {}).get(made.name) is not made:
                return
            try:
                await self._projector.write(made)
            except VolumeNotReady as error:
                self._failed(made, error.message)
            else:
                made.retry_at, made.problem = math.inf, ""

    def _failed(self, made: Projection, problem: str) -> None:
        made.retry_at = self._clock.time() + _RETRY_SECONDS
        if problem != made.problem:  # said once
            made.problem = problem
            shown = f"{objects.namespace(made.pod)}/{objects.name(made.pod)}"
            log.warning("a volume stays as it was", extra={"pod": shown, "volume": made.name, "why": problem})

    def _note(self, made: Projection) -> None:
        self._of_pod[made.uid][made.name] = made
        for kind, name in payload.sources(made.spec):
            self._showing[kind, objects.namespace(made.pod), name].append(made)

    def _forget(self, made: Projection) -> None:
        of_pod = self._of_pod.get(made.uid, {})
        of_pod.pop(made.name, None)
        if not of_pod:
            self._of_pod.pop(made.uid, None)
        for kind, name in payload.sources(made.spec):
            key = kind, objects.namespace(made.pod), name
            left = [other for other in self._showing.pop(key, ()) if other is not made]
            if left:
                self._showing[key] = left

    def _follow(self, kind: str, informer: Informer) -> None:
        def changed(old: Object | None, new: Object | None) -> None:
            obj = new or old or {}
            self._outdated(self._showing.get((kind, objects.namespace(obj), objects.name(obj)), ()))

        informer.on_change(changed)

    def _pod_changed(self, _old: Object | None, new: Object | None) -> None:
        if new is None:
            return
        for made in self._of_pod.get(objects.uid(new), {}).values():
            before, made.pod = made.pod, new
            if payload.shows_pod(made.spec) and _shown(before) != _shown(new):
                self._outdated((made,))

    def _outdated(self, found: Iterable[Projection]) -> None:
        self._stale += found
        if self._stale:
            self._wake.set()


def _shown(pod: Object) -> object:
    """What of a pod changes and is told by the downward API."""
    return objects.labels(pod), objects.annotations(pod)
