"""Cron schedules: `30 4 * * mon-fri`, `@daily`, `@every 90m`; what they mean and when they are next due. Pure.

A schedule of fields is due at the instants whose wall clock in its time zone shows the fields' values. So a time that
daylight saving leaves out is skipped, and one that it repeats comes twice. Kubernetes (robfig/cron) has it so too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple, Protocol

from seatrial.base.errors import Terminal

SEARCHED_YEARS = 5
"""A schedule that is not due within so many years (30 February) never is."""

_MINUTE, _DAY = 60, 86_400
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class InvalidSchedule(Terminal):
    """A schedule nobody can follow; the message says which part of it."""

    reason = "InvalidSchedule"


class Schedule(Protocol):
    """Times are seconds since the epoch."""

    def next(self, after: float) -> float | None:
        """The first time later than `after`; None if there is none."""

    def latest(self, after: float, until: float) -> float | None:
        """The last time that is later than `after` and not later than `until`; None if there is none."""


class _Field(NamedTuple):
    lowest: int
    highest: int
    names: tuple[str, ...] = ()


_FIELDS = (_Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS), _Field(0, 6, _WEEKDAYS))


class Values(NamedTuple):
    """What one field allows; `is_any` if it was a star, which leaves the choice of days to the other day field."""

    allowed: frozenset[int]
    is_any: bool


@dataclass(frozen=True, slots=True)
class Calendar:
    """Five fields and the zone whose wall clock they are about."""

    minutes: Values
    hours: Values
    days: Values
    months: Values
    weekdays: Values
    zone: tzinfo

    def next(self, after: float) -> float | None:
        moment = float((math.floor(after) // _MINUTE + 1) * _MINUTE)
        last_year = datetime.fromtimestamp(after, self.zone).year + SEARCHED_YEARS
        while True:
            local = datetime.fromtimestamp(moment, self.zone)
            if not self._is_day(local.date()):
                found = self._next_day(local.date(), last_year)
                if found is None:
                    return None
                moment = _midnight(found, self.zone)
            elif local.hour not in self.hours.allowed:
                moment += (60 - local.minute) * _MINUTE
            elif local.minute not in self.minutes.allowed:
                moment += _MINUTE
            else:
                return moment

    def latest(self, after: float, until: float) -> float | None:
        """Looks back twice as far until something is found, then forward from there."""
        window = float(_MINUTE)
        while True:
            start = max(after, until - window)
            found = self.next(start)
            if found is not None and found <= until:
                return self._last_from(found, until)
            if start <= after:
                return None
            window *= 2

    def _last_from(self, found: float, until: float) -> float:
        while (later := self.next(found)) is not None and later <= until:
            found = later
        return found

    def _next_day(self, day: date, last_year: int) -> date | None:
        while day.year <= last_year:
            day += timedelta(days=1)
            if self._is_day(day):
                return day
        return None

    def _is_day(self, day: date) -> bool:
        """Of two restricted day fields either will do; else both must allow the day."""
        if day.month not in self.months.allowed:
            return False
        in_month, in_week = day.day in self.days.allowed, day.isoweekday() % 7 in self.weekdays.allowed
        if self.days.is_any or self.weekdays.is_any:
            return in_month and in_week
        return in_month or in_week


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed distance, counted from whatever time one starts with."""

    seconds: int

    def next(self, after: float) -> float | None:
        return float(math.floor(after) + self.seconds)

    def latest(self, after: float, until: float) -> float | None:
        steps = math.floor(until - math.floor(after)) // self.seconds
        return float(math.floor(after) + steps * self.seconds) if steps > 0 else None


def parse(text: str, zone: tzinfo = UTC) -> Schedule:
    """Raises InvalidSchedule."""
    if text.startswith(_EVERY):
        return Every(_duration(text))
    if text.startswith("@"):
        if text not in _MACROS:
            raise InvalidSchedule(f"unrecognized descriptor: {text}")
        text = _MACROS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise InvalidSchedule(f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    minutes, hours, days, months, weekdays = map(_values, parts, _FIELDS)
    return Calendar(minutes, hours, days, months, weekdays, zone)


def _duration(text: str) -> int:
    """Whole seconds, at least one."""
    written = text.removeprefix(_EVERY)
    if not _DURATION.fullmatch(written):
        raise InvalidSchedule(f"failed to parse duration {text}")
    return max(1, int(sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(written))))


def _values(part: str, field: _Field) -> Values:
    allowed: set[int] = set()
    is_any = False
    for item in part.split(","):
        span, step = _item(item, field)
        allowed.update(span[::step])
        is_any = is_any or (item[0] in "*?" and step == 1)
    return Values(frozenset(allowed), is_any)


def _item(item: str, field: _Field) -> tuple[range, int]:
    """One item is `*`, `?`, a number, a name or a range, each perhaps with a step. `3/5` goes on to the end."""
    text, slash, step_text = item.partition("/")
    step = int(step_text) if step_text.isdecimal() else 0
    if slash and step == 0:
        raise InvalidSchedule(f"step of range should be a positive number: {item}")
    step = step or 1
    if text in ("*", "?"):
        return range(field.lowest, field.highest + 1), step
    low, dash, high = text.partition("-")
    first = _number(low, field, text)
    last = _number(high, field, text) if dash else field.highest if slash else first
    _check(first, last, field, item)
    return range(first, last + 1), step


def _check(first: int, last: int, field: _Field, item: str) -> None:
    if first < field.lowest:
        raise InvalidSchedule(f"beginning of range ({first}) below minimum ({field.lowest}): {item}")
    if last > field.highest:
        raise InvalidSchedule(f"end of range ({last}) above maximum ({field.highest}): {item}")
    if first > last:
        raise InvalidSchedule(f"beginning of range ({first}) beyond end of range ({last}): {item}")


def _number(text: str, field: _Field, span: str) -> int:
    if text.isdecimal():
        return int(text)
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.lowest
    raise InvalidSchedule(f"failed to parse int from {span}: invalid syntax")


def _midnight(day: date, zone: tzinfo) -> float:
    """The first instant of that day; where the clock skips midnight, the instant of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
