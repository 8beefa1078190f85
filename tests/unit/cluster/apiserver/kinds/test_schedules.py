"""Schedules and time zones a CronJob accepts."""

from __future__ import annotations

import pytest

from seatrial.cluster.apiserver.kinds.schedules import problem, zone_problem


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", "*/5 1-3,7 1 jan-mar MON", "0 0 ? * 0", "0 */2 31 12 6", "@daily", "@every 1h30m", "5/15 * * * *"],
)
def test_schedules_cron_understands(schedule: str) -> None:
    assert problem(schedule) == ""


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "*/0 * * * *",
        "a * * * *",
        "1- * * * *",
        "5-1 * * * *",
        "@sometimes",
        "@every soon",
        "TZ=UTC * * * * *",
    ],
)
def test_schedules_it_does_not(schedule: str) -> None:
    assert problem(schedule)


def test_time_zones() -> None:
    assert zone_problem("Europe/Berlin") == ""
    assert zone_problem("UTC") == ""
    assert zone_problem("Local")
    assert zone_problem("")
    assert zone_problem("../etc/passwd")
