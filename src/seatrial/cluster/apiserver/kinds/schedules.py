"""Whether a CronJob's schedule and time zone can be understood. When it is due is the controller's business."""

from __future__ import annotations

import zoneinfo

from seatrial.kube.model import cron


def problem(schedule: str) -> str:
    """What is wrong with a schedule; "" if nothing is."""
    if "TZ" in schedule:
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    try:
        cron.parse(schedule)
    except cron.InvalidSchedule as error:
        return error.message
    return ""


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
