"""Fields of built-in kinds that must have a value.

The definitions list as required whatever Go prints always, numbers and booleans among it; those default to zero and
are left to the checks of each kind. What remains (strings, lists, structs and raw values) is what the API server
answers `Required value` for, with the exceptions below. Metadata and status are not looked at: the former has
rules of its own, the latter is written by controllers.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import status

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.schema.types import Type
    from seatrial.kube.model.status import Cause

_MAY_BE_EMPTY = frozenset(
    (
        "CSINodeSpec.drivers",
        "Event.involvedObject",
        "GroupResource.group",
        "HTTPHeader.value",
        "LimitRangeSpec.limits",
        "PodFailurePolicy.rules",
        "PreferredSchedulingTerm.preference",
        "Sysctl.value",
        "TokenRequest.audience",
        "TokenReviewSpec.token",
    )
)
"""Required by the definitions, yet accepted without a value."""


def missing(obj: Object, type: Type) -> list[Cause]:
    """`Required value` for each field without one, with its path (`spec.containers[0].name`)."""
    causes: list[Cause] = []
    for name in _demanded(type):
        _check(obj.get(name), type.fields[name], name, causes)
    for key, item in obj.items():
        if key not in ("metadata", "status") and key in type.fields:
            _walk(item, type.fields[key], key, causes)
    return causes


def _walk(value: Any, type: Type, path: str, causes: list[Cause]) -> None:
    if value.__class__ is dict:
        if type.shape == "struct":
            _struct(value, type, path, causes)
        elif type.element is not None and type.element.shape != "scalar":
            for key, item in value.items():
                _walk(item, type.element, f"{path}[{key}]", causes)
    elif value.__class__ is list and type.element is not None and type.element.shape != "scalar":
        for index, item in enumerate(value):
            _walk(item, type.element, f"{path}[{index}]", causes)


def _struct(value: dict[str, Any], type: Type, path: str, causes: list[Cause]) -> None:
    for name in _demanded(type):
        item = value.get(name)
        if item is None or item == "" or item == []:
            _check(item, type.fields[name], f"{path}.{name}", causes)
    fields = type.fields
    for key, item in value.items():
        if (item.__class__ is dict or item.__class__ is list) and key in fields:
            _walk(item, fields[key], f"{path}.{key}", causes)


def _check(value: Any, type: Type, path: str, causes: list[Cause]) -> None:
    """Report one demanded field, or what is demanded inside it where it is a struct that is not there."""
    if value is not None and value != "" and value != []:
        return
    inner = _demanded(type)
    if not inner:
        causes.append(status.required(path))
    for name in inner:
        _check(None, type.fields[name], f"{path}.{name}", causes)


@cache
def _demanded(type: Type) -> tuple[str, ...]:
    short = type.name.rpartition(".")[2]
    return tuple(
        sorted(
            name
            for name in type.required
            if _can_be_missing(type.fields[name]) and f"{short}.{name}" not in _MAY_BE_EMPTY
        )
    )


def _can_be_missing(type: Type) -> bool:
    if type.shape == "scalar":
        return type.scalar == "string" and type.format != "date-time"
    return type.shape != "map"
