"""The autoscaling group: HorizontalPodAutoscaler in both served versions. Stored as v2; see `conversion.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names, quantities
from seatrial.cluster.apiserver.kinds.rules import Rules, setdefaults, struct
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

DEFAULT_UTILIZATION = 80
_PERIOD = 15
_SCALE_UP: dict[str, Any] = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": _PERIOD},
        {"type": "Percent", "value": 100, "periodSeconds": _PERIOD},
    ],
}
_SCALE_DOWN: dict[str, Any] = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": _PERIOD}],
}
_LONGEST_PERIOD = 1800
_LONGEST_WINDOW = 3600

SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
"""The type of a metric, and the field that describes one of that type."""

_TARGETS = ("averageUtilization", "averageValue", "value")
_ALLOWED_TARGETS = {
    "ContainerResource": ("averageUtilization", "averageValue"),
    "External": ("averageValue", "value"),
    "Object": ("averageValue", "value"),
    "Pods": ("averageValue",),
    "Resource": ("averageUtilization", "averageValue"),
}


def default_metrics() -> list[dict[str, Any]]:
    target = {"type": "Utilization", "averageUtilization": DEFAULT_UTILIZATION}
    return [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _default(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, minReplicas=1)
    if obj.get("apiVersion") == "autoscaling/v1":
        return
    if not spec.get("metrics"):
        spec["metrics"] = default_metrics()
    behavior = spec.get("behavior")
    if behavior is not None:
        for key, defaults in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
            setdefaults(struct(behavior, key), **objects.clone(defaults))


def _validate(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    causes: list[Cause] = []
    if least is not None and least < 0:
        causes.append(invalid_value("spec.minReplicas", least, "must be greater than or equal to 0"))
    if least == 0 and not any(metric.get("type") in ("Object", "External") for metric in spec.get("metrics") or []):
        # Pods that do not run have no CPU to measure: only what is counted elsewhere can wake them (KEP-2021).
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        causes.append(forbidden_value("spec.metrics", detail))
    if most < 1:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than 0"))
    elif least is not None and most < least:
        detail = "must be greater than or equal to `minReplicas`"
        causes.append(invalid_value("spec.maxReplicas", most, detail))
    causes += _scale_target(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    utilization = spec.get("targetCPUUtilizationPercentage")
    if utilization is not None and utilization < 1:
        place = "spec.targetCPUUtilizationPercentage"
        causes.append(invalid_value(place, utilization, "must be greater than 0"))
    for index, metric in enumerate(spec.get("metrics") or []):
        causes += _metric(metric, f"spec.metrics[{index}]")
    for key in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(key)
        if rules is not None:
            causes += _rules(rules, f"spec.behavior.{key}")
    return causes


def _reference(found: dict[str, Any], field: str) -> list[Cause]:
    return [
        *checks.named(found.get("kind"), f"{field}.kind", names.path_segment),
        *checks.named(found.get("name"), f"{field}.name", names.path_segment),
    ]


def _scale_target(found: dict[str, Any], field: str) -> list[Cause]:
    causes = _reference(found, field)
    if objects.split_api_version(found.get("apiVersion") or "")[0]:
        return causes
    detail = "apiVersion must specify API group"
    return [*causes, invalid_value(f"{field}.apiVersion", found.get("apiVersion") or "", detail)]


def _metric(metric: dict[str, Any], field: str) -> list[Cause]:
    kind = metric.get("type") or ""
    if kind not in SOURCES:
        return checks.one_of(kind, f"{field}.type", tuple(SOURCES))
    given = [key for key in SOURCES.values() if metric.get(key) is not None]
    if not given:
        detail = "must populate information for the given metric source"
        return [required(f"{field}.{SOURCES[kind]}", detail)]
    if SOURCES[kind] not in given or len(given) > 1:
        wrong = next(key for key in given if key != SOURCES[kind])
        detail = "must populate the given metric source only"
        return [forbidden_value(f"{field}.{wrong}", detail)]
    return _source(kind, metric[SOURCES[kind]], f"{field}.{SOURCES[kind]}")


def _source(kind: str, source: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    if kind in ("Resource", "ContainerResource"):
        if not source.get("name"):
            causes.append(required(f"{field}.name", "must specify a resource name"))
        if kind == "ContainerResource" and not source.get("container"):
            causes.append(required(f"{field}.container", "must specify a container name"))
    else:
        metric = source.get("metric") or {}
        causes += checks.named(metric.get("name"), f"{field}.metric.name", names.path_segment)
        causes += checks.selector(metric.get("selector"), f"{field}.metric.selector")
    if kind == "Object":
        causes += _reference(source.get("describedObject") or {}, f"{field}.describedObject")
    return causes + _target(kind, source.get("target") or {}, f"{field}.target")


def _target(kind: str, target: dict[str, Any], field: str) -> list[Cause]:
    causes = checks.one_of(target.get("type"), f"{field}.type", ("AverageValue", "Utilization", "Value"))
    for key in _TARGETS:
        value = target.get(key)
        number = quantities.amount(value) if value is not None else None
        if value is not None and (number is None or number <= 0):
            causes.append(invalid_value(f"{field}.{key}", value, "must be positive"))
    allowed = _ALLOWED_TARGETS[kind]
    given = [key for key in _TARGETS if target.get(key) is not None]
    if not any(key in allowed for key in given):
        place = f"{field}.{allowed[0]}"
        detail = "must set either a target raw value or a target utilization"
        if kind not in ("Resource", "ContainerResource"):
            detail = "must specify a positive target value"
        causes.append(required(place, detail))
    elif {"averageUtilization", "averageValue"} <= set(given):
        detail = "may not set both a target raw value and a target utilization"
        causes.append(forbidden_value(f"{field}.averageValue", detail))
    return causes


def _rules(rules: dict[str, Any], field: str) -> list[Cause]:
    window = rules.get("stabilizationWindowSeconds")
    causes = checks.not_negative(window, f"{field}.stabilizationWindowSeconds")
    if (window or 0) > _LONGEST_WINDOW:
        place = f"{field}.stabilizationWindowSeconds"
        causes.append(invalid_value(place, window, f"must be less than or equal to {_LONGEST_WINDOW}"))
    causes += checks.optional_one_of(rules.get("selectPolicy"), f"{field}.selectPolicy", ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or []
    if not policies:
        causes.append(required(f"{field}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        place = f"{field}.policies[{index}]"
        causes += checks.one_of(policy.get("type"), f"{place}.type", ("Percent", "Pods"))
        causes += checks.positive(policy.get("value") or 0, f"{place}.value")
        period = policy.get("periodSeconds") or 0
        causes += checks.positive(period, f"{place}.periodSeconds")
        if period > _LONGEST_PERIOD:
            detail = f"must be less than or equal to {_LONGEST_PERIOD}"
            causes.append(invalid_value(f"{place}.periodSeconds", period, detail))
    return causes


RULES = {
    "horizontalpodautoscalers.autoscaling": Rules(
        default=_default,
        validate=_validate,
        generation=True,
        empty_status={"desiredReplicas": 0},
    )
}
