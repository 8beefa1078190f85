"""StatefulSet: ready and at one revision, as far as its partition asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import is_observed, mapping, number, text
from seatrial.gitops.health.health import HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    spec, status = mapping(obj, "spec"), mapping(obj, "status")
    if not number(status, "observedGeneration") or not is_observed(obj):
        return Health(PROGRESSING, "the newest spec has not been observed yet")
    wanted, ready = number(spec, "replicas", 1), number(status, "readyReplicas")
    if ready < wanted:
        return Health(PROGRESSING, f"{ready} of {wanted} pods are ready")
    strategy = mapping(spec, "updateStrategy")
    updated = number(status, "updatedReplicas")
    if strategy.get("type") == "RollingUpdate" and isinstance(strategy.get("rollingUpdate"), dict):
        due = wanted - number(strategy["rollingUpdate"], "partition")
        if updated < due:
            return Health(PROGRESSING, f"{updated} of {due} pods above the partition are updated")
        return Health(HEALTHY, f"{updated} pods are updated")
    if strategy.get("type") == "OnDelete":
        return Health(HEALTHY, f"{ready} pods are ready")
    if text(status, "updateRevision") != text(status, "currentRevision"):
        return Health(PROGRESSING, f"{updated} pods are at revision {text(status, 'updateRevision')}")
    return Health(HEALTHY)
