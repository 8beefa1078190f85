"""An informer: a local, indexed copy of one resource, kept current by a watch, that tells handlers what changed.

Everything that reacts to the cluster reads from here and never polls; its objects are shared, not to be changed.
The copy follows the server in order; after a gap (410, a restart) it is replaced as a whole and handlers get
the difference, deletions missed included.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.errors import Retryable
from seatrial.kube.control.backoff import Backoff
from seatrial.kube.control.cache import Cache
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from seatrial.base.clock import Clock
    from seatrial.base.tasks import TaskGroup
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.transport import WatchEvent
    from seatrial.kube.control.cache import Objects
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource
    from seatrial.kube.model.selectors import LabelSelector

    Handler = Callable[[Object | None, Object | None], None]

log = logging.getLogger(__name__)

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
WATCH_SECONDS = 420
"""How long one watch is asked to last; a connection that died unnoticed is replaced by then."""
WATCH_LIST_PATIENCE = 10.0
"""Seconds between two initial events before the server is taken for one that ignores sendInitialEvents."""

_REFUSALS = frozenset({400, 401, 403, 404, 405, 422, 500})
"""Not answers of a server that is busy, restarting or past our place: somebody should hear of them."""


class Scope(NamedTuple):
    """What an informer copies."""

    resource: Resource
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""


class _WatchListUnsupported(Exception):
    """A signal inside this module: load with LIST from now on."""


class Informer:
    def __init__(self, client: Client, clock: Clock, scope: Scope) -> None:
        self.resource = scope.resource
        self._scope = scope
        self._client = client
        self._clock = clock
        self._cache = Cache()
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._version = ""
        self._watch_list = True
        self._backoff = Backoff(f"{scope.resource}/{scope.namespace}")

    # reading

    def get(self, namespace: str, name: str) -> Object | None:
        return self._cache.get(namespace, name)

    def list(self, namespace: str | None = None, selector: LabelSelector | None = None) -> Objects:
        """Objects of one namespace (None: of all) whose labels match."""
        return self._cache.list(namespace, selector)

    def add_index(self, index: str, values: Callable[[Object], Iterable[str]]) -> None:
        """Keep objects findable `by_index` under each of `values(obj)`. An index that exists already stays."""
        self._cache.add_index(index, values)

    def by_index(self, index: str, value: str) -> Objects:
        """Raises KeyError if there is no such index."""
        return self._cache.by_index(index, value)

    def on_change(self, handler: Handler) -> None:
        """Call `handler(old, new)` on every change, and now for what is there (old None: added, new None: gone).

        Handlers run on the event loop inside the delivery of the event: they must be quick and not block.
        """
        self._handlers.append(handler)
        for obj in self._cache.list():
            _call(handler, None, obj)

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    # following

    async def run(self) -> None:
        """Follow the server until cancelled; every failure is retried with growing delays."""
        while True:
            try:
                await self._follow()
            except _WatchListUnsupported:
                self._watch_list = False
            except StatusError as error:
                await self._recover(error)
            except Retryable as error:
                await self._pause(error)

    async def _follow(self) -> None:
        if not self._version:
            if self._watch_list:
                await self._watch_from_empty()
                return
            await self._load()
        await self._watch_on()

    async def _recover(self, error: StatusError) -> None:
        if _lost_place(error):
            self._version = ""  # the next round loads everything anew
        await self._pause(error)

    async def _pause(self, error: Exception | None = None) -> None:
        delay = self._backoff.next()
        if error is not None:
            refused = isinstance(error, StatusError) and error.code in _REFUSALS
            fields = {"resource": self.resource, "error": error, "retry_in": delay}
            log.log(logging.WARNING if refused else logging.DEBUG, "watch broke", extra=fields)
        await self._clock.sleep(delay)

    async def _load(self) -> None:
        """LIST: for servers without WatchList."""
        scope = self._scope
        found = await self._client.list(
            scope.resource,
            scope.namespace,
            label_selector=scope.label_selector,
            field_selector=scope.field_selector,
        )
        self._replace(found.items, found.resource_version)

    async def _watch_from_empty(self) -> None:
        """One watch that first brings everything, then a bookmark, then what changes."""
        initial: Objects | None = []
        try:
            async with asyncio.timeout(WATCH_LIST_PATIENCE) as patience, _closing(self._open()) as events:
                async for event in events:
                    if initial is None:
                        self._take(event)
                    elif event.type == "BOOKMARK" and _ends_initial_events(event.object):
                        self._replace(initial, _version(event.object))
                        initial = None
                        patience.reschedule(None)
                    else:
                        if event.type == "ADDED":
                            initial.append(event.object)
                        patience.reschedule(asyncio.get_running_loop().time() + WATCH_LIST_PATIENCE)
        except TimeoutError:
            raise _WatchListUnsupported from None
        except StatusError as error:
            if initial is not None and error.code in (400, 422):
                raise _WatchListUnsupported from None
            raise
        if initial is not None:
            raise _WatchListUnsupported  # it ended before the bookmark; LIST works with every server

    async def _watch_on(self) -> None:
        """Watch from where the copy stands."""
        before = self._version
        async with _closing(self._open()) as events:
            async for event in events:
                self._take(event)
        if self._version == before:
            await self._pause()  # a server that ends watches at once must not be hammered

    def _open(self) -> AsyncIterator[WatchEvent]:
        scope = self._scope
        return self._client.watch(
            scope.resource,
            scope.namespace,
            resource_version=self._version,
            label_selector=scope.label_selector,
            field_selector=scope.field_selector,
            send_initial_events=not self._version,
            timeout_seconds=WATCH_SECONDS,
        )

    # changing

    def _take(self, event: WatchEvent) -> None:
        obj = event.object
        if event.type == "DELETED":
            self._remove(obj)
        elif event.type in ("ADDED", "MODIFIED"):
            self._put(obj)
        elif event.type != "BOOKMARK":
            return
        self._version = _version(obj) or self._version
        self._backoff.reset()

    def _put(self, obj: Object) -> None:
        old = self._cache.put(obj)
        if old is None:
            self._tell(None, obj)
        elif _uid(old) != _uid(obj):
            self._tell(old, None)
            self._tell(None, obj)
        elif old is not obj and _version(old) != _version(obj):
            self._tell(old, obj)

    def _remove(self, obj: Object) -> None:
        """Handlers get the last state, as the server sent it."""
        if self._cache.remove(obj) is not None:
            self._tell(obj, None)

    def _replace(self, items: Objects, version: str) -> None:
        for gone in self._cache.absent_from(items):
            self._cache.remove(gone)
            self._tell(gone, None)
        for obj in items:
            self._put(obj)
        self._version = version
        self._backoff.reset()
        self._synced.set()

    def _tell(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            _call(handler, old, new)


class InformerFactory:
    """Shares one informer between all who ask for the same scope, and runs them."""

    def __init__(self, client: Client, clock: Clock, tasks: TaskGroup) -> None:
        self._client = client
        self._clock = clock
        self._tasks = tasks
        self._informers: dict[Scope, Informer] = {}
        self._started = False

    def get(
        self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Informer:
        """The informer of that scope; it runs from `start` on, or at once if that has been."""
        scope = Scope(resource, namespace, label_selector, field_selector)
        informer = self._informers.get(scope)
        if informer is None:
            informer = self._informers[scope] = Informer(self._client, self._clock, scope)
            if self._started:
                self._run(informer)
        return informer

    def start(self) -> None:
        if not self._started:
            self._started = True
            for informer in self._informers.values():
                self._run(informer)

    async def wait_synced(self) -> None:
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    def _run(self, informer: Informer) -> None:
        self._tasks.start(f"informer {informer.resource}", informer.run())


def _call(handler: Handler, old: Object | None, new: Object | None) -> None:
    try:
        handler(old, new)
    except Exception:
        log.exception("informer handler crashed", extra={"handler": handler})


@asynccontextmanager
async def _closing(events: AsyncIterator[WatchEvent]) -> AsyncIterator[AsyncIterator[WatchEvent]]:
    """Closes a watch that is a generator; others end with their iterator."""
    try:
        yield events
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


def _lost_place(error: StatusError) -> bool:
    """The server no longer, or (restored from older data) not yet, knows the resourceVersion."""
    causes = error.details.get("causes") or ()
    too_large = any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes)
    return error.code == 410 or error.reason in ("Expired", "Gone") or too_large


def _ends_initial_events(bookmark: Object) -> bool:
    annotations = (bookmark.get("metadata") or {}).get("annotations") or {}
    return annotations.get(INITIAL_EVENTS_END) == "true"


def _version(obj: Object) -> str:
    version: str = obj["metadata"].get("resourceVersion") or ""
    return version


def _uid(obj: Object) -> str | None:
    uid: str | None = obj["metadata"].get("uid")
    return uid
