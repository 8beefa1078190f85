"""Defaults of a pod specification, wherever it stands: in a Pod, or in the template of a workload.

What only a Pod gets (requests from limits, host ports, service links) is in `pods.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds.rules import setdefaults, struct

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE_PERIOD = 30
_FILE_MODE = 0o644
_TOKEN_LIFETIME = 3600
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")

_TEXT_DEFAULTS = (
    ("dnsPolicy", "ClusterFirst"),
    ("restartPolicy", "Always"),
    ("schedulerName", "default-scheduler"),
)

_VOLUME_DEFAULTS: dict[str, dict[str, Any]] = {
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "fsType": "ext4",
        "readOnly": False,
        "kind": "Shared",
    },
    "configMap": {"defaultMode": _FILE_MODE},
    "downwardAPI": {"defaultMode": _FILE_MODE},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "projected": {"defaultMode": _FILE_MODE},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
    "secret": {"defaultMode": _FILE_MODE},
}


def default_template(template: dict[str, Any]) -> None:
    default_spec(struct(template, "spec"))


def default_spec(spec: dict[str, Any]) -> None:
    _default_service_account(spec)
    for field, value in _TEXT_DEFAULTS:
        spec[field] = spec.get(field) or value
    setdefaults(spec, securityContext={}, terminationGracePeriodSeconds=GRACE_PERIOD)
    for container in all_containers(spec):
        default_container(container)
    for volume in spec.get("volumes") or []:
        _default_volume(volume)


def _default_service_account(spec: dict[str, Any]) -> None:
    """`serviceAccount` is the old name of `serviceAccountName`; both are always shown."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def all_containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or []


def default_container(container: dict[str, Any]) -> None:
    setdefaults(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy=pull_policy(container.get("image") or ""),
    )
    for port in container.get("ports") or []:
        setdefaults(port, protocol="TCP")
    for probe in _PROBES:
        if container.get(probe):
            _default_probe(container[probe])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _default_handler(handler)
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        if source.get("fieldRef"):
            setdefaults(source["fieldRef"], apiVersion="v1")


def pull_policy(image: str) -> str:
    """Always for an image that may move (`latest` or no tag), unless a digest pins it."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        tag = "latest" if image else ""
    return "Always" if tag == "latest" else "IfNotPresent"


def _default_probe(probe: dict[str, Any]) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe[field] = probe.get(field) or value
    _default_handler(probe)


def _default_handler(handler: dict[str, Any]) -> None:
    if handler.get("httpGet"):
        http = handler["httpGet"]
        http["path"] = http.get("path") or "/"
        http["scheme"] = http.get("scheme") or "HTTP"
    if handler.get("grpc"):
        setdefaults(handler["grpc"], service="")


def _default_volume(volume: dict[str, Any]) -> None:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        volume["emptyDir"] = {}
        return
    default_volume_source(volume)
    if volume.get("image"):
        setdefaults(volume["image"], pullPolicy=pull_policy(volume["image"].get("reference") or ""))
    for item in (volume.get("downwardAPI") or {}).get("items") or []:
        _default_item(item)
    for source in (volume.get("projected") or {}).get("sources") or []:
        _default_projection(source)
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template:
        setdefaults(struct(template, "spec"), volumeMode="Filesystem")


def default_volume_source(holder: dict[str, Any]) -> None:
    """Defaults by kind of volume, shared with PersistentVolume."""
    for key, defaults in _VOLUME_DEFAULTS.items():
        if isinstance(holder.get(key), dict):
            setdefaults(holder[key], **defaults)


def _default_projection(source: dict[str, Any]) -> None:
    if source.get("serviceAccountToken"):
        setdefaults(source["serviceAccountToken"], expirationSeconds=_TOKEN_LIFETIME)
    for item in (source.get("downwardAPI") or {}).get("items") or []:
        _default_item(item)


def _default_item(item: dict[str, Any]) -> None:
    if item.get("fieldRef"):
        setdefaults(item["fieldRef"], apiVersion="v1")
