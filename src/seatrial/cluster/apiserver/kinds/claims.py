"""PersistentVolumes and the claims on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names, quantities
from seatrial.cluster.apiserver.kinds.podspec.defaults import default_volume_source
from seatrial.cluster.apiserver.kinds.podspec.placement import node_selector
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, setdefaults, struct
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_NOT_A_SOURCE = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)
_MUTABLE = frozenset({"resources", "volumeAttributesClassName"})
_SPEC_FIXED = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def _default_volume(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")
    default_volume_source(spec)
    if obj.get("status"):
        setdefaults(obj["status"], phase="Pending")


def _validate_volume(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = _modes(spec.get("accessModes") or [], "spec.accessModes")
    capacity = spec.get("capacity") or {}
    if not capacity:
        causes.append(required("spec.capacity"))
    elif "storage" not in capacity or len(capacity) > 1:
        detail = 'supported values: "storage"'
        causes.append(Cause("FieldValueNotSupported", f"Unsupported value: {detail}", "spec.capacity"))
    causes += quantities.amounts(capacity, "spec.capacity")
    policy = spec.get("persistentVolumeReclaimPolicy")
    causes += checks.optional_one_of(policy, "spec.persistentVolumeReclaimPolicy", _RECLAIM_POLICIES)
    sources = [key for key, value in spec.items() if key not in _NOT_A_SOURCE and value is not None]
    if not sources:
        causes.append(required("spec", "must specify a volume type"))
    causes += [forbidden_value(f"spec.{key}", "may not specify more than 1 volume type") for key in sources[1:]]
    affinity = dig(spec, "nodeAffinity", "required")
    if affinity is not None:
        causes += node_selector(affinity, "spec.nodeAffinity.required")
    return causes + checks.optional_one_of(spec.get("volumeMode"), "spec.volumeMode", _VOLUME_MODES)


def _volume_update(obj: Object, old: Object) -> list[Cause]:
    spec, old_spec = obj["spec"], old["spec"]
    detail = "spec.persistentvolumesource is immutable after creation"
    causes = [
        forbidden_value("spec.persistentvolumesource", detail)
        for key in sorted((set(spec) | set(old_spec)) - _NOT_A_SOURCE)
        if not checks.same(spec.get(key), old_spec.get(key))
    ][:1]
    return causes + checks.unchanged(spec.get("volumeMode"), old_spec.get("volumeMode"), "spec.volumeMode")


def _default_claim(obj: Object) -> None:
    setdefaults(struct(obj, "spec"), volumeMode="Filesystem")
    if obj.get("status"):
        setdefaults(obj["status"], phase="Pending")


def _create_pending(obj: Object) -> None:
    obj["status"] = {"phase": "Pending"}


def _validate_claim(obj: Object) -> list[Cause]:
    return validate_claim_spec(obj["spec"], "spec")


def validate_claim_spec(spec: dict[str, Any], field: str) -> list[Cause]:
    requests = dig(spec, "resources", "requests") or {}
    causes = _modes(spec.get("accessModes") or [], f"{field}.accessModes")
    if "storage" not in requests:
        causes.append(required(f"{field}.resources[storage]"))
    causes += quantities.amounts(requests, f"{field}.resources.requests")
    if quantities.amount(requests.get("storage", "1")) == 0:
        place = f"{field}.resources[storage]"
        causes.append(invalid_value(place, requests["storage"], "must be greater than zero"))
    causes += checks.selector(spec.get("selector"), f"{field}.selector")
    causes += checks.optional_name(spec.get("storageClassName"), f"{field}.storageClassName", names.subdomain)
    return causes + checks.optional_one_of(spec.get("volumeMode"), f"{field}.volumeMode", _VOLUME_MODES)


def _modes(modes: list[str], field: str) -> list[Cause]:
    if not modes:
        return [required(field, "at least 1 access mode is required")]
    causes = [cause for mode in modes for cause in checks.one_of(mode, field, ACCESS_MODES)]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        detail = "may not use ReadWriteOncePod with other access modes"
        causes.append(forbidden_value(field, detail))
    return causes


def _claim_update(obj: Object, old: Object) -> list[Cause]:
    spec, old_spec = obj["spec"], old["spec"]
    fixed, old_fixed = (_fixed(found) for found in (spec, old_spec))
    if not old_spec.get("volumeName"):
        fixed.pop("volumeName", None)
    if old_spec.get("storageClassName") is None:
        fixed.pop("storageClassName", None)
    if not checks.same(fixed, old_fixed):
        return [forbidden_value("spec", _SPEC_FIXED)]
    wanted = quantities.amount(dig(spec, "resources", "requests", "storage") or 0)
    had = quantities.amount(dig(old_spec, "resources", "requests", "storage") or 0)
    if wanted is not None and had is not None and wanted < had:
        place = "spec.resources.requests.storage"
        return [forbidden_value(place, "field can not be less than status.capacity")]
    if wanted != had and dig(old, "status", "phase") != "Bound":
        return [forbidden_value("spec", _SPEC_FIXED)]
    return []


def _fixed(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in _MUTABLE}


VOLUMES = Rules(
    default=_default_volume,
    create=_create_pending,
    validate=_validate_volume,
    validate_update=_volume_update,
)
CLAIMS = Rules(
    default=_default_claim,
    create=_create_pending,
    validate=_validate_claim,
    validate_update=_claim_update,
)
