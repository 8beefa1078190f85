"""A controller: informers say which keys may have changed, workers reconcile one key at a time.

A key carries no event: the pass looks at the world as it is. This module alone turns an outcome or an exception
into a requeue, a delay, a counter and a log line.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable, Terminal
from seatrial.kube.control.workqueue import WorkQueue
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from seatrial.base.clock import Clock
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""(namespace, name)"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass asks for: nothing, or another pass after so many seconds."""

    requeue_after: float | None = None


DONE = Outcome()


class Controller:
    def __init__(
        self, name: str, reconcile: Callable[[Key], Awaitable[Outcome]], *, clock: Clock, workers: int = 2
    ) -> None:
        self.name = name
        self.passes = 0
        self.retries = 0
        self.errors = 0
        self._reconcile = reconcile
        self._workers = workers
        self._queue: WorkQueue[Key] = WorkQueue(clock)
        self._informers: list[Informer] = []

    def enqueue(self, key: Key, after: float = 0.0) -> None:
        self._queue.add_after(key, after)

    def watches(self, informer: Informer, keys: Callable[[Object], Iterable[Key]] | None = None) -> None:
        """Reconcile `keys` of every object that changes, of its old and its new state (None: its own key)."""
        self._informers.append(informer)
        add = self._queue.add

        def own(old: Object | None, new: Object | None) -> None:
            add(own_key(new if new is not None else old or {}))

        def mapped(old: Object | None, new: Object | None) -> None:
            for obj in (old, new):
                if obj is not None:
                    for key in keys(obj) if keys else ():
                        add(key)

        informer.on_change(own if keys is None else mapped)

    async def run(self) -> None:
        """Work until cancelled, from the moment every watched informer is synced."""
        for informer in self._informers:
            await informer.wait_synced()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"{self.name} worker {number}")
        finally:
            self._queue.close()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._pass(key)
            finally:
                self._queue.done(key)

    async def _pass(self, key: Key) -> None:
        self.passes += 1
        try:
            outcome = await self._reconcile(key)
        except Terminal as error:
            self.errors += 1
            self._queue.forget(key)
            log.error("reconcile failed for good", extra=self._fields(key, error))
        except (Retryable, StatusError) as error:
            self._retry(key, error)
        except Exception as error:
            self.errors += 1
            log.exception("reconcile crashed", extra=self._fields(key, error))
            self._queue.add_rate_limited(key)
        else:
            self._queue.forget(key)
            if outcome.requeue_after is not None:
                self._queue.add_after(key, outcome.requeue_after)

    def _retry(self, key: Key, error: Retryable | StatusError) -> None:
        """A conflict or a busy server is everyday: said aloud only when the server refused what was asked."""
        if isinstance(error, StatusError) and not _expected(error):
            self.errors += 1
            log.warning("reconcile failed", extra=self._fields(key, error))
        else:
            self.retries += 1
            log.debug("reconcile will be retried", extra=self._fields(key, error))
        self._queue.add_rate_limited(key)

    def _fields(self, key: Key, error: BaseException) -> dict[str, object]:
        return {"controller": self.name, "key": "/".join(key), "error": error}


def _expected(error: StatusError) -> bool:
    return error.code in (404, 409, 429, 503, 504)


def own_key(obj: Object) -> Key:
    metadata = obj.get("metadata") or {}
    return metadata.get("namespace") or "", metadata.get("name") or ""


def owner_keys(kind: str, group: str) -> Callable[[Object], Iterable[Key]]:
    """Maps an object to the key of its controller, if that is of this kind and group (any version)."""

    def keys(obj: Object) -> Iterable[Key]:
        owner = objects.controller_of(obj)
        if owner is None or owner.get("kind") != kind:
            return ()
        if objects.split_api_version(owner.get("apiVersion", ""))[0] != group:
            return ()
        return ((objects.namespace(obj), owner.get("name", "")),)

    return keys
