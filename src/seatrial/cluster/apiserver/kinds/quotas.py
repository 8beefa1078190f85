"""ResourceQuota and LimitRange: their quantities must make sense. Nothing here enforces them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, quantities
from seatrial.cluster.apiserver.kinds.rules import Rules, setdefaults
from seatrial.kube.model.status import Cause, duplicate_value, forbidden_value, invalid_value

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_SCOPES = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_RANGES = ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio")
_ORDER = (
    ("min", "max", "min", "min value {low} is greater than max value {high}"),
    ("min", "defaultRequest", "defaultRequest", "min value {low} is greater than default request value {high}"),
    (
        "defaultRequest",
        "max",
        "defaultRequest",
        "default request value {low} is greater than max value {high}",
    ),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {low} is greater than default limit value {high}",
    ),
    ("min", "default", "default", "min value {low} is greater than default value {high}"),
    ("default", "max", "default", "default value {low} is greater than max value {high}"),
)
"""What must not exceed what, the field blamed for it, and how that is said."""


def _validate_quota(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = quantities.amounts(spec.get("hard"), "spec.hard")
    scopes = spec.get("scopes") or []
    for index, scope in enumerate(scopes):
        causes += checks.one_of(scope, f"spec.scopes[{index}]", _SCOPES)
    if {"BestEffort", "NotBestEffort"} <= set(scopes) or {"Terminating", "NotTerminating"} <= set(scopes):
        causes.append(invalid_value("spec.scopes", scopes, "conflicting scopes"))
    return causes


def _quota_update(obj: Object, old: Object) -> list[Cause]:
    scopes, old_scopes = ((found.get("spec") or {}).get("scopes") for found in (obj, old))
    return checks.unchanged(scopes, old_scopes, "spec.scopes")


def _default_range(obj: Object) -> None:
    for item in (obj.get("spec") or {}).get("limits") or []:
        if item.get("type") == "Container":
            _default_item(item)


def _default_item(item: dict[str, Any]) -> None:
    """The largest amount is the default limit, the default limit the default request, failing both the least."""
    limit = {**(item.get("max") or {}), **(item.get("default") or {})}
    request = {**(item.get("min") or {}), **limit, **(item.get("defaultRequest") or {})}
    found = {"default": limit, "defaultRequest": request}
    item.update({field: amounts for field, amounts in found.items() if amounts})


def _validate_range(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or []):
        field = f"spec.limits[{index}]"
        kind = item.get("type") or ""
        causes += checks.one_of(kind, f"{field}.type", ("Container", "PersistentVolumeClaim", "Pod"))
        if kind in seen:
            causes.append(duplicate_value(f"{field}.type", kind))
        seen.add(kind)
        for name in _RANGES:
            causes += quantities.amounts(item.get(name), f"{field}.{name}")
        causes += _item(item, field)
    return causes


def _item(item: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    if item.get("type") == "Pod":
        causes += [
            forbidden_value(f"{field}.{name}", "may not be specified when `type` is 'Pod'")
            for name in ("default", "defaultRequest")
            if item.get(name)
        ]
    for lower, upper, blamed, detail in _ORDER:
        for name, low in (item.get(lower) or {}).items():
            high = (item.get(upper) or {}).get(name)
            if high is not None and _exceeds(low, high):
                place = f"{field}.{blamed}[{name}]"
                shown = low if blamed == "default" else item[blamed][name]
                causes.append(invalid_value(place, shown, detail.format(low=low, high=high)))
    return causes


def _exceeds(low: Any, high: Any) -> bool:
    one, other = quantities.amount(low), quantities.amount(high)
    return one is not None and other is not None and one > other


def _default_quota(obj: Object) -> None:
    setdefaults(obj, spec={})


RESOURCE_QUOTAS = Rules(default=_default_quota, validate=_validate_quota, validate_update=_quota_update)
LIMIT_RANGES = Rules(default=_default_range, validate=_validate_range, create_on_update=True)
