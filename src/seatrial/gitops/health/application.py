"""Application of an application: built in here, where Argo CD wants a script for it.

The health is what the child's own status says. A child that is OutOfSync and Healthy is Healthy: being behind Git is
what sync status is for, and only the child's controller knows whether it is to be synced at all. But until the
controller has looked at the newest spec, and while an operation runs, the child is Progressing: so that waves of an
app-of-apps wait for what they have just changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.gitops.health.fields import mapping, text
from seatrial.gitops.health.health import HEALTHY, ORDER, PROGRESSING, UNKNOWN, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_RUNNING = ("Running", "Terminating")


def assess(obj: Object) -> Health:
    status = mapping(obj, "status")
    if obj.get("operation") or mapping(status, "operationState").get("phase") in _RUNNING:
        return Health(PROGRESSING, "a sync is going on")
    if not status.get("reconciledAt") or not _is_compared_to(obj, status):
        return Health(PROGRESSING, "the application has not been compared yet")
    health = mapping(status, "health")
    found = next((known for known in ORDER if known == health.get("status")), UNKNOWN)
    message = text(health, "message")
    if found == HEALTHY and mapping(status, "sync").get("status") == "OutOfSync" and not message:
        message = "healthy, though not what Git says"
    return Health(found, message)


def _is_compared_to(obj: Object, status: dict[str, Any]) -> bool:
    """Whether the last comparison was of the sources that the spec names now."""
    spec, compared = mapping(obj, "spec"), mapping(status, "sync", "comparedTo")
    if spec.get("sources"):
        return bool(compared.get("sources") == spec["sources"])
    return compared.get("source") in (None, spec.get("source"))
