"""What a scalar of a built-in kind may look like, and the one spelling the API prints for it.

Quantities and times are parsed by the API and printed again: `0.5` comes back as `500m`, a time in UTC and whole
seconds. `fits` is the question of the hot path (nothing to do?), `canonical` does what is to be done.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from seatrial.base.errors import SeatrialError
from seatrial.kube.model import quantity

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type

MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"

_INT_LIMITS = {"int32": 2**31, "int64": 2**63, "": 2**63}
_GO_NAMES = {"boolean": "bool", "number": "float64", "int-or-string": "int32", "quantity": "resource.Quantity"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)([.,]\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_TIME_LAYOUT = "2006-01-02T15:04:05Z07:00"


class WrongTypeError(SeatrialError):
    """The JSON type of a value is not the field's; the message has the value's type as Go names it."""


class MalformedError(SeatrialError):
    """The type is right, the content is not: no base64, no time, no quantity."""


def fits(value: object, type: Type) -> bool:
    """Whether `value` is right for the scalar and already in its canonical spelling."""
    kind, given = type.scalar, value.__class__
    if kind == "string":
        return given is str and (not type.format or _string_fits(str(value), type))
    if kind == "integer":
        limit = _INT_LIMITS[type.format]
        return given is int and -limit <= value < limit  # type: ignore[operator]
    if kind == "boolean":
        return given is bool
    if kind == "quantity":
        return given is str and _quantity(str(value)) == value
    if kind == "int-or-string":
        return given is str or (given is int and -(2**31) <= value < 2**31)  # type: ignore[operator]
    return given is float or given is int


def canonical(value: object, type: Type) -> object:
    """`value` as the API prints it. Raises WrongTypeError or MalformedError."""
    if type.scalar == "quantity":
        return _checked_quantity(value)
    if fits(value, type):
        return value
    if type.scalar == "string" and isinstance(value, str):
        return _checked_string(value, type)
    raise WrongTypeError(_shown(value, type))


def go_name(type: Type) -> str:
    """The scalar's type as the messages of the API call it."""
    if type.scalar == "string":
        return "[]uint8" if type.format == "byte" else "string"
    if type.scalar == "integer":
        return type.format or "int64"
    return _GO_NAMES[type.scalar]


def zero(type: Type) -> object:
    """What null means inside a list or map, where it cannot be left out."""
    if type.scalar in ("integer", "number", "int-or-string"):
        return 0
    if type.scalar == "boolean":
        return False
    if type.scalar == "quantity":
        return "0"
    return None if type.format == "date-time" else ""


def json_name(value: object) -> str:
    """A JSON value's type as the messages of the API call it."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _shown(value: object, type: Type) -> str:
    """A number that an integer field cannot hold is shown, any other value only by its type."""
    wants_integer = type.scalar in ("integer", "int-or-string")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"number {value}" if wants_integer and is_number else json_name(value)


def _string_fits(value: str, type: Type) -> bool:
    if type.format == "byte":
        return is_base64(value)
    if type.format == "date-time":
        return _time(value, type.name == MICRO_TIME) == value
    return True


def _checked_string(value: str, type: Type) -> str:
    if type.format == "byte":
        return _checked_base64(value)
    found = _time(value, type.name == MICRO_TIME)
    if found is None:
        raise MalformedError(f'parsing time "{value}" as "{_TIME_LAYOUT}": cannot parse "{value}" as "2006"')
    return found


def is_base64(value: str) -> bool:
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _checked_base64(value: str) -> str:
    """Line breaks are allowed in base64 and not kept. Raises MalformedError."""
    joined = value.replace("\n", "").replace("\r", "")
    if is_base64(joined):
        return joined
    valid = re.match(r"[A-Za-z0-9+/]*", value)
    raise MalformedError(f"illegal base64 data at input byte {valid.end() if valid else 0}")


@lru_cache(maxsize=4096)
def _quantity(text: str) -> str | None:
    try:
        return quantity.canonical(text)
    except ValueError:
        return None


def _checked_quantity(value: object) -> str:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return quantity.canonical(value)
        return quantity.canonical(json_name(value))
    except ValueError as error:
        raise MalformedError(str(error)) from None


@lru_cache(maxsize=1024)
def _time(text: str, micro: bool) -> str | None:
    """The time in UTC with whole seconds (or microseconds), None if it is none."""
    matched = _TIME.fullmatch(text)
    if matched is None:
        return None
    day, clock, fraction, zone = matched.groups()
    digits = (fraction or ".").replace(",", ".")[1:7].ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}.{digits}{zone.replace('Z', '+00:00')}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{moment.microsecond:06d}Z" if micro else "Z")
