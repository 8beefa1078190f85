"""Checks on the volumes of a pod: a unique name and exactly one source each."""

from __future__ import annotations

from typing import Any

from seatrial.cluster.apiserver.kinds import checks, names, quantities
from seatrial.cluster.apiserver.kinds.podspec import environment
from seatrial.cluster.apiserver.kinds.podspec.mounts import descending
from seatrial.kube.model.status import Cause, duplicate_value, forbidden_value, invalid_value, required

_MODE_RANGE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATHS = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_SHORTEST_TOKEN = 10 * 60


def validate(volumes: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        place = f"{field}[{index}]"
        name = volume.get("name")
        causes += checks.named(name, f"{place}.name", names.label)
        if name in seen:
            causes.append(duplicate_value(f"{place}.name", name))
        seen.add(name or "")
        causes += _source(volume, place)
    return causes


def _source(volume: dict[str, Any], field: str) -> list[Cause]:
    used = [key for key, value in volume.items() if key != "name" and value is not None]
    if not used:
        return [required(field, "must specify a volume type")]
    causes = [forbidden_value(f"{field}.{key}", "may not specify more than 1 volume type") for key in used[1:]]
    check = _CHECKS.get(used[0])
    return causes + (check(volume[used[0]], f"{field}.{used[0]}") if check else [])


def _empty_dir(source: dict[str, Any], field: str) -> list[Cause]:
    limit = source.get("sizeLimit")
    return [] if limit is None else quantities.quantity(limit, f"{field}.sizeLimit")


def _host_path(source: dict[str, Any], field: str) -> list[Cause]:
    path = source.get("path")
    causes = [] if path else [required(f"{field}.path")]
    if path and ".." in path.split("/"):
        causes.append(invalid_value(f"{field}.path", path, "must not contain '..'"))
    kind = source.get("type")
    return causes + (checks.one_of(kind, f"{field}.type", _HOST_PATHS) if kind else [])


def _claim(source: dict[str, Any], field: str) -> list[Cause]:
    return [] if source.get("claimName") else [required(f"{field}.claimName")]


def _secret(source: dict[str, Any], field: str) -> list[Cause]:
    causes = [] if source.get("secretName") else [required(f"{field}.secretName")]
    return [*causes, *_mode(source.get("defaultMode"), f"{field}.defaultMode"), *_items(source, field)]


def _config_map(source: dict[str, Any], field: str) -> list[Cause]:
    causes = [] if source.get("name") else [required(f"{field}.name")]
    return [*causes, *_mode(source.get("defaultMode"), f"{field}.defaultMode"), *_items(source, field)]


def _items(source: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, item in enumerate(source.get("items") or []):
        place = f"{field}.items[{index}]"
        if not item.get("key"):
            causes.append(required(f"{place}.key"))
        causes += _item_path(item, place)
    return causes


def _item_path(item: dict[str, Any], field: str) -> list[Cause]:
    causes = [] if item.get("path") else [required(f"{field}.path")]
    return [*causes, *descending(item.get("path"), f"{field}.path"), *_mode(item.get("mode"), f"{field}.mode")]


def _downward(source: dict[str, Any], field: str) -> list[Cause]:
    causes = _mode(source.get("defaultMode"), f"{field}.defaultMode")
    for index, item in enumerate(source.get("items") or []):
        place = f"{field}.items[{index}]"
        causes += _item_path(item, place)
        if item.get("fieldRef") is not None:
            causes += environment.field_reference(item["fieldRef"], f"{place}.fieldRef", environment.VOLUME_FIELDS)
            if item.get("resourceFieldRef") is not None:
                causes.append(
                    invalid_value(
                        place, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"
                    )
                )
        elif item.get("resourceFieldRef") is not None:
            causes += environment.resource_reference(item["resourceFieldRef"], f"{place}.resourceFieldRef", volume=True)
        else:
            causes.append(required(f"{place}.fieldRef", "one of fieldRef and resourceFieldRef is required"))
    return causes


def _projected(source: dict[str, Any], field: str) -> list[Cause]:
    causes = _mode(source.get("defaultMode"), f"{field}.defaultMode")
    for index, part in enumerate(source.get("sources") or []):
        causes += _projection(part, f"{field}.sources[{index}]")
    return causes


def _projection(part: dict[str, Any], field: str) -> list[Cause]:
    used = [key for key, value in part.items() if value is not None]
    causes = [
        forbidden_value(f"{field}.{key}", "may not specify more than 1 volume type per source") for key in used[1:]
    ]
    for key in ("secret", "configMap"):
        if key in used:
            causes += [] if part[key].get("name") else [required(f"{field}.{key}.name")]
            causes += _items(part[key], f"{field}.{key}")
    if "downwardAPI" in used:
        causes += _downward(part["downwardAPI"], f"{field}.downwardAPI")
    if "serviceAccountToken" in used:
        causes += _token(part["serviceAccountToken"], f"{field}.serviceAccountToken")
    return causes


def _token(source: dict[str, Any], field: str) -> list[Cause]:
    causes = _item_path(source, field)
    seconds = source.get("expirationSeconds")
    if seconds is not None and seconds < _SHORTEST_TOKEN:
        detail = "may not specify a duration less than 10 minutes"
        causes.append(invalid_value(f"{field}.expirationSeconds", seconds, detail))
    return causes


def _mode(mode: int | None, field: str) -> list[Cause]:
    if mode is None or 0 <= mode <= 0o777:
        return []
    return [invalid_value(field, mode, _MODE_RANGE)]


_CHECKS = {
    "configMap": _config_map,
    "downwardAPI": _downward,
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "persistentVolumeClaim": _claim,
    "projected": _projected,
    "secret": _secret,
}
