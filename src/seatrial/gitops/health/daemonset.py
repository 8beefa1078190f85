"""DaemonSet: updated and available on every node it belongs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import is_observed, mapping, number
from seatrial.gitops.health.health import HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    status = mapping(obj, "status")
    if not is_observed(obj):
        return Health(PROGRESSING, "the newest spec has not been observed yet")
    updated = number(status, "updatedNumberScheduled")
    if mapping(obj, "spec", "updateStrategy").get("type") == "OnDelete":
        return Health(HEALTHY, f"{updated} pods are updated")
    wanted = number(status, "desiredNumberScheduled")
    if updated < wanted:
        return Health(PROGRESSING, f"{updated} of {wanted} pods are updated")
    available = number(status, "numberAvailable")
    if available < wanted:
        return Health(PROGRESSING, f"{available} of {wanted} pods are available")
    return Health(HEALTHY)
