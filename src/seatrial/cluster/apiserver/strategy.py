"""The rules of one kind, built-in or custom, behind one set of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import kinds
from seatrial.cluster.apiserver.customresources import definition
from seatrial.kube.model.schema import builtin, structural

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.catalog import Kind
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.status import Cause

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


def default(kind: Kind, obj: Object) -> None:
    if kind.custom is not None:
        structural.apply_defaults(obj, kind.type)
    elif kind.key == DEFINITIONS:
        definition.default(obj)
    else:
        kinds.default(kind.resource, obj)


def prepare_create(kind: Kind, obj: Object) -> None:
    if kind.custom is None:
        kinds.prepare_create(kind.resource, obj)
        return
    obj["metadata"]["generation"] = 1
    if kind.has_subresource("status"):
        obj.pop("status", None)


def prepare_update(kind: Kind, obj: Object, old: Object) -> None:
    if kind.custom is None:
        kinds.prepare_update(kind.resource, obj, old)
        return
    if kind.has_subresource("status"):
        _keep(obj, old, "status")
    generation = old["metadata"].get("generation", 1)
    obj["metadata"]["generation"] = generation + (1 if _content(kind, obj) != _content(kind, old) else 0)


def _content(kind: Kind, obj: Object) -> Object:
    """What a custom resource's generation counts changes of: all but metadata, and status where it is apart."""
    apart = {"metadata", "apiVersion", "status"} if kind.has_subresource("status") else {"metadata", "apiVersion"}
    return {key: value for key, value in obj.items() if key not in apart}


def _keep(obj: Object, old: Object, field: str) -> None:
    if field in old:
        obj[field] = old[field]
    else:
        obj.pop(field, None)


def prepare_status_update(kind: Kind, obj: Object, old: Object) -> None:
    """Only the status (and managedFields) of `obj` counts; everything else is as it was."""
    if kind.custom is None:
        kinds.prepare_status_update(kind.resource, obj, old)
        return
    written = obj.get("status")
    managed = obj["metadata"].get("managedFields")
    version = obj["metadata"].get("resourceVersion")
    obj.clear()
    obj.update({**old, "metadata": dict(old["metadata"])})
    obj.pop("status", None)
    if written is not None:
        obj["status"] = written
    for field, value in (("managedFields", managed), ("resourceVersion", version)):
        if value is not None:
            obj["metadata"][field] = value


def validate(kind: Kind, obj: Object, old: Object | None) -> list[Cause]:
    """Every rule the object breaks; `old` is what it replaces."""
    if kind.custom is not None:
        causes = kinds.validate(kind.resource, obj)
        if kind.custom.validator is not None:
            causes += kind.custom.validator.validate(obj)
        return causes
    causes = builtin.validate(obj, kind.resource.api_version, kind.resource.kind)
    if causes:
        return causes  # what is missing or of the wrong type would trip the checks of meaning
    causes = kinds.validate(kind.resource, obj)
    if kind.key == DEFINITIONS:
        causes += definition.validate(obj, old)
    if old is not None:
        causes += kinds.validate_update(kind.resource, obj, old)
    return causes
