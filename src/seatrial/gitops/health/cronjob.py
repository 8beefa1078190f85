"""CronJob: Degraded only when its last run is known to have failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import mapping, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    if mapping(obj, "spec").get("suspend") is True:
        return Health(HEALTHY, "the schedule is suspended")  # Argo CD 3.2 and later; a Suspended app would mislead
    status = obj.get("status")
    if not isinstance(status, dict):
        return Health(PROGRESSING, "the controller has not seen the object yet")
    scheduled, succeeded = text(status, "lastScheduleTime"), text(status, "lastSuccessfulTime")
    if not scheduled:
        return Health(HEALTHY, "it has not been due yet")
    if not succeeded:
        return Health(HEALTHY, "no run has succeeded yet")
    if status.get("active"):
        return Health(HEALTHY, "a run is going on")
    if succeeded < scheduled:  # times in UTC without fractions: their text has their order
        return Health(DEGRADED, "the last run did not succeed")
    return Health(HEALTHY, "the last run succeeded")
