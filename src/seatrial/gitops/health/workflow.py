"""Argo Workflow: its phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import mapping, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, UNKNOWN, Health, Status

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_PHASES: dict[str, Status] = {
    "": PROGRESSING, "Pending": PROGRESSING, "Running": PROGRESSING,
    "Succeeded": HEALTHY, "Failed": DEGRADED, "Error": DEGRADED,
}  # fmt: skip


def assess(obj: Object) -> Health:
    status = mapping(obj, "status")
    return Health(_PHASES.get(text(status, "phase"), UNKNOWN), text(status, "message"))
