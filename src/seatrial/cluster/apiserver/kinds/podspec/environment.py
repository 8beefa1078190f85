"""Checks on a container's environment: each variable has a name and one source at most."""

from __future__ import annotations

import re
from typing import Any

from seatrial.cluster.apiserver.kinds import checks, names
from seatrial.kube.model.status import Cause, invalid_value, required, unsupported_value

POD_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
RESOURCES = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_SUBSCRIPT = re.compile(r"(metadata\.(?:annotations|labels))\['(.*)'\]")


def variables(found: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, variable in enumerate(found):
        place = f"{field}[{index}]"
        causes += checks.named(variable.get("name"), f"{place}.name", names.environment_variable)
        if variable.get("valueFrom") is not None:
            causes += _value_from(variable, f"{place}.valueFrom")
    return causes


def _value_from(variable: dict[str, Any], field: str) -> list[Cause]:
    source = variable["valueFrom"]
    used = [key for key in _SOURCES if source.get(key) is not None]
    causes: list[Cause] = []
    if "fieldRef" in used:
        causes += field_reference(source["fieldRef"], f"{field}.fieldRef", POD_FIELDS)
    if "resourceFieldRef" in used:
        causes += resource_reference(source["resourceFieldRef"], f"{field}.resourceFieldRef")
    for key in ("configMapKeyRef", "secretKeyRef"):
        if key in used:
            causes += _key_reference(source[key], f"{field}.{key}")
    if not used:
        listed = ", ".join(f"`{key}`" for key in _SOURCES[:-1]) + f" or `{_SOURCES[-1]}`"
        causes.append(invalid_value(field, "", f"must specify one of: {listed}"))
    elif variable.get("value"):
        causes.append(invalid_value(field, "", "may not be specified when `value` is not empty"))
    elif len(used) > 1:
        causes.append(invalid_value(field, "", "may not have more than one field specified at a time"))
    return causes


def field_reference(reference: dict[str, Any], field: str, supported: tuple[str, ...]) -> list[Cause]:
    path = reference.get("fieldPath")
    if not path:
        return [required(f"{field}.fieldPath")]
    matched = _SUBSCRIPT.fullmatch(path)
    if matched:
        kind, key = matched.groups()
        key = key.lower() if kind.endswith("annotations") else key
        return checks.optional_name(key, field, names.qualified)
    return [] if path in supported else [unsupported_value(f"{field}.fieldPath", path, supported)]


def resource_reference(reference: dict[str, Any], field: str, *, volume: bool = False) -> list[Cause]:
    if volume and not reference.get("containerName"):
        return [required(f"{field}.containerName")]
    resource = reference.get("resource")
    if not resource:
        return [required(f"{field}.resource")]
    if resource in RESOURCES or ".hugepages-" in resource:
        return []
    return [unsupported_value(f"{field}.resource", resource, RESOURCES)]


def _key_reference(reference: dict[str, Any], field: str) -> list[Cause]:
    causes = [] if reference.get("name") else [required(f"{field}.name")]
    return causes + checks.named(reference.get("key"), f"{field}.key", names.config_key)


def sources(found: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, source in enumerate(found):
        place = f"{field}[{index}]"
        causes += checks.optional_name(source.get("prefix"), f"{place}.prefix", names.environment_variable)
        used = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        if not used:
            causes.append(invalid_value(place, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(used) > 1:
            causes.append(invalid_value(place, "", "may not have more than one field specified at a time"))
        causes += [required(f"{place}.{key}.name") for key in used if not (source[key] or {}).get("name")]
    return causes
