"""The environment of a container: services, envFrom, env, and `$(NAME)` in them (pure).

Later entries win. References name only what is defined before them; `$$(NAME)` stays `$(NAME)`.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.node import fields
from seatrial.cluster.node.kubelet.security import ConfigError
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from seatrial.kube.model.objects import Object

    Lookup = Callable[[str, str], Object | None]
    """A ConfigMap or Secret of the pod's namespace, by kind and name."""

_REFERENCE = re.compile(r"\$(\$|\([^()]*\))")
_MASTER = "kubernetes"


class Place(NamedTuple):
    """What the environment may name of the pod's place."""

    address: str
    host_address: str
    allocatable: Mapping[str, str]


def sources(container: Object) -> Iterator[tuple[str, str]]:
    """Kind and name of each object the environment is taken from."""
    for source in container.get("envFrom") or []:
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in source:
                yield kind, source[key]["name"]
    for entry in container.get("env") or []:
        given = entry.get("valueFrom") or {}
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if key in given:
                yield kind, given[key]["name"]


def environment(
    pod: Object, container: Object, lookup: Lookup, services: Iterable[Object], place: Place
) -> dict[str, str]:
    """What the specification adds to the image's own environment. Raises ConfigError."""
    made: dict[str, str] = {}
    around = service_links(pod, services)
    for source in container.get("envFrom") or []:
        made |= _all_of(source, lookup)
    for entry in container.get("env") or []:
        if "valueFrom" in entry:
            value = _from(pod, container, entry, lookup, place)
            if value is None:
                continue
        else:
            value = expand(entry.get("value") or "", {**around, **made})
        made[entry["name"]] = value
    return {**{name: value for name, value in around.items() if name not in made}, **made}


def expand(text: str, names: Mapping[str, str]) -> str:
    """What is not defined stays as it is."""

    def replace(found: re.Match[str]) -> str:
        inner = found.group(1)
        return "$" if inner == "$" else names.get(inner[1:-1], found.group(0))

    return _REFERENCE.sub(replace, text)


def _all_of(source: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    kind, reference = (
        ("ConfigMap", source["configMapRef"]) if "configMapRef" in source else ("Secret", source["secretRef"])
    )
    found = lookup(kind, reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    prefix = source.get("prefix") or ""
    return {f"{prefix}{key}": _text(kind, found, key) for key in sorted(found.get("data") or {})}


def _from(pod: Object, container: Object, entry: Mapping[str, Any], lookup: Lookup, place: Place) -> str | None:
    """None: optional and not there."""
    given = entry["valueFrom"]
    if "fieldRef" in given:
        path = given["fieldRef"].get("fieldPath", "")
        return fields.field_value(pod, path, pod_address=place.address, host_address=place.host_address)
    if "resourceFieldRef" in given:
        return _resource(pod, container, given["resourceFieldRef"], place)
    for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if key in given:
            return _key_of(kind, given[key], lookup)
    raise ConfigError(f"env {entry['name']}: valueFrom {', '.join(given) or 'is empty'}: this node does not know it")


def _resource(pod: Object, container: Object, reference: Mapping[str, Any], place: Place) -> str:
    name = reference.get("containerName") or container["name"]
    spec = pod["spec"]
    everyone = [*(spec.get("initContainers") or []), *spec["containers"]]
    wanted = next((other for other in everyone if other["name"] == name), None)
    if wanted is None:
        raise ConfigError(f'resourceFieldRef: container "{name}" not found')
    divisor = str(reference.get("divisor") or "0")
    return fields.resource_value(wanted, reference["resource"], divisor, place.allocatable)


def _key_of(kind: str, reference: Mapping[str, Any], lookup: Lookup) -> str | None:
    found = lookup(kind, reference["name"])
    if found is not None and reference["key"] in (found.get("data") or {}):
        return _text(kind, found, reference["key"])
    if reference.get("optional"):
        return None
    if found is None:
        raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    raise ConfigError(f"couldn't find key {reference['key']} in {kind} {objects.namespace(found)}/{reference['name']}")


def _text(kind: str, found: Object, key: str) -> str:
    value = found["data"][key]
    if kind == "Secret":
        try:
            value = base64.b64decode(value or "").decode()
        except ValueError:
            raise ConfigError(f"key {key} of Secret {objects.name(found)} is no text: mount it as a volume") from None
    if "\0" in value:
        raise ConfigError(f"key {key} of {kind} {objects.name(found)} has a NUL byte: mount it as a volume")
    return str(value)


# services


def service_links(pod: Object, services: Iterable[Object]) -> dict[str, str]:
    """`NAME_SERVICE_HOST` and the rest, of each Service of the pod's namespace; of the API's own without asking."""
    linked = pod["spec"].get("enableServiceLinks", True)
    namespace = objects.namespace(pod)
    made: dict[str, str] = {}
    for service in services:
        own = objects.namespace(service) == namespace
        master = objects.name(service) == _MASTER and objects.namespace(service) == "default"
        if (own and linked) or master:
            made |= _link(service)
    return made


def _link(service: Object) -> dict[str, str]:
    spec = service["spec"]
    address, ports = spec.get("clusterIP") or "None", spec.get("ports") or []
    if address == "None" or not ports:
        return {}
    name = objects.name(service).upper().replace("-", "_")
    first = ports[0]
    made = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(first["port"])}
    for port in ports:
        if port.get("name"):
            made[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        url = f"{protocol.lower()}://{address}:{port['port']}"
        prefix = f"{name}_PORT_{port['port']}_{protocol}"
        if index == 0:
            made[f"{name}_PORT"] = url
        made |= {
            prefix: url,
            f"{prefix}_PROTO": protocol.lower(),
            f"{prefix}_PORT": str(port["port"]),
            f"{prefix}_ADDR": address,
        }
    return made
