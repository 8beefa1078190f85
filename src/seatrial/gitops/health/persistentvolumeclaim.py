"""PersistentVolumeClaim: its phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import mapping
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, UNKNOWN, Health, Status

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_PHASES: dict[str, Status] = {"Bound": HEALTHY, "Pending": PROGRESSING, "Lost": DEGRADED}


def assess(obj: Object) -> Health:
    phase = mapping(obj, "status").get("phase")
    status = _PHASES.get(phase, UNKNOWN) if isinstance(phase, str) else UNKNOWN
    return Health(status, "" if status == HEALTHY else f"the claim is {phase or 'without a phase'}")
