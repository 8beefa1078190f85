"""When a cron schedule is due. The law: at the instants whose wall clock shows the fields, and at no other."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.kube.model import cron

NEW_YORK = ZoneInfo("America/New_York")
ZONES = [UTC, NEW_YORK, ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Africa/Cairo")]
SPRING, AUTUMN = "2026-03-08", "2026-11-01"
"""The days on which New York's clocks jump."""


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def after(schedule: str, start: str, count: int = 1, zone: ZoneInfo = NEW_YORK) -> list[str]:
    parsed = cron.parse(schedule, zone)
    found: list[str] = []
    moment: float | None = instant(start)
    for _ in range(count):
        assert moment is not None
        moment = parsed.next(moment)
        assert moment is not None
        found.append(datetime.fromtimestamp(moment, zone).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        ("*/15 * * * *", "2026-07-09T14:45Z", "2026-07-09T15:00"),
        ("*/15 * * * *", "2026-07-09T14:59:59Z", "2026-07-09T15:00"),
        ("20-35/15 * * * *", "2026-07-09T15:45Z", "2026-07-09T16:20"),
        ("50/5 9 * * *", "2026-07-09T09:51Z", "2026-07-09T09:55"),
        ("0 0 9 apr-OCT ?", "2026-07-09T23:35Z", "2026-08-09T00:00"),
        ("30 4 1,15 * 5", "2026-07-02T00:00Z", "2026-07-03T04:30"),  # either day field will do
        ("30 4 1,15 * *", "2026-07-02T00:00Z", "2026-07-15T04:30"),
        ("0 0 */2 * mon", "2026-07-03T00:00Z", "2026-07-05T00:00"),  # a star with a step restricts
        ("0 0 */1 * mon", "2026-07-03T00:00Z", "2026-07-06T00:00"),
        ("0 0 29 2 ?", "2026-07-09T00:00Z", "2028-02-29T00:00"),
        ("@weekly", "2026-07-09T00:00Z", "2026-07-12T00:00"),
        ("@yearly", "2026-07-09T00:00Z", "2027-01-01T00:00"),
        ("@hourly", "2026-07-09T00:00Z", "2026-07-09T01:00"),
        ("@every 1h30m", "2026-07-09T00:10Z", "2026-07-09T01:40"),
    ],
)
def test_the_next_time(schedule: str, start: str, expected: str) -> None:
    assert after(schedule, start, zone=ZoneInfo("UTC")) == [expected + "+00:00"]


def test_a_day_that_never_comes_is_never_due() -> None:
    assert cron.parse("0 0 30 2 *").next(instant("2026-07-09T00:00Z")) is None
    assert cron.parse("0 0 31 4 *").latest(instant("2020-07-09T00:00Z"), instant("2026-07-09T00:00Z")) is None


def test_a_time_that_the_clock_leaves_out_is_skipped() -> None:
    assert after("30 2 * * *", f"{SPRING}T00:00-05:00") == ["2026-03-09T02:30-04:00"]
    assert after("0 * * * *", f"{SPRING}T01:00-05:00") == [f"{SPRING}T03:00-04:00"]


def test_a_time_that_the_clock_repeats_comes_twice() -> None:
    twice = [f"{AUTUMN}T01:30-04:00", f"{AUTUMN}T01:30-05:00", "2026-11-02T01:30-05:00"]
    assert after("30 1 * * *", f"{AUTUMN}T00:00-04:00", 3) == twice
    hourly = [f"{AUTUMN}T01:00-04:00", f"{AUTUMN}T01:00-05:00", f"{AUTUMN}T02:00-05:00"]
    assert after("0 * * * *", f"{AUTUMN}T00:00-04:00", 3) == hourly


def test_a_day_without_midnight_begins_later() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # 2026-04-24 begins at one o'clock
    assert after("0 * 24 4 *", "2026-04-23T12:00+02:00", zone=cairo) == ["2026-04-24T01:00+03:00"]
    assert after("0 0 * * *", "2026-04-23T12:00+02:00", zone=cairo) == ["2026-04-25T00:00+03:00"]


def test_every_counts_from_where_it_starts() -> None:
    every = cron.parse("@every 90s")
    assert every.next(10.7) == 100.0
    assert every.latest(10.0, 99.0) is None
    assert every.latest(10.0, 100.0) == 100.0
    assert every.latest(10.0, 300.0) == 280.0
    assert cron.parse("@every 10ms").next(5.0) == 6.0


def test_the_error_says_which_part() -> None:
    with pytest.raises(cron.InvalidSchedule, match="above maximum"):
        cron.parse("0 25 * * *")


# laws


def _field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    value = st.integers(lowest, highest)
    spans = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    item = st.one_of(value.map(str), spans, st.just("*"))
    stepped = st.tuples(item, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.lists(st.one_of(item, stepped), min_size=1, max_size=3).map(",".join)


schedules = st.tuples(_field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), _field(0, 6)).map(" ".join)
moments = st.integers(int(instant("2024-01-01T00:00Z")), int(instant("2030-01-01T00:00Z")))


def _allowed(text: str, lowest: int, highest: int) -> set[int]:
    """A second reading of a field, value by value."""
    found = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        low, dash, high = ("*", "", "") if span == "*" else span.partition("-")
        first = lowest if low == "*" else int(low)
        last = int(high) if dash else highest if low == "*" or step else first
        found |= {value for value in range(first, last + 1) if (value - first) % int(step or 1) == 0}
    return found


def _shows(schedule: str, moment: float, zone: ZoneInfo) -> bool:
    """Whether the wall clock of that instant shows the fields."""
    minute, hour, day, month, weekday = schedule.split()
    local = datetime.fromtimestamp(moment, zone)
    by_day = local.day in _allowed(day, 1, 31)
    by_weekday = (local.weekday() + 1) % 7 in _allowed(weekday, 0, 6)
    stars = {item for field in (day, weekday) for item in field.split(",")} & {"*", "*/1"}
    return (
        local.second == 0
        and local.minute in _allowed(minute, 0, 59)
        and local.hour in _allowed(hour, 0, 23)
        and local.month in _allowed(month, 1, 12)
        and (by_day and by_weekday if stars else by_day or by_weekday)
    )


@settings(deadline=None, max_examples=100)
@given(schedules, moments, st.sampled_from(ZONES))
def test_next_is_later_shows_the_fields_and_nothing_lies_between(schedule: str, start: int, zone: ZoneInfo) -> None:
    found = cron.parse(schedule, zone).next(start)
    horizon = start + 86_400
    if found is not None:
        assert found > start
        assert _shows(schedule, found, zone)
        horizon = min(horizon, int(found))
    between = range((start // 60 + 1) * 60, horizon, 60)
    assert not any(_shows(schedule, moment, zone) for moment in between)


@settings(deadline=None, max_examples=100)
@given(schedules, moments, st.integers(0, 400_000), st.sampled_from(ZONES))
def test_latest_is_the_last_one_before_the_next(schedule: str, start: int, length: int, zone: ZoneInfo) -> None:
    parsed = cron.parse(schedule, zone)
    found, until = parsed.latest(start, start + length), start + length
    following = parsed.next(start if found is None else found)
    assert following is None or following > until
    if found is not None:
        assert start < found <= until
        assert _shows(schedule, found, zone)


@given(st.integers(1, 100_000), moments, st.integers(0, 10**7))
def test_every_is_due_at_multiples(seconds: int, start: int, length: int) -> None:
    every = cron.parse(f"@every {seconds}s")
    found = every.latest(start, start + length)
    if length < seconds:
        assert found is None
    else:
        assert found is not None
        assert (found - start) % seconds == 0
        assert found <= start + length < found + seconds


@given(st.sampled_from(["", " "]), st.text(alphabet="0123456789*/-,? @everydaimonthjn", max_size=20))
def test_any_text_is_a_schedule_or_an_invalid_one(space: str, text: str) -> None:
    try:
        cron.parse(text + space)
    except cron.InvalidSchedule as error:
        assert error.message
