"""The policy group: PodDisruptionBudget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.kinds import checks
from seatrial.cluster.apiserver.kinds.rules import Rules
from seatrial.kube.model.status import Cause, invalid_value

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def _validate(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        detail = "minAvailable and maxUnavailable cannot be both set"
        return [invalid_value("spec", {"minAvailable": least, "maxUnavailable": most}, detail)]
    causes: list[Cause] = []
    for field, value in (("spec.minAvailable", least), ("spec.maxUnavailable", most)):
        causes += checks.int_or_percent(value, field)
        if (checks.percent(value) or 0) > 100:
            causes.append(invalid_value(field, value, "must not be greater than 100%"))
    causes += checks.selector(spec.get("selector"), "spec.selector")
    return causes + checks.optional_one_of(
        spec.get("unhealthyPodEvictionPolicy"),
        "spec.unhealthyPodEvictionPolicy",
        ("AlwaysAllow", "IfHealthyBudget"),
    )


RULES = {
    "poddisruptionbudgets.policy": Rules(
        validate=_validate,
        generation=True,
        empty_status={"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
        unconditional_update=False,
    )
}
