"""Ingress: healthy once its controller published an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.health.fields import mapping
from seatrial.gitops.health.health import HEALTHY, PROGRESSING, Health

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def assess(obj: Object) -> Health:
    if mapping(obj, "status", "loadBalancer").get("ingress"):
        return Health(HEALTHY)
    return Health(PROGRESSING, "the ingress controller has published no address in status.loadBalancer")
