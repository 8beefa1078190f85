"""Where new connections to a Service may go, read off its EndpointSlices. Pure.

Ready endpoints; when no one is ready, those that terminate but still serve (KEP-1669).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seatrial.kube.model.objects import Object

SERVICE_NAME = "kubernetes.io/service-name"
BY_SERVICE = "service"
"""Name of the index of slices by `service_index`."""

Endpoint = dict[str, Any]


class Backend(NamedTuple):
    address: str
    port: int


def service_index(item: Object) -> list[str]:
    return ["/".join(key) for key in service_keys(item)]


def service_keys(item: Object) -> list[tuple[str, str]]:
    """The Service a slice belongs to."""
    name = objects.labels(item).get(SERVICE_NAME)
    return [(objects.namespace(item), name)] if name else []


def is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") in (None, "", "None")


def is_external_name(service: Object) -> bool:
    return bool(service["spec"].get("type") == "ExternalName")


def condition(endpoint: Endpoint, name: str) -> bool:
    """Unknown counts as ready and serving, but not as terminating."""
    value = (endpoint.get("conditions") or {}).get(name)
    return name != "terminating" if value is None else bool(value)


def is_ready(endpoint: Endpoint) -> bool:
    return condition(endpoint, "ready")


def choose(slices: Iterable[Object], port_name: str, protocol: str, node: str = "") -> list[Backend]:
    """The backends of one Service port, in a stable order; with `node` only those there."""
    ready: set[Backend] = set()
    draining: set[Backend] = set()
    for endpoint, port in _offers(slices, port_name, protocol):
        if node and endpoint.get("nodeName") not in (node, None):
            continue
        made = {Backend(address, port) for address in endpoint.get("addresses") or ()}
        if is_ready(endpoint):
            ready |= made
        elif condition(endpoint, "serving") and condition(endpoint, "terminating"):
            draining |= made
    return sorted(ready or draining)


def _offers(slices: Iterable[Object], port_name: str, protocol: str) -> Iterator[tuple[Endpoint, int]]:
    for item in slices:
        if item.get("addressType") != "IPv4":
            continue
        for port in item.get("ports") or ():
            same = (port.get("name") or "") == port_name and (port.get("protocol") or "TCP") == protocol
            if same and port.get("port"):
                for endpoint in item.get("endpoints") or ():
                    yield endpoint, port["port"]
