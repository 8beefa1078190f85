"""Who owns which part of an object over its life: the client its specification, `/status` its status, the server
generation and a few fields more.

Called between decoding and validation of a write; the kind's own rules run after these.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.kinds.rules import Rules
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

_NOT_SPECIFICATION = frozenset({"apiVersion", "kind", "metadata", "status"})

_STATUS_KEEPS_METADATA = frozenset(
    {
        "devicetaintrules.resource.k8s.io",
        "podcertificaterequests.certificates.k8s.io",
        "resourceclaims.resource.k8s.io",
        "servicecidrs.networking.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "volumeattachments.storage.k8s.io",
    }
)
"""Kinds whose status writes may not touch labels, annotations, finalizers or owners. The older ones may."""

_OLDER_KIND_FIELDS = ("generation", "deletionTimestamp", "deletionGracePeriodSeconds")


def prepare_create(resource: Resource, obj: Object, rules: Rules) -> None:
    meta = obj.setdefault("metadata", {})
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        meta.pop(key, None)
    if rules.generation:
        meta["generation"] = 1
    if resource.subresource("status") is not None and not rules.status_on_create:
        obj.pop("status", None)
        if is_builtin(resource):
            obj["status"] = objects.clone(dict(rules.empty_status))


def keep_status(resource: Resource, obj: Object, old: Object) -> None:
    if resource.subresource("status") is not None:
        _take(obj, old, "status")


def prepare_update(resource: Resource, obj: Object, old: Object) -> None:
    keep_status(resource, obj, old)
    generation = objects.metadata(old).get("generation")
    meta = obj.setdefault("metadata", {})
    _put(meta, "generation", generation)


def count_generation(resource: Resource, obj: Object, old: Object, rules: Rules) -> None:
    """Count one more generation if the specification changed; runs after every other preparation."""
    if rules.generation and specification(resource, obj) != specification(resource, old):
        obj["metadata"]["generation"] = (objects.metadata(old).get("generation") or 0) + 1


def prepare_status_update(resource: Resource, obj: Object, old: Object) -> None:
    for key in (set(obj) | set(old)) - _NOT_SPECIFICATION:
        _take(obj, old, key)
    meta, old_meta = obj.setdefault("metadata", {}), objects.metadata(old)
    if is_builtin(resource) and resource.group_resource not in _STATUS_KEEPS_METADATA:
        for key in _OLDER_KIND_FIELDS:
            _put(meta, key, old_meta.get(key))
        return
    kept = {key: meta.get(key) for key in ("managedFields", "resourceVersion", "uid")}
    meta.clear()
    meta.update(old_meta)
    for key, value in kept.items():
        _put(meta, key, value)


def specification(resource: Resource, obj: Object) -> Object:
    """What generation counts: everything but metadata and, where it has its own sub-resource, status."""
    left_out = {"apiVersion", "kind", "metadata"}
    if resource.subresource("status") is not None or is_builtin(resource):
        left_out.add("status")
    return {key: value for key, value in obj.items() if key not in left_out}


def is_builtin(resource: Resource) -> bool:
    return resource.group in _builtin_groups()


@cache
def _builtin_groups() -> frozenset[str]:
    """Known by name: custom resources use groups under `k8s.io` as well (the Gateway API does)."""
    return frozenset(resource.group for resource in resources.builtin())


def _take(obj: Object, old: Object, key: str) -> None:
    if key in old:
        obj[key] = old[key]
    else:
        obj.pop(key, None)


def _put(holder: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        holder.pop(key, None)
    else:
        holder[key] = value
