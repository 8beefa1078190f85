"""watch: what changes, from a revision on, in revision order and without gaps.

Four openings: from `resourceVersion` N (resume); from "" or "0" (the present state as ADDED, then on); with
`sendInitialEvents` (the same, closed by a bookmark that says so: WatchList, KEP-3157). A watcher that falls behind
the event window gets 410 as an ERROR event and lists anew. Objects that leave a selector appear as DELETED, those
that enter as ADDED. Only what is on disk is shown: the opening state is that of the durable revision.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver import projection, selection
from seatrial.cluster.apiserver.answer import Delivery, Notice, WatchAnswer
from seatrial.cluster.apiserver.verbs.read import revision_number, whole_number
from seatrial.cluster.store.errors import Compacted, StoreClosed
from seatrial.kube.model import status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.cluster.store.entry import Entry
    from seatrial.cluster.store.event import Event
    from seatrial.cluster.store.store import Subscription
    from seatrial.kube.model.objects import Object

_DEFAULT_SECONDS = 1800
_BOOKMARK_SECONDS = 60.0
"""Upstream sends a bookmark about once a minute, and just before the watch ends."""
_INITIAL_BATCH = 500
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


async def watch(core: Core, call: Call) -> WatchAnswer:
    initial = _initial_events(call)
    asked = call.request.param("resourceVersion")
    revision = revision_number(asked)
    if revision > core.store.revision:
        raise status.too_large_resource_version(revision, core.store.revision)
    seconds = min(whole_number(call, "timeoutSeconds") or _DEFAULT_SECONDS, 4 * 3600)
    view = _View(core, call)
    announce = bool(initial)
    if initial is None:
        initial = revision == 0
    await core.store.settled(revision or core.store.revision)
    key, namespace = call.kind.key, call.namespace or None
    start = revision if revision and not initial else core.store.durable
    try:
        snapshot = core.store.list_at(key, namespace, start) if initial else []
        subscription = core.store.subscribe(key, namespace, start)
    except Compacted:
        batches = _expired(f"too old resource version: {revision}")
    else:
        batches = _batches(view, snapshot, start, subscription, seconds, announce)
    return WatchAnswer(batches, warnings=call.warnings)


async def _expired(message: str) -> AsyncIterator[Sequence[Delivery]]:
    """410 as an event, not as the answer's code: that is what makes clients try once more by themselves."""
    yield [Notice("ERROR", status.expired(message).to_object())]


def _initial_events(call: Call) -> bool | None:
    """`sendInitialEvents`, checked against `resourceVersionMatch`; None when absent. Raises 422."""
    given, match = call.request.flag("sendInitialEvents"), call.request.param("resourceVersionMatch")
    causes = []
    if given is not None and match != "NotOlderThan":
        detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        causes.append(status.forbidden_value("resourceVersionMatch", detail))
    elif match and given is None:
        detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(status.forbidden_value("resourceVersionMatch", detail))
    if causes:
        raise status.invalid("meta.k8s.io", "ListOptions", "", causes)
    return given


class _View:
    """How one watcher sees events: through its selector, version and form."""

    def __init__(self, core: Core, call: Call) -> None:
        self.kind = call.kind
        self.form = projection.asked(call.request)
        self.bookmarks = bool(call.request.flag("allowWatchBookmarks"))
        self._clock = core.clock
        self._matches = selection.matcher(call)
        self._plain = not self.form.name and call.kind.is_stored_as_served
        self._header_sent = False

    def initial(self, entries: Sequence[Entry]) -> list[Delivery]:
        served = (self.kind.served(entry.object) for entry in entries)
        return [self._notice("ADDED", obj) for obj in served if self._matches is None or self._matches(obj)]

    def seen(self, events: Sequence[Event]) -> Sequence[Delivery]:
        if self._plain and self._matches is None:
            return events
        return [delivery for event in events if (delivery := self._one(event)) is not None]

    def _one(self, event: Event) -> Delivery | None:
        obj = self.kind.served(event.entry.object)
        kind = self._type_for(event, obj, self._matches)
        if not kind:
            return None
        if self._plain and kind == event.type:
            return event
        if kind == "DELETED" and event.previous is not None and event.type != "DELETED":
            obj = self._last_match(event.previous.object, obj)
        return self._notice(kind, obj)

    def _last_match(self, previous: Object, now: Object) -> Object:
        """What leaves a selector is shown as it was while it matched, at the revision at which it left."""
        before = self.kind.served(previous)
        version = now["metadata"]["resourceVersion"]
        return {**before, "metadata": {**before["metadata"], "resourceVersion": version}}

    def _type_for(self, event: Event, obj: Object, matches: Callable[[Object], bool] | None) -> str:
        if matches is None:
            return event.type
        before = event.previous is not None and matches(self.kind.served(event.previous.object))
        after = event.type != "DELETED" and matches(obj)
        if before:
            return "MODIFIED" if after else "DELETED"
        return "ADDED" if after else ""

    def _notice(self, kind: str, obj: Object) -> Notice:
        header, self._header_sent = not self._header_sent, True
        return Notice(kind, projection.project(self.kind, obj, self.form, self._clock.time(), header=header))

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> Notice:
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if annotations:
            meta["annotations"] = annotations
        resource = self.kind.resource
        obj: Object = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if self.form.name == "Table":
            obj = {
                "kind": "Table",
                "apiVersion": f"meta.k8s.io/{self.form.version}",
                "metadata": {"resourceVersion": str(revision)},
                "columnDefinitions": [],
                "rows": [{"cells": [], "object": projection.partial(obj, self.form.version)}],
            }
        elif self.form.name:
            obj = projection.partial(obj, self.form.version)
        return Notice("BOOKMARK", obj)


async def _batches(
    view: _View,
    snapshot: Sequence[Entry],
    start: int,
    subscription: Subscription,
    seconds: float,
    announce: bool,
) -> AsyncIterator[Sequence[Delivery]]:
    """`snapshot` is the state at revision `start`, `subscription` what comes after it."""
    try:
        for first in range(0, len(snapshot), _INITIAL_BATCH):
            if batch := view.initial(snapshot[first : first + _INITIAL_BATCH]):
                yield batch
        if announce:
            yield [view.bookmark(start, {INITIAL_EVENTS_END: "true"})]
        async for events in _until(subscription, seconds):
            if not events:
                if view.bookmarks:
                    yield [view.bookmark(subscription.position())]
            elif seen := view.seen(events):
                yield seen
    except Compacted:
        async for last in _expired("too old resource version: the watch fell behind the event window"):
            yield last
    except StoreClosed:
        return
    finally:
        subscription.close()


async def _until(subscription: Subscription, seconds: float) -> AsyncIterator[Sequence[Event]]:
    """Batches of events for `seconds`; an empty batch each time a bookmark is due (and once at the end)."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    bookmark = loop.time() + _BOOKMARK_SECONDS
    while True:
        now = loop.time()
        if now >= end:
            yield ()
            return
        if now >= bookmark:
            yield ()
            bookmark = now + _BOOKMARK_SECONDS
        try:
            async with asyncio.timeout_at(min(end, bookmark)):
                events = await subscription.next()
        except TimeoutError:
            continue
        yield events
