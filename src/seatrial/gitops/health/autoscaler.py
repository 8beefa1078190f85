"""HorizontalPodAutoscaler: the first of its conditions that says something.

v2 has conditions in its status; v1 keeps them, as JSON, in an annotation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.gitops.health.fields import mapping, mappings, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, UNKNOWN, Health
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_ANNOTATION = "autoscaling.alpha.kubernetes.io/conditions"
_WAITING = Health(PROGRESSING, "the autoscaler has not said anything yet")
_BAD = {
    "AbleToScale": {"FailedGetScale", "FailedUpdateScale"},
    "ScalingActive": {
        "FailedGetResourceMetric", "FailedGetObjectMetric", "FailedGetPodsMetric", "FailedGetExternalMetric",
        "FailedComputeMetricsReplicas", "InvalidSelector",
    },
}  # fmt: skip
_GOOD = ("AbleToScale", "ScalingLimited")


def assess(obj: Object) -> Health:
    version = objects.split_api_version(obj.get("apiVersion") or "")[1]
    if version not in ("v1", "v2"):
        return Health(UNKNOWN, f"autoscaling/{version} is not served by any current cluster: use autoscaling/v2")
    try:
        conditions = _annotated(obj) if version == "v1" else mappings(mapping(obj, "status"), "conditions")
    except ValueError:
        return Health(UNKNOWN, f"the annotation {_ANNOTATION} is not JSON")
    for condition in conditions:
        kind, message = text(condition, "type"), text(condition, "message")
        if condition.get("reason") in _BAD.get(kind, ()):
            return Health(DEGRADED, message)
        if kind in _GOOD and condition.get("status") == "True":
            return Health(HEALTHY, message)
    return _WAITING


def _annotated(obj: Object) -> list[dict[str, Any]]:
    """Raises ValueError."""
    written = objects.annotations(obj).get(_ANNOTATION)
    return mappings(orjson.loads(written)) if written else []
