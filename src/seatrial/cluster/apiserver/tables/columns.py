"""The columns of a table, and what a kind needs to fill them: the vocabulary of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.base.clock import parse_time
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


class Column(NamedTuple):
    """One column. Priority 0 is always shown, 1 only with `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


Cells = Callable[["Object", float], list[Any]]
"""Makes the cells of one object, given the time now."""


class Layout(NamedTuple):
    columns: tuple[Column, ...]
    cells: Cells


NAME = Column("Name", "string", "name", "Name of the object, unique for its kind within a namespace.")
AGE = Column("Age", "string", "", "Time since the object was created.")
CREATED_AT = Column("Created At", "date", "", "When the object was created.")
CONTAINERS = Column("Containers", "string", "", "Names of the containers in the template.", 1)
IMAGES = Column("Images", "string", "", "Images of the containers in the template.", 1)
SELECTOR = Column("Selector", "string", "", "Labels of the pods that belong to it.", 1)


def text(name: str, description: str, priority: int = 0) -> Column:
    return Column(name, "string", "", description, priority)


def integer(name: str, description: str) -> Column:
    return Column(name, "integer", "", description)


def boolean(name: str, description: str) -> Column:
    return Column(name, "boolean", "", description)


NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"


def dig(obj: Any, *path: str) -> Any:
    """The value under nested keys, or None where any of them is missing."""
    for key in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(key)
    return obj


def count(obj: Any, *path: str) -> int:
    """A number of the object, 0 when unset."""
    return int(dig(obj, *path) or 0)


def age(obj: Object, now: float) -> str:
    return since(objects.metadata(obj).get("creationTimestamp"), now)


def since(time: str | None, now: float) -> str:
    """How long ago an RFC 3339 time was, for people."""
    if not time:
        return UNKNOWN
    try:
        return human_duration(now - parse_time(time))
    except ValueError:
        return UNKNOWN


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 86400 * 365


def human_duration(seconds: float) -> str:
    """A duration in two units at most, finer the shorter it is. Up to two seconds in the future count as now."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two_units(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two_units(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two_units(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two_units(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _two_units(seconds: int, large: int, large_name: str, small: int, small_name: str) -> str:
    whole, rest = divmod(seconds, large)
    fine = rest // small
    return f"{whole}{large_name}{fine}{small_name}" if fine else f"{whole}{large_name}"


def containers_and_images(pod_spec: Any) -> list[str]:
    containers = dig(pod_spec, "containers") or []
    return [
        ",".join(container.get("name") or "" for container in containers),
        ",".join(container.get("image") or "" for container in containers),
    ]


def labels_text(labels: dict[str, str] | None) -> str:
    """`a=b,c=d`, sorted by key; `<none>` for no labels."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def shortened(items: list[str], most: int, *, total: int | None = None, empty: str = UNSET) -> str:
    """At most so many items, and how many more there are."""
    shown = ",".join(items[:most])
    count = len(items) if total is None else total
    if count > most:
        return f"{shown} + {count - most} more..."
    return shown or empty
