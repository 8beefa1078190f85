"""Moving the fields that `kubectl apply` owned to this engine, so that a field dropped from Git is dropped live.

Without it the fields would keep their old owner for ever, and server-side apply never removes another's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seatrial.gitops.api import names
from seatrial.kube.model import objects
from seatrial.kube.model.patch.apply.entries import Entry, decode
from seatrial.kube.model.patch.apply.fieldset import EMPTY

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

KUBECTL = "kubectl-client-side-apply"
MANAGER_ANNOTATION = "argocd.argoproj.io/client-side-apply-migration-manager"


def patch(live: Object, manager: str = KUBECTL) -> list[Object] | None:
    """The JSON patch that moves them, for exactly this version of the object; None if there is nothing to move."""
    metadata = objects.metadata(live)
    try:
        entries = decode(metadata.get("managedFields"))
    except ValueError:
        return None
    moved = [entry for entry in entries if (entry.manager, entry.operation) == (manager, "Update")]
    moved = [entry for entry in moved if not entry.subresource]
    if not moved:
        return None
    kept = [entry for entry in entries if entry not in moved and not _is_ours(entry)]
    made = _union([entry for entry in entries if _is_ours(entry)], moved)
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [entry.to_json() for entry in (made, *kept)]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata.get("resourceVersion")},
    ]


def _is_ours(entry: Entry) -> bool:
    return (entry.manager, entry.operation, entry.subresource) == (names.FIELD_MANAGER, "Apply", "")


def _union(ours: list[Entry], moved: list[Entry]) -> Entry:
    fields = EMPTY
    for entry in (*ours, *moved):
        fields = fields | entry.fields
    first = (ours or moved)[0]
    return replace(first, manager=names.FIELD_MANAGER, operation="Apply", fields=fields, source=None)
