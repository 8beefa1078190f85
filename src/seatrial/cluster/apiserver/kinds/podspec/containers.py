"""Checks on containers: names, images, ports, environment, mounts, resources, and what each kind of container may
not have (an init container no probes unless it is a sidecar, an ephemeral one no ports).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names, quantities
from seatrial.cluster.apiserver.kinds.podspec import environment, probes
from seatrial.cluster.apiserver.kinds.podspec.mounts import devices, mounts
from seatrial.kube.model.status import Cause, duplicate_value, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from collections.abc import Iterable

PROTOCOLS = ("SCTP", "TCP", "UDP")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources")

Container = dict[str, Any]


def validate(spec: dict[str, Any], volumes: dict[str, dict[str, Any]], field: str) -> list[Cause]:
    containers = spec.get("containers") or []
    initial = spec.get("initContainers") or []
    ephemeral = spec.get("ephemeralContainers") or []
    if not containers:
        return [required(f"{field}.containers")]
    grace = spec.get("terminationGracePeriodSeconds")
    causes: list[Cause] = []
    for index, container in enumerate(containers):
        causes += _regular(container, volumes, grace, f"{field}.containers[{index}]")
    for index, container in enumerate(initial):
        causes += _initial(container, volumes, grace, f"{field}.initContainers[{index}]")
    for index, container in enumerate(ephemeral):
        causes += _ephemeral(container, volumes, containers + initial, f"{field}.ephemeralContainers[{index}]")
    causes += _host_ports(containers, f"{field}.containers")
    groups = (("containers", containers), ("initContainers", initial), ("ephemeralContainers", ephemeral))
    return causes + _unique(groups, field)


def _unique(groups: Iterable[tuple[str, list[Container]]], field: str) -> list[Cause]:
    seen: set[str] = set()
    causes: list[Cause] = []
    for group, containers in groups:
        for index, container in enumerate(containers):
            name = container.get("name") or ""
            if name in seen:
                causes.append(duplicate_value(f"{field}.{group}[{index}].name", name))
            elif name:
                seen.add(name)
    return causes


def _regular(container: Container, volumes: dict[str, Any], grace: int | None, field: str) -> list[Cause]:
    return [
        *_common(container, volumes, field),
        *probes.lifecycle(container.get("lifecycle"), grace, f"{field}.lifecycle"),
        *_probes(container, field),
        *_restart_policy(container, field),
    ]


def _initial(container: Container, volumes: dict[str, Any], grace: int | None, field: str) -> list[Cause]:
    causes = [*_common(container, volumes, field), *_restart_policy(container, field)]
    if container.get("restartPolicy") == "Always":
        causes += probes.lifecycle(container.get("lifecycle"), grace, f"{field}.lifecycle")
        return causes + _probes(container, field)
    return causes + [
        forbidden_value(f"{field}.{key}", "may not be set for init containers without restartPolicy=Always")
        for key in ("lifecycle", *_PROBES)
        if container.get(key) is not None
    ]


def _ephemeral(container: Container, volumes: dict[str, Any], others: list[Container], field: str) -> list[Cause]:
    causes = _common(container, volumes, field)
    target = container.get("targetContainerName")
    if target and target not in [other.get("name") for other in others]:
        causes.append(Cause("FieldValueNotFound", f'Not found: "{target}"', f"{field}.targetContainerName"))
    return causes + [
        forbidden_value(f"{field}.{key}", "cannot be set for an Ephemeral Container")
        for key in _NOT_EPHEMERAL
        if container.get(key)
    ]


def _common(container: Container, volumes: dict[str, Any], field: str) -> list[Cause]:
    causes = checks.named(container.get("name"), f"{field}.name", names.label)
    if not container.get("image"):
        causes.append(required(f"{field}.image"))
    return [
        *causes,
        *checks.optional_one_of(
            container.get("imagePullPolicy"), f"{field}.imagePullPolicy", ("Always", "IfNotPresent", "Never")
        ),
        *checks.optional_one_of(
            container.get("terminationMessagePolicy"),
            f"{field}.terminationMessagePolicy",
            ("FallbackToLogsOnError", "File"),
        ),
        *_ports(container.get("ports") or [], f"{field}.ports"),
        *environment.variables(container.get("env") or [], f"{field}.env"),
        *environment.sources(container.get("envFrom") or [], f"{field}.envFrom"),
        *mounts(container, volumes, f"{field}.volumeMounts"),
        *devices(container, volumes, f"{field}.volumeDevices"),
        *quantities.requirements(container.get("resources"), f"{field}.resources"),
        *_security(container.get("securityContext") or {}, f"{field}.securityContext"),
    ]


def _ports(ports: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        place = f"{field}[{index}]"
        name = port.get("name")
        if name:
            complaints = checks.optional_name(name, f"{place}.name", names.port_name)
            if not complaints and name in seen:
                complaints = [duplicate_value(f"{place}.name", name)]
            causes += complaints
            seen.add(name)
        causes += _port_numbers(port, place)
        causes += checks.optional_one_of(port.get("protocol"), f"{place}.protocol", PROTOCOLS)
    return causes


def _port_numbers(port: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    if not port.get("containerPort"):
        causes.append(required(f"{field}.containerPort"))
    else:
        causes += checks.port(port["containerPort"], f"{field}.containerPort")
    if port.get("hostPort"):
        causes += checks.port(port["hostPort"], f"{field}.hostPort")
    return causes


def _host_ports(containers: list[Container], field: str) -> list[Cause]:
    """Two containers of a pod cannot take the same port of the host."""
    seen: set[str] = set()
    causes: list[Cause] = []
    for index, container in enumerate(containers):
        for at, port in enumerate(container.get("ports") or []):
            if not port.get("hostPort"):
                continue
            taken = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if taken in seen:
                causes.append(duplicate_value(f"{field}[{index}].ports[{at}].hostPort", taken))
            seen.add(taken)
    return causes


def _probes(container: Container, field: str) -> list[Cause]:
    return [
        cause
        for key in _PROBES
        for cause in probes.probe(container.get(key), f"{field}.{key}", repeats_success=key == "readinessProbe")
    ]


def _restart_policy(container: Container, field: str) -> list[Cause]:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        if not rules:
            return []
        return [required(f"{field}.restartPolicy", "must specify restartPolicy when restart rules are used")]
    return checks.one_of(policy, f"{field}.restartPolicy", _RESTART_POLICIES)


def _security(context: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("runAsUser", "runAsGroup"):
        causes += checks.not_negative(context.get(key), f"{field}.{key}")
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        causes.append(
            invalid_value(
                f"{field}", context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            )
        )
    return causes
