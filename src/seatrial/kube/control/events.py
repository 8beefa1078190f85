"""Events: what controllers tell the person who runs `kubectl describe`.

`event` only notes; `run` writes. A repeat of an event raises the count of the object already written, and repeats
that come faster than the server answers are written once.
"""

from __future__ import annotations

import logging
from asyncio import Event as Signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Retryable
from seatrial.kube.client.client import PatchType
from seatrial.kube.control.backoff import Backoff
from seatrial.kube.model import objects
from seatrial.kube.model.resources import Resource
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

EVENTS = Resource("", "v1", "Event", "events", namespaced=True)
MOST_PENDING = 1000
MOST_REMEMBERED = 4096
"""Events whose repeats are still recognised; the oldest is forgotten first."""
LONGEST_MESSAGE = 1024
"""The API refuses longer ones."""
TRIES = 5

EventType = Literal["Normal", "Warning"]


@dataclass(slots=True)
class _Entry:
    """One event and its repeats."""

    body: Object
    count: int = 0
    last: float = 0.0
    written: bool = False


class EventRecorder:
    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self._client = client
        self._clock = clock
        self._component = component
        self._host = host
        self._entries: dict[tuple[str, ...], _Entry] = {}
        self._pending: dict[int, _Entry] = {}
        self._wake = Signal()
        self._made = 0
        self._backoff = Backoff(f"events {component}")

    def event(
        self,
        obj: Object,
        type_: EventType,
        reason: str,
        message: str,
        *,
        action: str = "",
        field_path: str = "",
        component: str = "",
        host: str = "",
    ) -> None:
        """Note an event about `obj`.

        `field_path`: about a part of it, such as `spec.containers{web}`. `component` and `host`: who says so, where
        that is not the recorder's own (one recorder may serve several controllers).
        """
        message = message[:LONGEST_MESSAGE]
        involved = _involved(obj, field_path)
        source = _given(component=component or self._component, host=host or self._host)
        key = (*involved.values(), type_, reason, message, action, *source.values())
        entry = self._entries.pop(key, None)
        if entry is None:
            version = objects.metadata(obj).get("resourceVersion", "")
            entry = _Entry(self._body(involved, version, source, type_, reason, message, action))
        self._entries[key] = entry  # youngest last
        if len(self._entries) > MOST_REMEMBERED:
            del self._entries[next(iter(self._entries))]
        entry.count += 1
        entry.last = self._clock.time()
        self._enqueue(entry)

    async def run(self) -> None:
        """Write noted events until cancelled."""
        while True:
            await self._wake.wait()
            entry = self._pending.pop(next(iter(self._pending)))
            if not self._pending:
                self._wake.clear()
            await self._write(entry)

    def _enqueue(self, entry: _Entry) -> None:
        if id(entry) not in self._pending and len(self._pending) >= MOST_PENDING:
            log.warning("event dropped: too many are waiting", extra={"reason": entry.body["reason"]})
            return
        self._pending[id(entry)] = entry
        self._wake.set()

    def _body(
        self,
        involved: Object,
        version: str,
        source: dict[str, str],
        type_: str,
        reason: str,
        message: str,
        action: str,
    ) -> Object:
        self._made += 1
        now = self._clock.time()
        body: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{involved.get('name', '')[:200]}.{int(now * 1e6):x}{self._made & 0xFFFF:04x}",
                "namespace": involved.get("namespace") or "default",
            },
            "involvedObject": {**involved, **_given(resourceVersion=version)},
            "reason": reason,
            "message": message,
            "type": type_,
            "source": source,
            "reportingComponent": source["component"],
            "reportingInstance": source.get("host", ""),
            "firstTimestamp": rfc3339(now),
        }
        return {**body, "action": action} if action else body

    async def _write(self, entry: _Entry) -> None:
        for _ in range(TRIES):
            try:
                await self._send(entry)
            except StatusError as error:
                if not _worth_retrying(error):
                    log.debug("event refused", extra={"reason": entry.body["reason"], "error": error})
                    return
            except Retryable as error:
                log.debug("event not written yet", extra={"error": error})
            else:
                self._backoff.reset()
                return
            await self._clock.sleep(self._backoff.next())
        log.warning("event given up", extra={"reason": entry.body["reason"], "tries": TRIES})

    async def _send(self, entry: _Entry) -> None:
        metadata = entry.body["metadata"]
        change: Object = {"count": entry.count, "lastTimestamp": rfc3339(entry.last)}
        if entry.written:
            try:
                await self._client.patch(EVENTS, metadata["name"], change, metadata["namespace"], type=PatchType.MERGE)
                return
            except StatusError as error:
                if error.code != 404:
                    raise  # 404: it expired, so the repeat is a new event
        await self._client.create(EVENTS, {**entry.body, **change})
        entry.written = True


def _involved(obj: Object, field_path: str) -> dict[str, str]:
    """Without its resourceVersion, which changes while the event repeats, this identifies what it is about."""
    metadata = objects.metadata(obj)
    return _given(
        apiVersion=obj.get("apiVersion"),
        kind=obj.get("kind"),
        namespace=metadata.get("namespace"),
        name=metadata.get("name"),
        uid=metadata.get("uid"),
        fieldPath=field_path,
    )


def _given(**fields: str | None) -> dict[str, str]:
    return {key: value for key, value in fields.items() if value}


def _worth_retrying(error: StatusError) -> bool:
    return error.code == 429 or error.code >= 500
