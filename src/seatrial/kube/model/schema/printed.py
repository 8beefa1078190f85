"""What Go prints even when nobody set it: the numbers, booleans and plain texts a built-in struct requires.

The API server decodes a status into such structs and encodes it again, so typed clients rely on `message: ""` in a
condition and on `currentReplicas: 0`. A specification is not filled: there an absent field is an error to report.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type

_ZEROS: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False}


def fill(value: Any, type: Type) -> None:
    """Add, in place, the required scalars that are missing from every struct inside `value`."""
    if value.__class__ is dict:
        if type.shape == "struct":
            for name, zero in _zeros(type):
                value.setdefault(name, zero)
            for name, child in _holders(type):
                if name in value:
                    fill(value[name], child)
        elif type.element is not None:
            for item in value.values():
                fill(item, type.element)
    elif value.__class__ is list and type.element is not None:
        for item in value:
            fill(item, type.element)


@cache
def _zeros(type: Type) -> tuple[tuple[str, Any], ...]:
    """A time or bytes have no zero that could be printed."""
    named = ((name, type.fields[name]) for name in sorted(type.required))
    return tuple(
        (name, _ZEROS[field.scalar])
        for name, field in named
        if field.scalar in _ZEROS and (field.scalar != "string" or not field.format)
    )


@cache
def _holders(type: Type) -> tuple[tuple[str, Type], ...]:
    """The fields that may have structs inside."""
    return tuple(
        (name, field)
        for name, field in type.fields.items()
        if field.shape == "struct" or (field.element is not None and field.element.shape != "scalar")
    )
