"""The resource group: device classes, claims, slices and taints. Stored and shown; nothing here allocates devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, text

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.status import Cause

_GROUP = "resource.k8s.io"
_EXACT = "ExactCount"


def _default_claim(obj: Object) -> None:
    _default_requests(obj.get("spec") or {})


def _default_template(obj: Object) -> None:
    _default_requests(dig(obj, "spec", "spec") or {})


def _default_requests(spec: dict[str, Any]) -> None:
    for request in dig(spec, "devices", "requests") or []:
        for asked in [request.get("exactly"), *(request.get("firstAvailable") or [])]:
            if asked:
                _default_amount(asked)


def _default_amount(asked: dict[str, Any]) -> None:
    asked["allocationMode"] = asked.get("allocationMode") or _EXACT
    if asked["allocationMode"] == _EXACT:
        asked["count"] = asked.get("count") or 1


def _spec_fixed(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj.get("spec"), old.get("spec"), "spec")


RULES = {
    f"deviceclasses.{_GROUP}": Rules(generation=True),
    f"devicetaintrules.{_GROUP}": Rules(generation=True),
    f"resourceclaims.{_GROUP}": Rules(default=_default_claim, validate_update=_spec_fixed),
    f"resourceclaimtemplates.{_GROUP}": Rules(default=_default_template, validate_update=_spec_fixed),
    f"resourceslices.{_GROUP}": Rules(
        fields={
            "spec.driver": text("spec", "driver"),
            "spec.nodeName": text("spec", "nodeName"),
            "spec.pool.name": text("spec", "pool", "name"),
        },
        generation=True,
    ),
}
