"""Shares of a whole: `maxSurge: 25%` or `maxUnavailable: 3` as a number of pods."""

from __future__ import annotations


def share(value: int | str | None, whole: int, *, round_up: bool) -> int:
    """The number a count or a percentage of `whole` stands for; None is 0."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    percent = int(value.rstrip("%"))
    return -(-percent * whole // 100) if round_up else percent * whole // 100
