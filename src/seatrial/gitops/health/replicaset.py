"""ReplicaSet: pods that cannot be made are a failure, pods that are not there yet are progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import condition, is_observed, mapping, number, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    status = mapping(obj, "status")
    if not is_observed(obj):
        return Health(PROGRESSING, "the newest spec has not been observed yet")
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") == "True":
        return Health(DEGRADED, text(failure, "message"))
    wanted, available = number(mapping(obj, "spec"), "replicas", 1), number(status, "availableReplicas")
    if available < wanted:
        return Health(PROGRESSING, f"{available} of {wanted} replicas are available")
    return Health(HEALTHY)
