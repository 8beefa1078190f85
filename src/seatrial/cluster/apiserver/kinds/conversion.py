"""One object, two served shapes: HorizontalPodAutoscaler v1 and v2, Event of core and of `events.k8s.io`.

The store keeps one shape (`storage_resource`); `convert` gives the other, as a new object. What the old autoscaler
version has no field for travels in annotations, so nothing is lost when a v1 client writes back what it read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver.kinds.autoscaling import SOURCES, default_metrics
from seatrial.cluster.apiserver.kinds.rules import setdefaults
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

_HPA = "horizontalpodautoscalers.autoscaling"
_STORED_KINDS = {
    _HPA: ("autoscaling/v2", "HorizontalPodAutoscaler"),
    "events.events.k8s.io": ("v1", "Event"),
}

_ANNOTATION = "autoscaling.alpha.kubernetes.io/"
_METRICS, _CURRENT = f"{_ANNOTATION}metrics", f"{_ANNOTATION}current-metrics"
_BEHAVIOR, _CONDITIONS = f"{_ANNOTATION}behavior", f"{_ANNOTATION}conditions"
_CARRIERS = (_METRICS, _CURRENT, _BEHAVIOR, _CONDITIONS)

_EVENT_FIELDS = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
)
"""The core event's name of a field, and the newer one. Every other field has one name."""


def storage_resource(resource: Resource) -> Resource:
    """The resource whose shape the store keeps for objects of this one."""
    stored = _STORED_KINDS.get(resource.group_resource)
    return resources.for_kind(*stored) if stored else resource


def convert(obj: Object, target: Resource) -> Object:
    """A copy of the object in the target's version. Kinds that only change their name change nothing else."""
    new = objects.clone(obj)
    source = new.get("apiVersion")
    new["apiVersion"], new["kind"] = target.api_version, target.kind
    if source == target.api_version:
        return new
    if target.kind == "Event":
        return _event(new, to_core=target.group == "")
    if target.group_resource == _HPA:
        return _to_v2(new) if target.version == "v2" else _to_v1(new)
    return new


def _event(event: Object, *, to_core: bool) -> Object:
    for core, newer in _EVENT_FIELDS:
        source, wanted = (newer, core) if to_core else (core, newer)
        if source in event:
            event[wanted] = event.pop(source)
    if to_core:
        event.setdefault("involvedObject", {})
    return event


def _to_v1(autoscaler: Object) -> Object:
    spec, status = autoscaler.setdefault("spec", {}), autoscaler.get("status") or {}
    carried: dict[str, Any] = {}
    metrics = spec.pop("metrics", None) or []
    utilization = next((metric for metric in metrics if _is_cpu_utilization(metric)), None)
    if utilization:
        spec["targetCPUUtilizationPercentage"] = utilization["resource"]["target"]["averageUtilization"]
    others = [_metric_to_v1(metric) for metric in metrics if not _is_cpu_utilization(metric)]
    carried[_METRICS] = others
    carried[_BEHAVIOR] = _upper(spec.pop("behavior", None))
    current = status.pop("currentMetrics", None) or []
    used = next((_cpu_in_use(metric) for metric in current if _cpu_in_use(metric) is not None), None)
    if used is not None:
        status["currentCPUUtilizationPercentage"] = used
    carried[_CURRENT] = [_status_to_v1(metric) for metric in current]
    carried[_CONDITIONS] = status.pop("conditions", None)
    if "status" in autoscaler:
        setdefaults(status, currentReplicas=0, desiredReplicas=0)  # v1 prints both always, v2 only the second
    _carry(autoscaler, carried)
    return autoscaler


def _is_cpu_utilization(metric: dict[str, Any]) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    return (
        metric.get("type") == "Resource"
        and resource.get("name") == "cpu"
        and target.get("averageUtilization") is not None
    )


def _cpu_in_use(metric: dict[str, Any]) -> Any:
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    return (resource.get("current") or {}).get("averageUtilization")


def _carry(autoscaler: Object, carried: dict[str, Any]) -> None:
    meta = autoscaler.setdefault("metadata", {})
    found = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in _CARRIERS}
    found |= {key: orjson.dumps(value).decode() for key, value in carried.items() if value}
    _annotate(meta, found)


def _annotate(meta: dict[str, Any], annotations: dict[str, str]) -> None:
    if annotations:
        meta["annotations"] = annotations
    else:
        meta.pop("annotations", None)


def _to_v2(autoscaler: Object) -> Object:
    spec, meta = autoscaler.setdefault("spec", {}), autoscaler.setdefault("metadata", {})
    annotations = meta.get("annotations") or {}
    metrics = [_metric_to_v2(metric) for metric in _carried(annotations, _METRICS) or []]
    utilization = spec.pop("targetCPUUtilizationPercentage", None)
    if utilization is not None:
        target = {"type": "Utilization", "averageUtilization": utilization}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    spec["metrics"] = metrics or default_metrics()
    behavior = _carried(annotations, _BEHAVIOR)
    if behavior:
        spec["behavior"] = _lower(behavior)
    if autoscaler.get("status") is not None:
        _status_to_v2(autoscaler["status"], annotations)
    _annotate(meta, {key: value for key, value in annotations.items() if key not in _CARRIERS})
    return autoscaler


def _status_to_v2(status: dict[str, Any], annotations: dict[str, str]) -> None:
    used = status.pop("currentCPUUtilizationPercentage", None)
    if status.get("currentReplicas") == 0:
        del status["currentReplicas"]
    current = _carried(annotations, _CURRENT)
    if current:
        status["currentMetrics"] = [_current_to_v2(metric) for metric in current]
    elif used is not None:
        resource = {"name": "cpu", "current": {"averageUtilization": used}}
        status["currentMetrics"] = [{"type": "Resource", "resource": resource}]
    conditions = _carried(annotations, _CONDITIONS)
    if conditions:
        status["conditions"] = conditions


def _carried(annotations: dict[str, str], key: str) -> Any:
    """What an annotation carries; None if somebody edited it into something unreadable."""
    try:
        return orjson.loads(annotations.get(key) or "null")
    except orjson.JSONDecodeError:
        return None


def _upper(behavior: Any) -> Any:
    """The carried behaviour spells its fields with a capital, as API servers of before have written it."""
    if isinstance(behavior, dict):
        return {key[:1].upper() + key[1:]: _upper(value) for key, value in behavior.items()}
    return [_upper(item) for item in behavior] if isinstance(behavior, list) else behavior


def _lower(behavior: Any) -> Any:
    if isinstance(behavior, dict):
        return {key[:1].lower() + key[1:]: _lower(value) for key, value in behavior.items() if value is not None}
    return [_lower(item) for item in behavior] if isinstance(behavior, list) else behavior


def _metric_to_v1(metric: dict[str, Any]) -> dict[str, Any]:
    """A metric in the flat form of the annotation: targets as fields of the source."""
    kind = metric.get("type") or ""
    field = SOURCES.get(kind, "")
    source = metric.get(field) or {}
    target = source.get("target") or {}
    flat = {**_identity_to_v1(kind, source), **_values_to_v1(kind, target, "target")}
    return {"type": kind, field: _filled(flat)}


def _status_to_v1(metric: dict[str, Any]) -> dict[str, Any]:
    kind = metric.get("type") or ""
    field = SOURCES.get(kind, "")
    source = metric.get(field) or {}
    current = source.get("current") or {}
    flat = {**_identity_to_v1(kind, source), **_values_to_v1(kind, current, "current")}
    return {"type": kind, field: _filled(flat)}


def _identity_to_v1(kind: str, source: dict[str, Any]) -> dict[str, Any]:
    if kind in ("Resource", "ContainerResource"):
        return {"name": source.get("name"), "container": source.get("container")}
    metric = source.get("metric") or {}
    selector = "metricSelector" if kind == "External" else "selector"
    return {
        "metricName": metric.get("name"),
        selector: metric.get("selector"),
        "target": source.get("describedObject"),
    }


def _values_to_v1(kind: str, values: dict[str, Any], prefix: str) -> dict[str, Any]:
    average = "averageValue" if kind == "Object" else f"{prefix}AverageValue"
    return {
        f"{prefix}AverageUtilization": values.get("averageUtilization"),
        average: values.get("averageValue"),
        f"{prefix}Value": values.get("value"),
    }


def _metric_to_v2(metric: dict[str, Any]) -> dict[str, Any]:
    kind = metric.get("type") or ""
    field = SOURCES.get(kind, "")
    flat = metric.get(field) or {}
    values = _values_to_v2(kind, flat, "target")
    target = {"type": _target_type(values), **values}
    return {"type": kind, field: {**_identity_to_v2(kind, flat), "target": target}}


def _current_to_v2(metric: dict[str, Any]) -> dict[str, Any]:
    kind = metric.get("type") or ""
    field = SOURCES.get(kind, "")
    flat = metric.get(field) or {}
    values = _values_to_v2(kind, flat, "current")
    return {"type": kind, field: {**_identity_to_v2(kind, flat), "current": values}}


def _target_type(values: dict[str, Any]) -> str:
    if "averageUtilization" in values:
        return "Utilization"
    return "AverageValue" if "averageValue" in values else "Value"


def _identity_to_v2(kind: str, flat: dict[str, Any]) -> dict[str, Any]:
    if kind in ("Resource", "ContainerResource"):
        return _filled({"name": flat.get("name"), "container": flat.get("container")})
    selector = flat.get("metricSelector" if kind == "External" else "selector")
    metric = _filled({"name": flat.get("metricName"), "selector": selector})
    return _filled({"metric": metric, "describedObject": flat.get("target")})


def _values_to_v2(kind: str, flat: dict[str, Any], prefix: str) -> dict[str, Any]:
    average = "averageValue" if kind == "Object" else f"{prefix}AverageValue"
    return _filled(
        {
            "averageUtilization": flat.get(f"{prefix}AverageUtilization"),
            "averageValue": flat.get(average),
            "value": flat.get(f"{prefix}Value"),
        }
    )


def _filled(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}
