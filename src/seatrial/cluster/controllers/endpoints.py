"""Endpoints: what EndpointSlices replaced, one object per Service, for the clients that still read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.controllers import backends
from seatrial.cluster.controllers.serviceaccount import is_too_late
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
CONTROLLER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MOST_ADDRESSES = 1000

Subset = dict[str, Any]


# deciding


def subsets(service: Object, pods: Sequence[Object]) -> list[Subset]:
    """Ports that are open at exactly the same addresses share a subset."""
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    shown = [pod for pod in pods if unready_too or not objects.is_deleting(pod)]
    open_at: dict[bytes, list[tuple[bool, Object]]] = {}
    for pod in shown:
        entry = (unready_too or backends.is_ready(pod), _address(service, pod))
        for port in _ports(service, pod):
            open_at.setdefault(_key(port), []).append(entry)
    grouped: dict[bytes, tuple[list[Any], list[tuple[bool, Object]]]] = {}
    for key, entries in sorted(open_at.items()):
        port = orjson.loads(key)
        grouped.setdefault(_key(entries), ([], entries))[0].append(port)
    return [_subset(ports, entries) for ports, entries in grouped.values()]


def _ports(service: Object, pod: Object) -> list[dict[str, Any] | None]:
    """Without ports (headless only) there is still one subset: that of no port."""
    if not service["spec"].get("ports"):
        return [None] if backends.is_headless(service) else []
    return [{key: value for key, value in port.items() if value != ""} for port in backends.ports(service, pod)]


def _key(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _address(service: Object, pod: Object) -> Object:
    made = {"ip": backends.address(pod), "targetRef": backends.target(pod)}
    extra = {"nodeName": pod["spec"].get("nodeName"), "hostname": backends.hostname(service, pod)}
    return made | {key: value for key, value in extra.items() if value}


def _subset(ports: Iterable[Any], entries: Iterable[tuple[bool, Object]]) -> Subset:
    by_ip = sorted(entries, key=lambda entry: (entry[1]["ip"], entry[1]["targetRef"]["uid"]))
    found = {
        "addresses": [address for ready, address in by_ip if ready],
        "notReadyAddresses": [address for ready, address in by_ip if not ready],
        "ports": [port for port in ports if port is not None],
    }
    return {key: value for key, value in found.items() if value}


def truncated(found: Sequence[Subset]) -> tuple[list[Subset], bool]:
    """At most 1000 addresses, ready ones first; whether that left any out."""
    room = MOST_ADDRESSES
    cut = [dict(subset) for subset in found]
    over = False
    for kind in ("addresses", "notReadyAddresses"):
        for subset in cut:
            listed = subset.get(kind) or []
            over = over or len(listed) > room
            subset[kind] = listed[:room]
            room -= len(subset[kind])
    cleaned = [{key: value for key, value in subset.items() if value} for subset in cut]
    return [subset for subset in cleaned if "addresses" in subset or "notReadyAddresses" in subset], over


def desired(service: Object, pods: Sequence[Object], existing: Object | None) -> Object | None:
    """The Endpoints as they should be; None if `existing` is that already."""
    found, over = truncated(subsets(service, pods))
    labels = {key: value for key, value in objects.labels(service).items() if key != backends.HEADLESS}
    labels[MANAGED_BY] = CONTROLLER
    if backends.is_headless(service):
        labels[backends.HEADLESS] = ""
    if existing is not None and _is_current(existing, found, labels, over=over):
        return None
    base = objects.clone(existing) if existing is not None else _new(service)
    annotations = {**objects.annotations(base), backends.TRIGGER_TIME: backends.trigger_time(service, pods)}
    annotations.pop(OVER_CAPACITY, None)
    if over:
        annotations[OVER_CAPACITY] = "truncated"
    base["metadata"] |= {"labels": labels, "annotations": annotations}
    base.pop("subsets", None)
    return {**base, "subsets": found} if found else base


def _is_current(existing: Object, found: list[Subset], labels: dict[str, str], *, over: bool) -> bool:
    return (
        (existing.get("subsets") or []) == found
        and objects.labels(existing) == labels
        and (OVER_CAPACITY in objects.annotations(existing)) == over
    )


def _new(service: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": objects.name(service), "namespace": objects.namespace(service)},
    }


# doing


def build(context: ControlContext) -> Controller:
    return _Endpoints(context).controller


class _Endpoints:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._resource = resources.for_plural("endpoints")
        self._services = context.informers.get(resources.for_plural("services"))
        self._pods = context.informers.get(resources.for_plural("pods"))
        self._endpoints = context.informers.get(self._resource)
        self._widowed: set[Key] = set()
        self._services.on_change(self._service_changed)
        self.controller = Controller("endpoints", self._reconcile, clock=context.clock)
        backends.follow(self.controller, self._services, self._pods)
        self.controller.watches(self._endpoints)

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._widowed.add((objects.namespace(old), objects.name(old)))

    async def _reconcile(self, key: Key) -> Outcome:
        service, existing = self._services.get(*key), self._endpoints.get(*key)
        try:
            if service is None:
                await self._clean_up(key, existing)
            elif backends.is_ours(service) and not objects.is_deleting(service):
                await self._write(service, existing)
        except StatusError as error:
            if not is_too_late(error):
                raise
        return DONE

    async def _clean_up(self, key: Key, existing: Object | None) -> None:
        """What was made by hand before its Service came is left alone."""
        widowed = key in self._widowed
        self._widowed.discard(key)
        if existing is not None and (widowed or objects.labels(existing).get(MANAGED_BY) == CONTROLLER):
            await self._client.delete(self._resource, key[1], key[0], uid=objects.uid(existing))

    async def _write(self, service: Object, existing: Object | None) -> None:
        pods = backends.selected(service, self._pods.list(objects.namespace(service)))
        wanted = desired(service, pods, existing)
        if wanted is None:
            return
        if existing is None:
            await self._client.create(self._resource, wanted)
        else:
            await self._client.update(self._resource, wanted)
