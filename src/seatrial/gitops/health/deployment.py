"""Deployment: a rollout that goes on is Progressing, one past its deadline Degraded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import is_observed, mapping, mappings, number, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, SUSPENDED, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    spec, status = mapping(obj, "spec"), mapping(obj, "status")
    if spec.get("paused") is True:
        return Health(SUSPENDED, "the rollout is paused")
    if not is_observed(obj):
        return Health(PROGRESSING, "the newest spec has not been observed yet")
    for condition in mappings(status, "conditions"):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            what = text(condition, "message") or "no progress in time"
            return Health(DEGRADED, f"progress deadline exceeded: {what}")
    updated, total = number(status, "updatedReplicas"), number(status, "replicas")
    wanted = number(spec, "replicas", 1 if spec.get("replicas") is None else 0)
    if updated < wanted:
        return Health(PROGRESSING, f"{updated} of {wanted} replicas are updated")
    if total > updated:
        return Health(PROGRESSING, f"{total - updated} old replicas are still to go")
    available = number(status, "availableReplicas")
    if available < updated:
        return Health(PROGRESSING, f"{available} of {updated} updated replicas are available")
    return Health(HEALTHY)
