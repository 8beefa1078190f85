"""Job: only the presence of a condition counts for Failed and Complete, as in Argo CD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import mapping, mappings, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, SUSPENDED, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    found = {text(item, "type"): item for item in mappings(mapping(obj, "status"), "conditions")}
    if "Failed" in found:
        return Health(DEGRADED, text(found["Failed"], "message"))
    suspended = found.get("Suspended")
    if suspended is not None and suspended.get("status") == "True":
        return Health(SUSPENDED, text(suspended, "message"))
    ended = found.get("Complete") or suspended
    if ended is None:
        return Health(PROGRESSING)
    return Health(HEALTHY, text(ended, "message"))
