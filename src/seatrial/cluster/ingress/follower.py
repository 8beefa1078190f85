"""Waits until the ingress proxy sends requests to a new pod, or sends none to an old one: what the proxy itself says
of the services it has in force. Satisfies `cluster.network.routes.Follower`.

Which services should list an address is read off the Ingresses and the slices; the proxy has its own view of both, a
little later. A pod that no Ingress leads to is not waited for. The wait is bounded: an Ingress the proxy cannot make
sense of (its log says so) must not keep pods from starting, nor the last pod of a Service from ending.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from seatrial.cluster.ingress.manifests import NAME
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seatrial.base.clock import Clock
    from seatrial.cluster.ingress.traefik import Ingress
    from seatrial.kube.control.controller import Key
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

PATIENCE = 3.0
_STEP = 0.01
_SWITCHED = 0.01
"""Seconds until all its entrances have what its API shows already, and what it had begun is on its way: on a machine
that is not busy. On a busy one its answer took longer too."""
_ANSWERS = 5
"""It gets as much time as so many answers take."""
_CLASS = "kubernetes.io/ingress.class"
_NATIVE = "traefik.ingress.kubernetes.io/service.nativelb"
_SERVICE = "kubernetes.io/service-name"
_BY_SERVICE = "ingress service"


class Following:
    def __init__(self, ingress: Ingress, informers: InformerFactory, clock: Clock, patience: float = PATIENCE) -> None:
        self._ingress = ingress
        self._clock = clock
        self._patience = patience
        self._ingresses = informers.get(resources.for_plural("ingresses", "networking.k8s.io"))
        self._services = informers.get(resources.for_plural("services"))
        self._slices = informers.get(resources.for_plural("endpointslices", "discovery.k8s.io"))
        self._slices.add_index(_BY_SERVICE, _services_of_slice)
        self._asking: asyncio.Task[tuple[dict[str, Any], float]] | None = None

    async def excludes(self, address: str) -> None:
        """Where another pod of the same address (the node's own) goes on, the proxy goes on as well."""
        await self._until(address, "excluded", lambda services: listing(services, address) <= self._expected(address))

    async def includes(self, address: str) -> None:
        def holds(services: dict[str, Any]) -> bool:
            return self._expected(address) <= listing(services, address)

        if self._expected(address):
            await self._until(address, "included", holds)

    async def _until(self, address: str, word: str, holds: Callable[[dict[str, Any]], bool]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while self._ingress.is_running:  # one that starts reads everything anew
                    try:
                        services, seconds = await self._in_force()
                        if holds(services):
                            await self._clock.sleep(max(_SWITCHED, _ANSWERS * seconds))
                            return
                    except (OSError, aiohttp.ClientError):
                        pass  # it starts, or ends
                    await self._clock.sleep(_STEP)
        except TimeoutError:
            log.warning(
                "the ingress proxy does not say so",
                extra={"address": address, "to_be": word, "seconds": self._patience},
            )

    async def _in_force(self) -> tuple[dict[str, Any], float]:
        """One question for all who wait, and the seconds it took."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(_noted)
        return await asyncio.shield(self._asking)

    async def _ask(self) -> tuple[dict[str, Any], float]:
        began = self._clock.monotonic()
        return await self._ingress.services(), self._clock.monotonic() - began

    def _expected(self, address: str) -> set[Key]:
        """The Services that Ingresses of ours lead to and that the address is ready for."""
        found = {
            (objects.namespace(item), name)
            for item in self._ingresses.list()
            if is_ours(item) and not objects.is_deleting(item)
            for name in services_of(item)
        }
        return {
            service for service in found if self._is_ready(service, address) and not self._is_left_to_rules(service)
        }

    def _is_left_to_rules(self, service: Key) -> bool:
        """The proxy sends its requests to the Service's own address: there the rules pick the pod."""
        found = self._services.get(*service)
        return found is not None and objects.annotations(found).get(_NATIVE) == "true"

    def _is_ready(self, service: Key, address: str) -> bool:
        return any(
            address in (endpoint.get("addresses") or ()) and takes_requests(endpoint.get("conditions") or {})
            for item in self._slices.by_index(_BY_SERVICE, "/".join(service))
            for endpoint in item.get("endpoints") or ()
        )


def _noted(asking: asyncio.Task[tuple[dict[str, Any], float]]) -> None:
    """An error is for those who wait; it is no news when nobody does any more."""
    if not asking.cancelled():
        asking.exception()


def listing(services: dict[str, Any], address: str) -> set[Key]:
    """The Services for which the proxy sends new requests to the address."""
    return {
        _origin(service)
        for service in services.values()
        for server in (service.get("loadBalancer") or {}).get("servers") or ()
        if urlsplit(server.get("url") or "").hostname == address and not server.get("fenced")
    }


def takes_requests(conditions: dict[str, Any]) -> bool:
    return conditions.get("ready") is not False and not conditions.get("terminating")


def _origin(service: dict[str, Any]) -> Key:
    about = ((service.get("observability") or {}).get("metadata") or {}).get("kubernetes") or {}
    return about.get("namespace") or "", about.get("name") or ""


def is_ours(ingress: Object) -> bool:
    chosen = ingress["spec"].get("ingressClassName") or objects.annotations(ingress).get(_CLASS)
    return bool(chosen == NAME)


def services_of(ingress: Object) -> Iterator[str]:
    spec = ingress["spec"]
    backends = [spec.get("defaultBackend") or {}]
    backends += [
        path.get("backend") or {}
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    ]
    for backend in backends:
        if backend.get("service"):
            yield backend["service"]["name"]


def _services_of_slice(item: Object) -> list[str]:
    name = objects.labels(item).get(_SERVICE)
    return [f"{objects.namespace(item)}/{name}"] if name else []
