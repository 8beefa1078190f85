"""Checks on where a container mounts the pod's volumes."""

from __future__ import annotations

from typing import Any

from seatrial.cluster.apiserver.kinds import checks
from seatrial.kube.model.status import Cause, invalid_value, required

_PROPAGATION = ("Bidirectional", "HostToContainer", "None")


def mounts(container: dict[str, Any], volumes: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    device_names = {device.get("name") for device in container.get("volumeDevices") or []}
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or []):
        place = f"{field}[{index}]"
        causes += _volume_name(mount.get("name"), volumes, place)
        if mount.get("name") in device_names:
            causes.append(invalid_value(f"{place}.name", mount["name"], "must not already exist in volumeDevices"))
        path = mount.get("mountPath")
        if not path:
            causes.append(required(f"{place}.mountPath"))
        elif path in seen:
            causes.append(invalid_value(f"{place}.mountPath", path, "must be unique"))
        seen.add(path or "")
        causes += _options(mount, place)
    return causes


def _volume_name(name: str | None, volumes: dict[str, Any], field: str) -> list[Cause]:
    causes = [] if name else [required(f"{field}.name")]
    if name not in volumes:
        causes.append(Cause("FieldValueNotFound", f'Not found: "{name or ""}"', f"{field}.name"))
    return causes


def _options(mount: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("subPath", "subPathExpr"):
        causes += descending(mount.get(key), f"{field.rpartition('[')[0]}.{key}")  # Kubernetes leaves the index out
    if mount.get("subPath") and mount.get("subPathExpr"):
        detail = "subPathExpr and subPath are mutually exclusive"
        causes.append(invalid_value(f"{field}.subPathExpr", mount["subPathExpr"], detail))
    return causes + checks.optional_one_of(mount.get("mountPropagation"), f"{field}.mountPropagation", _PROPAGATION)


def descending(path: str | None, field: str) -> list[Cause]:
    """A path inside a volume: relative, and never upwards."""
    if not path:
        return []
    causes = [invalid_value(field, path, "must be a relative path")] if path.startswith("/") else []
    if ".." in path.split("/"):
        causes.append(invalid_value(field, path, "must not contain '..'"))
    return causes


def devices(container: dict[str, Any], volumes: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, device in enumerate(container.get("volumeDevices") or []):
        place = f"{field}[{index}]"
        causes += _volume_name(device.get("name"), volumes, place)
        if not device.get("devicePath"):
            causes.append(required(f"{place}.devicePath"))
    return causes
