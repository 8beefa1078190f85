"""APIService: available or not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import condition, text
from seatrial.gitops.health.health import HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    available = condition(obj, "Available")
    if not available:
        return Health(PROGRESSING, "its availability is not known yet")
    if available.get("status") == "True":
        return Health(HEALTHY, text(available, "message"))
    return Health(PROGRESSING, f"{text(available, 'reason')}: {text(available, 'message')}".strip(": "))
