"""The error of an apply that wants fields others own, in the words kubectl users know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model.status import Cause, StatusError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.kube.model.patch.apply.entries import Entry


def conflict_error(contested: Sequence[Entry]) -> StatusError:
    """409 for the entries in `contested`, each holding only the fields that are in dispute."""
    found = [
        (owner(entry), path)
        for entry in sorted(contested, key=lambda entry: (entry.manager, entry.identity))
        for path in entry.fields.paths()
    ]
    causes = [Cause("FieldManagerConflict", f"conflict with {who}", path) for who, path in found]
    return StatusError(
        409,
        "Conflict",
        _message(found),
        details={"causes": [cause.to_json() for cause in causes]},
    )


def owner(entry: Entry) -> str:
    """`"kubectl-edit" using apps/v1`: an updater is known by its version too."""
    shown = f'"{entry.manager}"'
    if entry.subresource:
        shown += f' with subresource "{entry.subresource}"'
    return f"{shown} using {entry.api_version}" if entry.operation == "Update" else shown


def _message(found: Sequence[tuple[str, str]]) -> str:
    if len(found) == 1:
        who, path = found[0]
        return f"Apply failed with 1 conflict: conflict with {who}: {path}"
    lines = []
    previous = None
    for who, path in found:
        if who != previous:
            lines.append(f"conflicts with {who}:")
            previous = who
        lines.append(f"- {path}")
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
