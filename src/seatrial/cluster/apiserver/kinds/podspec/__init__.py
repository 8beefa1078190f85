"""The pod specification: what a Pod and every workload's template have in common.

`defaults.py` fills it, `validate` here checks it; containers, probes, volumes and placement have a module each.
"""

from __future__ import annotations

from typing import Any

from seatrial.cluster.apiserver.kinds import checks, metadata, names
from seatrial.cluster.apiserver.kinds.podspec import containers, placement, volumes
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_DEADLINE = 2**31 - 1

_NAMES = (
    ("serviceAccountName", names.subdomain),
    ("nodeName", names.subdomain),
    ("priorityClassName", names.subdomain),
    ("runtimeClassName", names.subdomain),
    ("hostname", names.label),
    ("subdomain", names.label),
)


def validate_template(template: dict[str, Any], field: str) -> list[Cause]:
    meta = template.get("metadata") or {}
    causes = metadata.labels(meta.get("labels"), f"{field}.labels")
    spec = template.get("spec") or {}
    if spec.get("ephemeralContainers"):
        causes.append(
            forbidden_value(f"{field}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")
        )
    return causes + validate_spec(spec, f"{field}.spec")


def validate_spec(spec: dict[str, Any], field: str) -> list[Cause]:
    found = {volume.get("name") or "": volume for volume in spec.get("volumes") or []}
    return [
        *volumes.validate(spec.get("volumes") or [], f"{field}.volumes"),
        *containers.validate(spec, found, field),
        *checks.one_of(spec.get("restartPolicy"), f"{field}.restartPolicy", RESTART_POLICIES, as_given=True),
        *checks.one_of(spec.get("dnsPolicy"), f"{field}.dnsPolicy", _DNS_POLICIES, as_given=True),
        *checks.not_negative(spec.get("terminationGracePeriodSeconds"), f"{field}.terminationGracePeriodSeconds"),
        *_deadline(spec.get("activeDeadlineSeconds"), f"{field}.activeDeadlineSeconds"),
        *_names(spec, field),
        *_host(spec, field),
        *_dns(spec, field),
        *placement.validate(spec, field),
        *checks.optional_one_of(
            spec.get("preemptionPolicy"), f"{field}.preemptionPolicy", ("Never", "PreemptLowerPriority")
        ),
        *_gates(spec, field),
        *_operating_system(spec.get("os"), f"{field}.os"),
    ]


def _deadline(seconds: int | None, field: str) -> list[Cause]:
    if seconds is None or 1 <= seconds <= _MAX_DEADLINE:
        return []
    return [invalid_value(field, seconds, f"must be between 1 and {_MAX_DEADLINE}, inclusive")]


def _names(spec: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for key, check in _NAMES:
        causes += checks.optional_name(spec.get(key), f"{field}.{key}", check)
    return causes + [
        required(f"{field}.imagePullSecrets[{index}].name")
        for index, secret in enumerate(spec.get("imagePullSecrets") or [])
        if not secret.get("name")
    ]


def _host(spec: dict[str, Any], field: str) -> list[Cause]:
    """A pod on the host's network can only publish its ports on the host under their own numbers."""
    causes: list[Cause] = []
    if spec.get("hostNetwork"):
        for group in ("containers", "initContainers"):
            for index, container in enumerate(spec.get(group) or []):
                causes += _host_ports(container, f"{field}.{group}[{index}]")
    for index, alias in enumerate(spec.get("hostAliases") or []):
        place = f"{field}.hostAliases[{index}]"
        causes += checks.address(alias.get("ip") or "", f"{place}.ip")
        for at, host in enumerate(alias.get("hostnames") or []):
            causes += checks.named(host, f"{place}.hostnames[{at}]", names.subdomain)
    return causes


def _host_ports(container: dict[str, Any], field: str) -> list[Cause]:
    return [
        invalid_value(
            f"{field}.ports[{index}].hostPort",
            port["hostPort"],
            "must match `containerPort` when `hostNetwork` is true",
        )
        for index, port in enumerate(container.get("ports") or [])
        if port.get("hostPort") and port["hostPort"] != port.get("containerPort")
    ]


def _dns(spec: dict[str, Any], field: str) -> list[Cause]:
    config = spec.get("dnsConfig") or {}
    servers = config.get("nameservers") or []
    causes: list[Cause] = []
    if spec.get("dnsPolicy") == "None" and not servers:
        causes.append(
            required(
                f"{field}.dnsConfig.nameservers",
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            )
        )
    for index, server in enumerate(servers):
        causes += checks.address(server, f"{field}.dnsConfig.nameservers[{index}]")
    return causes


def _gates(spec: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, gate in enumerate(spec.get("readinessGates") or []):
        place = f"{field}.readinessGates[{index}].conditionType"
        causes += checks.named(gate.get("conditionType"), place, names.qualified)
    for index, gate in enumerate(spec.get("schedulingGates") or []):
        causes += checks.named(gate.get("name"), f"{field}.schedulingGates[{index}].name", names.qualified)
    return causes


def _operating_system(found: dict[str, Any] | None, field: str) -> list[Cause]:
    return [] if found is None else checks.one_of(found.get("name"), f"{field}.name", ("linux", "windows"))
