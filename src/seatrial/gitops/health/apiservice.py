"""APIService: available or not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import text
from seatrial.gitops.health.health import HEALTHY, PROGRESSING, Health
from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    condition = conditions.get(obj, "Available")
    if condition is None:
        return Health(PROGRESSING, "its availability is not known yet")
    if condition.get("status") == "True":
        return Health(HEALTHY, text(condition, "message"))
    return Health(PROGRESSING, f"{text(condition, 'reason')}: {text(condition, 'message')}".strip(": "))
