"""The storage group: StorageClass and the kinds of the Container Storage Interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.kinds import checks, quantities
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, setdefaults, struct
from seatrial.kube.model.status import Cause, forbidden_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def _default_class(obj: Object) -> None:
    setdefaults(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _validate_class(obj: Object) -> list[Cause]:
    causes = [] if obj.get("provisioner") else [required("provisioner")]
    causes += checks.one_of(obj.get("reclaimPolicy"), "reclaimPolicy", ("Delete", "Retain"))
    modes = ("Immediate", "WaitForFirstConsumer")
    return causes + checks.one_of(obj.get("volumeBindingMode"), "volumeBindingMode", modes)


def _class_update(obj: Object, old: Object) -> list[Cause]:
    causes = [
        forbidden_value(field, f"updates to {field} are forbidden.")
        for field in ("parameters", "provisioner", "reclaimPolicy")
        if not checks.same(obj.get(field), old.get(field))
    ]
    mode, old_mode = obj.get("volumeBindingMode"), old.get("volumeBindingMode")
    return causes + checks.unchanged(mode, old_mode, "volumeBindingMode")


def _default_driver(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(
        spec,
        attachRequired=True,
        podInfoOnMount=False,
        storageCapacity=False,
        fsGroupPolicy="ReadWriteOnceWithFSType",
        requiresRepublish=False,
        preventPodSchedulingIfMissing=False,
        seLinuxMount=False,
    )
    spec["volumeLifecycleModes"] = spec.get("volumeLifecycleModes") or ["Persistent"]


def _driver_update(obj: Object, old: Object) -> list[Cause]:
    return [
        cause
        for field in ("attachRequired", "fsGroupPolicy", "volumeLifecycleModes")
        for cause in checks.unchanged(dig(obj, "spec", field), dig(old, "spec", field), f"spec.{field}")
    ]


def _validate_attachment(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    if not dig(obj, "spec", "attacher"):
        causes.append(required("spec.attacher"))
    if not dig(obj, "spec", "nodeName"):
        causes.append(required("spec.nodeName"))
    source = dig(obj, "spec", "source") or {}
    if not source.get("persistentVolumeName") and not source.get("inlineVolumeSpec"):
        detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        causes.append(required("spec.source", detail))
    return causes


def _attachment_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj.get("spec"), old.get("spec"), "spec")


def _validate_capacity(obj: Object) -> list[Cause]:
    causes = [] if obj.get("storageClassName") else [required("storageClassName")]
    if obj.get("capacity") is not None:
        causes += quantities.quantity(obj["capacity"], "capacity")
    return causes + checks.selector(obj.get("nodeTopology"), "nodeTopology")


def _capacity_update(obj: Object, old: Object) -> list[Cause]:
    return [
        cause
        for field in ("nodeTopology", "storageClassName")
        for cause in checks.unchanged(obj.get(field), old.get(field), field)
    ]


def _attributes_update(obj: Object, old: Object) -> list[Cause]:
    return [
        forbidden_value(field, f"updates to {field} are forbidden.")
        for field in ("driverName", "parameters")
        if not checks.same(obj.get(field), old.get(field))
    ]


RULES = {
    "csidrivers.storage.k8s.io": Rules(
        default=_default_driver, validate_update=_driver_update, unconditional_update=False
    ),
    "csinodes.storage.k8s.io": Rules(unconditional_update=False),
    "csistoragecapacities.storage.k8s.io": Rules(
        validate=_validate_capacity, validate_update=_capacity_update, unconditional_update=False
    ),
    "storageclasses.storage.k8s.io": Rules(
        default=_default_class, validate=_validate_class, validate_update=_class_update
    ),
    "volumeattachments.storage.k8s.io": Rules(
        validate=_validate_attachment,
        validate_update=_attachment_update,
        empty_status={"attached": False},
        unconditional_update=False,
    ),
    "volumeattributesclasses.storage.k8s.io": Rules(validate_update=_attributes_update),
}
