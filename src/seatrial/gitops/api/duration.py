"""Durations as Go writes them: `3m`, `1h30m`, `1.5s`."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def seconds(text: str) -> float:
    """Raises ValueError. A bare number counts as seconds, as Argo CD reads those of a retry."""
    unsigned = text.strip().removeprefix("-")
    sign = -1.0 if text.strip().startswith("-") else 1.0
    if unsigned.isascii() and unsigned.isdigit():
        return sign * float(unsigned)
    parts = _PART.findall(unsigned)
    if not parts or "".join(number + unit for number, unit in parts) != unsigned:
        raise ValueError(f"{text!r} is not a duration: expected for example 30s, 2m or 1h30m")
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)


def shown(value: float) -> str:
    """`90` -> `1m30s`, as Go prints a duration of whole seconds; parts of seconds are kept."""
    whole = int(value)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, value - whole // 60 * 60
    tail = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail
