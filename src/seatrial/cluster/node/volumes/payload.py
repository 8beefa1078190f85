"""The files of a volume that comes from the API: their paths, contents and modes (pure)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import SeatrialError
from seatrial.cluster.node import fields
from seatrial.cluster.node.volumes.errors import VolumeNotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from seatrial.cluster.node.volumes.facts import PodFacts
    from seatrial.kube.model.objects import Object

    Lookup = Callable[[str, str], Object | None]
    """A ConfigMap or Secret of the pod's namespace, by kind and name."""

DEFAULT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int
    owner: int | None = None
    """The user it belongs to; None: whoever writes it."""


Payload = dict[str, File]
"""Files by their relative path."""


def config_map(source: Mapping[str, Any], lookup: Lookup, mode: int) -> Payload:
    """Raises VolumeNotReady."""
    return _from_object("ConfigMap", source.get("name") or "", source, lookup, mode)


def secret(source: Mapping[str, Any], lookup: Lookup, mode: int) -> Payload:
    """Raises VolumeNotReady."""
    return _from_object("Secret", source.get("secretName") or source.get("name") or "", source, lookup, mode)


def downward(
    source: Mapping[str, Any], pod: Object, facts: PodFacts, allocatable: Mapping[str, str], mode: int
) -> Payload:
    """Raises VolumeNotReady."""
    made: Payload = {}
    for item in source.get("items") or []:
        try:
            text = _downward_value(item, pod, facts, allocatable)
        except SeatrialError as error:
            raise VolumeNotReady(error.message) from error
        made[checked_path(item["path"])] = File(text.encode(), _mode(item, mode))
    return made


def sources(volume: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and name of each object the volume's files come from."""
    parts: Iterable[Mapping[str, Any]] = (volume.get("projected") or {}).get("sources") or []
    for part in (volume, *parts):
        if part.get("configMap"):
            yield "ConfigMap", part["configMap"].get("name") or ""
        if part.get("secret"):
            yield "Secret", part["secret"].get("secretName") or part["secret"].get("name") or ""


def shows_pod(volume: Mapping[str, Any]) -> bool:
    """Whether its files tell about the pod itself, whose labels and annotations change."""
    parts = (volume.get("projected") or {}).get("sources") or []
    return any(part.get("downwardAPI") for part in (volume, *parts))


def _from_object(kind: str, name: str, source: Mapping[str, Any], lookup: Lookup, mode: int) -> Payload:
    found = lookup(kind, name)
    optional = bool(source.get("optional"))
    if found is None:
        if optional:
            return {}
        raise VolumeNotReady(f'{kind.lower()} "{name}" not found')
    try:
        values = _values(kind, found)
    except ValueError as error:
        raise VolumeNotReady(f'{kind.lower()} "{name}" has data that is not base64') from error
    items = source.get("items")
    if not items:
        return {checked_path(key): File(data, mode) for key, data in values.items()}
    made: Payload = {}
    for item in items:
        key = item["key"]
        if key in values:
            made[checked_path(item["path"])] = File(values[key], _mode(item, mode))
        elif not optional:
            what = "config key" if kind == "ConfigMap" else "secret key"
            raise VolumeNotReady(f'{kind.lower()} "{name}" references non-existent {what}: {key}')
    return made


def _values(kind: str, found: Object) -> dict[str, bytes]:
    data = found.get("data") or {}
    if kind == "Secret":
        return {key: base64.b64decode(value or "") for key, value in data.items()}
    binary = {key: base64.b64decode(value or "") for key, value in (found.get("binaryData") or {}).items()}
    return {key: str(value or "").encode() for key, value in data.items()} | binary


def _downward_value(item: Mapping[str, Any], pod: Object, facts: PodFacts, allocatable: Mapping[str, str]) -> str:
    if item.get("fieldRef"):
        path = item["fieldRef"].get("fieldPath") or ""
        return fields.field_value(pod, path, pod_address=facts.pod_address, host_address=facts.host_address)
    reference = item["resourceFieldRef"]
    name, spec = reference.get("containerName"), pod["spec"]
    everyone = [*(spec.get("initContainers") or []), *spec["containers"]]
    container = next((found for found in everyone if found["name"] == name), None)
    if container is None:
        raise VolumeNotReady(f'resourceFieldRef of {item["path"]}: container "{name}" not found')
    return fields.resource_value(container, reference["resource"], str(reference.get("divisor") or "0"), allocatable)


def _mode(item: Mapping[str, Any], default: int) -> int:
    mode = item.get("mode")
    return default if mode is None else int(mode)


def checked_path(path: str) -> str:
    """Raises VolumeNotReady for one that is not inside the volume, or that our own names could be taken for."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith("..") or "\0" in path:
        raise VolumeNotReady(f"a file of a volume cannot be called {path!r}: use a relative path without '..'")
    return str(PurePosixPath(*parts))
