"""Service: only one of type LoadBalancer waits for something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import mapping
from seatrial.gitops.health.health import HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    balanced = mapping(obj, "spec").get("type") == "LoadBalancer"
    if balanced and not mapping(obj, "status", "loadBalancer").get("ingress"):
        return Health(PROGRESSING, "no load balancer address has been assigned yet")
    return Health(HEALTHY)
