"""CustomResourceDefinition: established, on its way there, or refused for its names or its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import mapping, mappings, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    found = {text(item, "type"): item for item in mappings(mapping(obj, "status"), "conditions")}
    if not found:
        return Health(PROGRESSING, "the definition has no conditions yet")

    def holds(kind: str, status: str) -> bool:
        return text(found.get(kind, {}), "status") == status

    if holds("Terminating", "True"):
        return Health(PROGRESSING, "the definition is being deleted")
    if holds("NamesAccepted", "False"):
        return Health(DEGRADED, f"its names are refused: {text(found['NamesAccepted'], 'message')}")
    if holds("NonStructuralSchema", "True"):
        return Health(DEGRADED, f"its schema is not structural: {text(found['NonStructuralSchema'], 'message')}")
    if holds("Established", "True"):
        return Health(HEALTHY)
    established = found.get("Established", {})
    if established.get("reason") == "InvalidCABundle":
        return Health(DEGRADED, f"it is not established: {text(established, 'message')}")
    return Health(PROGRESSING, "the definition is not established yet")
