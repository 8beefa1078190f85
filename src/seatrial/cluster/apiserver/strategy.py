"""The rules of one kind, built-in or custom, behind one set of names: `kinds` knows the built-in ones, a definition's
schema the custom ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import kinds
from seatrial.cluster.apiserver.customresources import definition
from seatrial.kube.model import objects, status
from seatrial.kube.model.schema import builtin, printed, structural

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
    if kind.custom is None:
        printed.fill(obj, kind.type)


def complete_status(kind: Kind, obj: Object) -> None:
    """Print the status the server has set as Kubernetes does."""
    if kind.custom is None and "status" in obj:
        printed.fill(obj["status"], kind.type.fields["status"])


def validate(kind: Kind, obj: Object, old: Object | None) -> list[Cause]:
    """Every rule the object breaks; `old` is what it replaces. Raises 400 for one too deep to be answered with."""
    if objects.is_too_deep(obj):
        raise status.bad_request(objects.TOO_DEEP)
    if kind.custom is not None:
        causes = kinds.validate(kind.resource, obj)
        if kind.custom.validator is not None:
            causes += kind.custom.validator.validate(obj)
        return causes
    missing = builtin.validate(obj, kind.resource.api_version, kind.resource.kind)
    causes = kinds.validate(kind.resource, obj)
    if kind.key == DEFINITIONS:
        causes += definition.validate(obj, old)
    if old is not None:
        causes += kinds.validate_update(kind.resource, obj, old)
    named = {cause.field for cause in causes}
    return causes + [cause for cause in missing if cause.field not in named]
