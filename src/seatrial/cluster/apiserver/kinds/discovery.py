"""The discovery group: EndpointSlice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names
from seatrial.cluster.apiserver.kinds.rules import Rules, setdefaults
from seatrial.kube.model.status import Cause, duplicate_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MOST_ENDPOINTS = 1000
_MOST_ADDRESSES = 100


def _default(obj: Object) -> None:
    for port in obj.get("ports") or []:
        setdefaults(port, name="", protocol="TCP")


def _validate(obj: Object) -> list[Cause]:
    kind = obj.get("addressType") or ""
    endpoints = obj.get("endpoints") or []
    causes = checks.one_of(kind, "addressType", _ADDRESS_TYPES)
    if len(endpoints) > _MOST_ENDPOINTS:
        causes.append(_too_many("endpoints", len(endpoints), _MOST_ENDPOINTS))
    for index, endpoint in enumerate(endpoints):
        causes += _endpoint(endpoint, kind, f"endpoints[{index}]")
    seen: set[str] = set()
    for index, port in enumerate(obj.get("ports") or []):
        field = f"ports[{index}]"
        name = port.get("name") or ""
        causes += checks.optional_name(name, f"{field}.name", names.label)
        if name in seen:
            causes.append(duplicate_value(f"{field}.name", name))
        seen.add(name)
        causes += checks.one_of(port.get("protocol"), f"{field}.protocol", _PROTOCOLS)
    return causes


def _endpoint(endpoint: dict[str, Any], kind: str, field: str) -> list[Cause]:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        return [required(f"{field}.addresses", "must contain at least 1 address")]
    causes: list[Cause] = []
    if len(addresses) > _MOST_ADDRESSES:
        causes.append(_too_many(f"{field}.addresses", len(addresses), _MOST_ADDRESSES))
    for index, address in enumerate(addresses):
        place = f"{field}.addresses[{index}]"
        if kind == "FQDN":
            causes += checks.named(address, place, names.subdomain)
        else:
            causes += checks.address(address, place)
    causes += checks.optional_name(endpoint.get("nodeName"), f"{field}.nodeName", names.subdomain)
    return causes + checks.optional_name(endpoint.get("hostname"), f"{field}.hostname", names.label)


def _too_many(field: str, count: int, most: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {most} items", field)


def _update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj.get("addressType"), old.get("addressType"), "addressType")


RULES = {
    "endpointslices.discovery.k8s.io": Rules(
        default=_default, validate=_validate, validate_update=_update, generation=True
    )
}
