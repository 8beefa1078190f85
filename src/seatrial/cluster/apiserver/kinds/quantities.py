"""Amounts of resources as numbers to compare, and the checks on maps of them (`limits`, `hard`, `capacity`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import names
from seatrial.kube.model.quantity import parse
from seatrial.kube.model.status import Cause, invalid_value, required

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

_NEGATIVE = "must be greater than or equal to 0"
_STANDARD = ("cpu", "memory", "ephemeral-storage")


def amount(value: Any) -> Fraction | None:
    """The number a quantity stands for; None if it is not a quantity."""
    try:
        return parse(value)
    except ValueError:
        return None


def quantity(value: Any, field: str) -> list[Cause]:
    try:
        number = parse(value)
    except ValueError as error:
        return [invalid_value(field, value, str(error))]
    return [invalid_value(field, value, _NEGATIVE)] if number < 0 else []


def amounts(found: Mapping[str, Any] | None, field: str) -> list[Cause]:
    """A map of resource names to quantities."""
    causes: list[Cause] = []
    for name, value in (found or {}).items():
        causes += resource_name(name, f"{field}[{name}]") + quantity(value, f"{field}[{name}]")
    return causes


def resource_name(name: str, field: str) -> list[Cause]:
    return [invalid_value(field, name, complaint) for complaint in names.qualified(name)]


def container_resource_name(name: str, field: str) -> list[Cause]:
    """A container asks for cpu, memory, ephemeral storage, huge pages, or a device with a domain prefix."""
    causes = resource_name(name, field)
    if causes or "/" in name or name in _STANDARD or name.startswith("hugepages-"):
        return causes
    return [
        invalid_value(field, name, "must be a standard resource type or fully qualified"),
        invalid_value(field, name, "must be a standard resource for containers"),
    ]


def may_overcommit(name: str) -> bool:
    """Devices and huge pages cannot be shared: their request must equal their limit."""
    native = "/" not in name or "kubernetes.io/" in name
    return native and not name.startswith("hugepages-")


def requirements(found: Mapping[str, Any] | None, field: str) -> list[Cause]:
    """`resources` of a container: quantities, and each request within its limit."""
    limits, requests = (found or {}).get("limits") or {}, (found or {}).get("requests") or {}
    causes: list[Cause] = []
    for kind, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            place = f"{field}.{kind}[{name}]"
            causes += container_resource_name(name, place) + quantity(value, place)
    for name, value in requests.items():
        causes += _request(name, value, limits, field)
    return causes


def _request(name: str, value: Any, limits: Mapping[str, Any], field: str) -> list[Cause]:
    if name not in limits:
        if may_overcommit(name):
            return []
        return [required(f"{field}.limits", "Limit must be set for non overcommitable resources")]
    request, limit = amount(value), amount(limits[name])
    if request is None or limit is None or request == limit:
        return []
    if not may_overcommit(name):
        return [invalid_value(f"{field}.requests", value, f"must be equal to {name} limit of {limits[name]}")]
    if request > limit:
        detail = f"must be less than or equal to {name} limit of {limits[name]}"
        return [invalid_value(f"{field}.requests", value, detail)]
    return []
