"""What a CronJob's Jobs mean for it, which of them are history, and what is due now. Pure."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.controllers.job import spec as jobspec
from seatrial.cluster.controllers.pods import created_at
from seatrial.kube.model import conditions, cron, objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.model.cron import Schedule
    from seatrial.kube.model.objects import Object

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MOST_MISSED = 100
"""More missed starts than this are worth a warning: a clock or a deadline is probably wrong."""
MARGIN = 0.1
"""Seconds to look after the set time rather than before, should the clocks differ a little."""


class Seen(NamedTuple):
    """What the Jobs say."""

    active: list[dict[str, Any]]
    """References to those at work."""
    completed: list[Object]
    """Listed as active until now, and finished."""
    missing: list[dict[str, Any]]
    """Listed as active until now, and no longer there."""
    unexpected: list[Object]
    """At work, though no schedule started them."""
    last_schedule: float | None
    last_success: float | None


class Due(NamedTuple):
    start: float | None
    """The set time to start a Job for, at once."""
    missed: float | None = None
    """A set time that is too long ago to be made up for."""
    too_many: bool = False
    next_in: float | None = None
    """Seconds until the next look; None if nothing will ever be due."""


# looking


def see(cron_job: Object, jobs: Iterable[Object]) -> Seen:
    listed = {reference["uid"]: reference for reference in (cron_job.get("status") or {}).get("active") or []}
    seen = Seen([], [], [], [], *_times(cron_job, jobs))
    here = set()
    for job in sorted(jobs, key=lambda job: (created_at(job), objects.name(job))):
        uid = objects.uid(job)
        here.add(uid)
        if jobspec.finished(job):
            if uid in listed:
                seen.completed.append(job)
        elif uid in listed:
            seen.active.append(listed[uid])
        elif SCHEDULED_AT in objects.annotations(job):
            if not objects.is_deleting(job):
                seen.active.append(reference_to(job))
        else:
            seen.unexpected.append(job)
    seen.missing.extend(reference for uid, reference in listed.items() if uid not in here)
    return seen


def reference_to(job: Object) -> dict[str, Any]:
    meta = job["metadata"]
    return {
        "apiVersion": job["apiVersion"],
        "kind": job["kind"],
        "name": meta["name"],
        "namespace": meta["namespace"],
        "resourceVersion": meta["resourceVersion"],
        "uid": meta["uid"],
    }


def _times(cron_job: Object, jobs: Iterable[Object]) -> tuple[float | None, float | None]:
    """The last set time a Job was started for, the last success. A Job may tell what no status was written for."""
    status = cron_job.get("status") or {}
    scheduled = [status.get("lastScheduleTime"), *(objects.annotations(job).get(SCHEDULED_AT) for job in jobs)]
    succeeded = [status.get("lastSuccessfulTime"), *(_success(job) for job in jobs)]
    return _latest(scheduled), _latest(succeeded)


def _success(job: Object) -> str | None:
    if not conditions.is_true(job, "Complete"):
        return None
    found: str | None = job["status"].get("completionTime")
    return found


def _latest(times: Iterable[str | None]) -> float | None:
    return max((parse_time(text) for text in times if text), default=None)


def status_of(active: Sequence[dict[str, Any]], last_schedule: float | None, last_success: float | None) -> Object:
    status: Object = {"active": list(active)} if active else {}
    if last_schedule is not None:
        status["lastScheduleTime"] = rfc3339(last_schedule)
    if last_success is not None:
        status["lastSuccessfulTime"] = rfc3339(last_success)
    return status


# history


def superfluous(cron_job: Object, jobs: Iterable[Object]) -> list[Object]:
    """Finished Jobs beyond what the history is to keep, oldest first."""
    there = [job for job in jobs if not objects.is_deleting(job)]
    return [
        *_oldest([job for job in there if conditions.is_true(job, "Complete")], cron_job, "successfulJobsHistoryLimit"),
        *_oldest([job for job in there if conditions.is_true(job, "Failed")], cron_job, "failedJobsHistoryLimit"),
    ]


def _oldest(finished: list[Object], cron_job: Object, limit: str) -> list[Object]:
    kept = cron_job["spec"].get(limit)
    if kept is None:
        return []
    ordered = sorted(finished, key=lambda job: (_started(job), objects.name(job)))
    return ordered[: max(0, len(ordered) - kept)]


def _started(job: Object) -> float:
    """One that has not started is the youngest."""
    text = (job.get("status") or {}).get("startTime")
    return parse_time(text) if text else float("inf")


# schedule


def schedule_of(cron_job: Object) -> Schedule:
    """Without a time zone of its own a CronJob is in UTC. Raises InvalidSchedule, ZoneInfoNotFoundError."""
    zone = cron_job["spec"].get("timeZone")
    return cron.parse(cron_job["spec"]["schedule"], zoneinfo.ZoneInfo(zone) if zone else UTC)


def due(cron_job: Object, schedule: Schedule, last: float | None, since: float, now: float) -> Due:
    """Of all set times that have passed only the last one counts.

    `last`: the set time of the last start. `since`: what lies before, the schedule did not say when it came.
    """
    base = max(created_at(cron_job) if last is None else last, since)
    latest = schedule.latest(base, now)
    following = schedule.next(base if latest is None else latest)
    next_in = None if following is None else following - now + MARGIN
    if latest is None:
        return Due(None, next_in=next_in)
    deadline = cron_job["spec"].get("startingDeadlineSeconds")
    if deadline is None:
        return Due(latest, too_many=_is_many(schedule, base, now), next_in=next_in)
    if latest + deadline < now:
        return Due(None, missed=latest, next_in=next_in)
    return Due(latest, too_many=_is_many(schedule, max(base, now - deadline), now), next_in=next_in)


def _is_many(schedule: Schedule, base: float, now: float) -> bool:
    """Whether more than MOST_MISSED set times lie in between; no more than that are looked at."""
    for _ in range(MOST_MISSED + 1):
        found = schedule.next(base)
        if found is None or found > now:
            return False
        base = found
    return True


# Jobs


def job_name(cron_job: Object, scheduled: float) -> str:
    """The same for the same set time: whoever creates it twice is told so."""
    return f"{objects.name(cron_job)}-{int(scheduled) // 60}"


def job_for(cron_job: Object, scheduled: float) -> Object:
    template = objects.clone(cron_job["spec"]["jobTemplate"])
    given = template.get("metadata") or {}
    meta: Object = {
        "name": job_name(cron_job, scheduled),
        "namespace": objects.namespace(cron_job),
        "annotations": {**(given.get("annotations") or {}), SCHEDULED_AT: _local(cron_job, scheduled)},
        "ownerReferences": [objects.controller_reference(cron_job)],
    }
    if given.get("labels"):
        meta["labels"] = given["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": template["spec"]}


def _local(cron_job: Object, scheduled: float) -> str:
    """RFC 3339, in the CronJob's time zone."""
    zone = cron_job["spec"].get("timeZone")
    if not zone:
        return rfc3339(scheduled)
    text = datetime.fromtimestamp(int(scheduled), zoneinfo.ZoneInfo(zone)).isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
