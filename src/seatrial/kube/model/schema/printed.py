"""What Kubernetes prints even when nobody set it (`status: {}`, `replicas: 0`, `eventTime: null`), and what it leaves
out although somebody did (`paused: false`, `data: {}`).

Its objects are Go structs: a field without `omitempty`, and every struct that is not behind a pointer, exists in
every object of its kind; one with it vanishes when it is empty. Typed clients rely on the former, and creating an
object makes nobody the owner of either. `data/zeros.json` tells it for each struct, from a program run against the
real types (`tools/peers/kubernetes/zeros`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type


def fill(value: Any, type: Type) -> None:
    """Bring every built-in struct inside `value`, in place, into the form Kubernetes writes."""
    if value.__class__ is dict:
        if type.shape == "struct":
            for name in _omitted(type) & value.keys():
                if not value[name]:
                    del value[name]
            for name, zero in _zeros(type):
                if name not in value:
                    value[name] = orjson.loads(zero)
            for name, child in _holders(type):
                if name in value:
                    fill(value[name], child)
        elif type.element is not None:
            for item in value.values():
                fill(item, type.element)
    elif value.__class__ is list and type.element is not None:
        for item in value:
            fill(item, type.element)


def zero(type: Type) -> dict[str, Any]:
    """An object of a built-in type in which nobody set anything."""
    return {name: orjson.loads(encoded) for name, encoded in _zeros(type)}


@cache
def _zeros(type: Type) -> tuple[tuple[str, bytes], ...]:
    found = _all().get(type.name, {}).get("printed", {})
    return tuple((name, orjson.dumps(value)) for name, value in found.items())


@cache
def _omitted(type: Type) -> frozenset[str]:
    return frozenset(_all().get(type.name, {}).get("omitted", ()))


@cache
def _all() -> dict[str, dict[str, Any]]:
    """By the name of the definition: `printed`, the zero value, and `omitted`, the names of fields."""
    found: dict[str, dict[str, Any]] = orjson.loads(
        files("seatrial.kube.model").joinpath("data/zeros.json").read_bytes()
    )
    return found


@cache
def _holders(type: Type) -> tuple[tuple[str, Type], ...]:
    """The fields that may have structs inside."""
    return tuple(
        (name, field)
        for name, field in type.fields.items()
        if field.shape == "struct" or (field.element is not None and field.element.shape != "scalar")
    )
