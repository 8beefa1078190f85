"""Rules of `metadata` that every kind shares: names, labels, annotations, owners, finalizers.

`validate` is for any write, `validate_update` compares with the stored object. The kind's own rule for its name
comes in as an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import names
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.cluster.apiserver.kinds.names import NameCheck
    from seatrial.kube.model.objects import Object

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotation keys and values together."""

_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_EXCLUSIVE = ("orphan", "foregroundDeletion")
_STANDARD_FINALIZERS = frozenset({"kubernetes", *_EXCLUSIVE})


def validate(obj: Object, namespaced: bool, check_name: NameCheck, *, qualified_finalizers: bool = True) -> list[Cause]:
    """`qualified_finalizers`: names need a domain, as for every kind but those of apiextensions and custom ones."""
    meta = objects.metadata(obj)
    return [
        *_name(meta, check_name),
        *_namespace(meta, namespaced),
        *_generation(meta),
        *labels(meta.get("labels"), "metadata.labels"),
        *_annotations(meta.get("annotations") or {}),
        *_owners(objects.owner_references(obj)),
        *_finalizers(objects.finalizers(obj), qualified_finalizers),
    ]


def validate_update(obj: Object, old: Object) -> list[Cause]:
    new_meta, old_meta = objects.metadata(obj), objects.metadata(old)
    found = [
        invalid_value(f"metadata.{key}", new_meta.get(key), "field is immutable")
        for key in _IMMUTABLE
        if (new_meta.get(key) or None) != (old_meta.get(key) or None)
    ]
    if (new_meta.get("generation") or 0) < (old_meta.get("generation") or 0):
        found.append(invalid_value("metadata.generation", new_meta.get("generation"), "must not be decremented"))
    return found + _new_finalizers(obj, old)


def labels(found: Mapping[str, str] | None, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in (found or {}).items():
        causes += [invalid_value(field, key, complaint) for complaint in names.qualified(key)]
        causes += [invalid_value(field, value, complaint) for complaint in names.label_value(value or "")]
    return causes


def _name(meta: dict[str, Any], check: NameCheck) -> list[Cause]:
    causes: list[Cause] = []
    prefix = meta.get("generateName")
    if prefix:
        causes += [invalid_value("metadata.generateName", prefix, complaint) for complaint in check(_padded(prefix))]
    name = meta.get("name")
    if not name:
        return [*causes, required("metadata.name", "name or generateName is required")]
    return causes + [invalid_value("metadata.name", name, complaint) for complaint in check(name)]


def _padded(prefix: str) -> str:
    """A generateName may end in a dash, because five characters follow it."""
    return prefix[:-1] + "a" if prefix.endswith("-") else prefix


def _namespace(meta: dict[str, Any], namespaced: bool) -> list[Cause]:
    namespace = meta.get("namespace")
    if not namespaced:
        return [forbidden_value("metadata.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [required("metadata.namespace")]
    return [invalid_value("metadata.namespace", namespace, text) for text in names.label(namespace)]


def _generation(meta: dict[str, Any]) -> list[Cause]:
    generation = meta.get("generation") or 0
    if generation >= 0:
        return []
    return [invalid_value("metadata.generation", generation, "must be greater than or equal to 0")]


def _annotations(found: dict[str, str]) -> list[Cause]:
    field = "metadata.annotations"
    causes = [invalid_value(field, key, complaint) for key in found for complaint in names.qualified(key.lower())]
    size = sum(len(key.encode()) + len((value or "").encode()) for key, value in found.items())
    if size > ANNOTATIONS_LIMIT:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes", field))
    return causes


def _owners(owners: list[dict[str, Any]]) -> list[Cause]:
    field = "metadata.ownerReferences"
    causes = [cause for index, owner in enumerate(owners) for cause in _owner(owner, f"{field}[{index}]")]
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        # Told once, of the first two: the text holds all references.
        detail = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {controllers[0]} and {controllers[1]}'
        )
        causes.append(invalid_value(field, owners, detail))
    return causes


def _owner(owner: dict[str, Any], field: str) -> list[Cause]:
    causes = [
        required(f"{field}.{key}", "must not be empty")
        for key in ("apiVersion", "kind", "name", "uid")
        if not owner.get(key)
    ]
    version = owner.get("apiVersion") or ""
    if version.count("/") > 1 or version.endswith("/"):
        causes.append(invalid_value(f"{field}.apiVersion", version, "must be <group>/<version> or <version>"))
    if version == "v1" and owner.get("kind") == "Event":
        causes.append(invalid_value(field, owner, "/v1, Kind=Event is disallowed from being an owner"))
    return causes


def _finalizers(found: list[str], qualified: bool) -> list[Cause]:
    field = "metadata.finalizers"
    causes = [invalid_value(field, name, text) for name in found for text in names.qualified(name)]
    causes += [
        invalid_value(f"{field}[{index}]", name, "name is neither a standard finalizer name nor is it fully qualified")
        for index, name in enumerate(found)
        if qualified and "/" not in name and name not in _STANDARD_FINALIZERS
    ]
    if all(name in found for name in _EXCLUSIVE):
        causes.append(invalid_value(field, found, f"finalizer {_EXCLUSIVE[0]} and {_EXCLUSIVE[1]} cannot be both set"))
    return causes


def _new_finalizers(obj: Object, old: Object) -> list[Cause]:
    if not objects.is_deleting(old):
        return []
    added = sorted(set(objects.finalizers(obj)) - set(objects.finalizers(old)))
    if not added:
        return []
    shown = ", ".join(f'"{name}"' for name in added)
    return [
        forbidden_value(
            "metadata.finalizers",
            f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}",
        )
    ]
