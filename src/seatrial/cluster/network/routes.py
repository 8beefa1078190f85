"""Whether new connections can reach a pod: what the kubelet waits for before it signals one, or calls one available.

The rule, for each Service with a selector that matches the pod:

* `include`: a slice of the Service lists the pod as ready;
* `exclude`: every slice that lists the pod says it is not ready, or terminates; and one does list it, or none needs
  to (it has no address, is finished or gone): a pod that could be listed and is not may be in a write on its way.

Then the rules made from those slices are applied, and every follower (the ingress proxy) has followed. A terminating
pod that is the last to serve still gets connections after that: better than none (KEP-1669).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from seatrial.cluster.network import backends
from seatrial.cluster.network.backends import BY_SERVICE
from seatrial.kube.model import objects, resources, selectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.cluster.network.proxy import Proxy
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_BY_UID = "uid"
PATIENCE = 10.0
"""Seconds to wait for a slice: an API that is away must not keep a pod from ending."""


class Follower(Protocol):
    """Somebody else who sends connections to pods."""

    async def excludes(self, address: str) -> None:
        """Return once no new connection goes to this address."""

    async def includes(self, address: str) -> None:
        """Return once new connections may go to this address."""


class Routes:
    """Satisfies `cluster.node.podnetwork.Routes`."""

    def __init__(self, proxy: Proxy, informers: InformerFactory, patience: float = PATIENCE) -> None:
        self._proxy = proxy
        self._patience = patience
        self._pods = informers.get(resources.for_plural("pods"))
        self._pods.add_index(_BY_UID, lambda pod: [objects.uid(pod)])
        self._followers: list[Follower] = []
        self._waiting: set[asyncio.Future[None]] = set()
        for informer in (self._pods, proxy.services, proxy.slices):
            informer.on_change(self._changed)

    def register(self, follower: Follower) -> None:
        self._followers.append(follower)

    def selects(self, pod: Object) -> bool:
        return bool(self._selecting(pod))

    async def include(self, uid: str) -> None:
        pod = await self._until(uid, self._is_included, "included")
        if pod is not None and _is_listable(pod) and self._selecting(pod):
            await asyncio.gather(*(item.includes(_address(pod)) for item in self._followers))

    async def exclude(self, uid: str) -> None:
        pod = await self._until(uid, self._is_excluded, "excluded")
        if pod is not None and _address(pod) and self._selecting(pod):
            await asyncio.gather(*(item.excludes(_address(pod)) for item in self._followers))

    async def _until(self, uid: str, holds: Callable[[Object], bool], word: str) -> Object | None:
        """The pod as last seen, once `holds` and the rules say so."""
        pod: Object | None = None
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    pod = next(iter(self._pods.by_index(_BY_UID, uid)), None)
                    if pod is None or holds(pod):
                        break
                    await self._change()
        except TimeoutError:
            log.warning("no slice says so", extra={"pod": uid, "to_be": word, "seconds": self._patience})
        if pod is None or self._selecting(pod):
            await self._proxy.settled()
        return pod

    def _is_included(self, pod: Object) -> bool:
        if objects.is_deleting(pod) or _is_finished(pod):
            return True
        return all(any(map(backends.is_ready, self._listed(pod, service))) for service in self._selecting(pod))

    def _is_excluded(self, pod: Object) -> bool:
        for service in self._selecting(pod):
            listed = self._listed(pod, service)
            if not listed and _is_listable(pod):
                return False
            if any(backends.is_ready(item) and not backends.condition(item, "terminating") for item in listed):
                return False
        return True

    def _listed(self, pod: Object, service: Object) -> list[backends.Endpoint]:
        key = f"{objects.namespace(service)}/{objects.name(service)}"
        return [
            endpoint
            for item in self._proxy.slices.by_index(BY_SERVICE, key)
            for endpoint in item.get("endpoints") or ()
            if (endpoint.get("targetRef") or {}).get("uid") == objects.uid(pod)
        ]

    def _selecting(self, pod: Object) -> list[Object]:
        labels = objects.labels(pod)
        return [
            service
            for service in self._proxy.services.list(objects.namespace(pod))
            if service["spec"].get("selector")
            and not backends.is_external_name(service)
            and not objects.is_deleting(service)
            and selectors.from_map(service["spec"]["selector"]).matches(labels)
        ]

    async def _change(self) -> None:
        """The next change of a pod, a Service or a slice."""
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(wake)
        try:
            await wake
        finally:
            self._waiting.discard(wake)

    def _changed(self, _old: Object | None, _new: Object | None) -> None:
        for wake in self._waiting:
            if not wake.done():
                wake.set_result(None)


def _address(pod: Object) -> str:
    return (pod.get("status") or {}).get("podIP") or ""


def _is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _is_listable(pod: Object) -> bool:
    return bool(_address(pod)) and not _is_finished(pod)
