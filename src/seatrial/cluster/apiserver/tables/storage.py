"""Rows of storage: volumes, claims, classes, and the Container Storage Interface. And of CustomResourceDefinitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.tables.columns import (
    AGE,
    CREATED_AT,
    NAME,
    NONE,
    UNSET,
    Column,
    Layout,
    age,
    boolean,
    dig,
    integer,
    text,
)
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object

_SHORT_MODES = (
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
)
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _SHORT_MODES if mode in (modes or []))


def _phase(obj: Object) -> str:
    return "Terminating" if objects.is_deleting(obj) else dig(obj, "status", "phase") or ""


def _class(obj: Object) -> str:
    return objects.annotations(obj).get(_CLASS_ANNOTATION) or dig(obj, "spec", "storageClassName") or ""


def _or_unset(value: Any) -> str:
    return UNSET if value is None else str(value)


def _volume(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    claim = spec.get("claimRef")
    return [
        objects.name(obj),
        str(dig(spec, "capacity", "storage") or "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "",
        _phase(obj),
        f"{claim.get('namespace') or ''}/{claim.get('name') or ''}" if claim else "",
        _class(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        dig(obj, "status", "reason") or "",
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def _claim(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    volume = spec.get("volumeName") or ""
    return [
        objects.name(obj),
        _phase(obj),
        volume,
        str(dig(status, "capacity", "storage") or "0") if volume else "",
        _modes(status.get("accessModes")) if volume else "",
        _class(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def _storage_class(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        obj.get("provisioner") or "",
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def default_class(classes: Iterable[Object]) -> str:
    """The class that claims without one get: of those marked so the youngest, then the first by name."""
    marked = [found for found in classes if _is_marked(found)]
    youngest = max((_created(found) for found in marked), default="")
    return min((objects.name(found) for found in marked if _created(found) == youngest), default="")


def _is_marked(obj: Object) -> bool:
    return any(objects.annotations(obj).get(key) == "true" for key in _DEFAULT_ANNOTATIONS)


def _created(obj: Object) -> str:
    return objects.metadata(obj).get("creationTimestamp") or ""


def _attachment(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        objects.name(obj),
        spec.get("attacher") or "",
        dig(spec, "source", "persistentVolumeName") or "",
        spec.get("nodeName") or "",
        bool(dig(obj, "status", "attached")),
        age(obj, now),
    ]


def _driver(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    tokens = spec.get("tokenRequests")
    return [
        objects.name(obj),
        spec.get("attachRequired") is not False,
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if tokens is None else ",".join(token.get("audience") or "" for token in tokens),
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or []) or NONE,
        age(obj, now),
    ]


def _csi_node(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), len(dig(obj, "spec", "drivers") or []), age(obj, now)]


def _attributes_class(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), obj.get("driverName") or "", age(obj, now)]


def _definition(obj: Object, _now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    wanted = spec.get("names") or {}
    return [
        objects.name(obj),
        spec.get("scope") or "",
        ",".join(sorted(_served(version) for version in spec.get("versions") or [] if version.get("served"))),
        _created(obj),
        spec.get("group") or "",
        wanted.get("kind") or "",
        ",".join(wanted.get("shortNames") or []),
        conditions.is_true(obj, "Established"),
    ]


def _served(version: dict[str, Any]) -> str:
    name = version.get("name") or ""
    return f"{name}(storage)" if version.get("storage") else name


LAYOUTS = {
    "csidrivers.storage.k8s.io": Layout(
        (
            NAME,
            boolean("AttachRequired", "Whether volumes are attached before use."),
            boolean("PodInfoOnMount", "Whether the driver is told of the pod."),
            boolean("StorageCapacity", "Whether the driver reports capacity."),
            text("TokenRequests", "Audiences of the tokens it asks for."),
            boolean("RequiresRepublish", "Whether mounts are renewed."),
            text("Modes", "Kinds of volumes it offers."),
            AGE,
        ),
        _driver,
    ),
    "csinodes.storage.k8s.io": Layout((NAME, integer("Drivers", "Drivers on the node."), AGE), _csi_node),
    "customresourcedefinitions.apiextensions.k8s.io": Layout(
        (
            NAME,
            text("Scope", "Namespaced or Cluster."),
            text("Versions", "Versions that are served."),
            CREATED_AT,
            text("Group", "API group of the kind.", 1),
            text("Kind", "Name of the kind.", 1),
            text("ShortNames", "Short names of the resource.", 1),
            Column("Established", "boolean", "", "Whether objects of the kind can be made.", 1),
        ),
        _definition,
    ),
    "persistentvolumeclaims": Layout(
        (
            NAME,
            text("Status", "Whether the claim has a volume."),
            text("Volume", "The volume it has."),
            text("Capacity", "Size of the volume."),
            text("Access Modes", "How the volume is mounted."),
            text("StorageClass", "Class of the claim."),
            text("VolumeAttributesClass", "Class of its attributes."),
            AGE,
            text("VolumeMode", "File system or block device.", 1),
        ),
        _claim,
    ),
    "persistentvolumes": Layout(
        (
            NAME,
            text("Capacity", "Size of the volume."),
            text("Access Modes", "How it can be mounted."),
            text("Reclaim Policy", "What happens when the claim is gone."),
            text("Status", "Where it is in its life."),
            text("Claim", "The claim that has it."),
            text("StorageClass", "Class of the volume."),
            text("VolumeAttributesClass", "Class of its attributes."),
            text("Reason", "Why it is in this state."),
            AGE,
            text("VolumeMode", "File system or block device.", 1),
        ),
        _volume,
    ),
    "storageclasses.storage.k8s.io": Layout(
        (
            NAME,
            text("Provisioner", "Who makes the volumes."),
            text("ReclaimPolicy", "What happens when a claim is gone."),
            text("VolumeBindingMode", "When a claim gets its volume."),
            text("AllowVolumeExpansion", "Whether volumes can grow."),
            AGE,
        ),
        _storage_class,
    ),
    "volumeattachments.storage.k8s.io": Layout(
        (
            NAME,
            Column("Attacher", "string", "name", "The driver that attaches."),
            text("PV", "The volume."),
            text("Node", "The node."),
            boolean("Attached", "Whether it is attached."),
            AGE,
        ),
        _attachment,
    ),
    "volumeattributesclasses.storage.k8s.io": Layout(
        (NAME, text("DriverName", "The driver it is for."), AGE), _attributes_class
    ),
}
