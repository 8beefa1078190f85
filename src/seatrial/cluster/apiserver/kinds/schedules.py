"""Whether a CronJob's schedule and time zone can be understood. When it is due is the controller's business."""

from __future__ import annotations

import re
import zoneinfo
from typing import NamedTuple

_DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
_MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class _Field(NamedTuple):
    lowest: int
    highest: int
    names: dict[str, int]


_FIELDS = (
    _Field(0, 59, {}),
    _Field(0, 23, {}),
    _Field(1, 31, {}),
    _Field(1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field(0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


def problem(schedule: str) -> str:
    """What is wrong with a schedule; "" if nothing is."""
    if "TZ" in schedule:
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    if schedule.startswith("@every "):
        duration = schedule.removeprefix("@every ")
        return "" if _DURATION.fullmatch(duration) else f"failed to parse duration {schedule}"
    if schedule.startswith("@"):
        return "" if schedule in _MACROS else f"unrecognized descriptor: {schedule}"
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, field in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            found = _item_problem(item, field)
            if found:
                return found
    return ""


def _item_problem(item: str, field: _Field) -> str:
    """One item is `*`, `?`, a number, a name or a range, each perhaps with a step."""
    span, slash, step = item.partition("/")
    if slash and (not step.isdecimal() or int(step) == 0):
        return f"step of range should be a positive number: {item}"
    if span in ("*", "?"):
        return ""
    low, dash, high = span.partition("-")
    bounds = [_number(low, field), _number(high, field) if dash else _number(low, field)]
    if None in bounds:
        return f"failed to parse int from {span}: invalid syntax"
    first, last = (bound or 0 for bound in bounds)
    if first < field.lowest:
        return f"beginning of range ({first}) below minimum ({field.lowest}): {item}"
    if last > field.highest:
        return f"end of range ({last}) above maximum ({field.highest}): {item}"
    if first > last:
        return f"beginning of range ({first}) beyond end of range ({last}): {item}"
    return ""


def _number(text: str, field: _Field) -> int | None:
    return int(text) if text.isdecimal() else field.names.get(text.lower())


def zone_problem(name: str) -> str:
    if not name:
        return "timeZone must be nil or non-empty string"
    if name.lower() == "local":
        return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return f"unknown time zone {name}"
    return ""
