"""`status.history`: one entry for each deployment that succeeded as a whole, newest last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.gitops.sync import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.kube.model.objects import Object


class UnknownEntry(Terminal):
    reason = "InvalidArgument"


def is_recorded(state: Object) -> bool:
    """Whether a finished operation is a deployment: it succeeded, for real, and with all resources."""
    sync = (state.get("operation") or {}).get("sync") or {}
    return state.get("phase") == results.SUCCEEDED and not sync.get("dryRun") and not sync.get("resources")


def appended(history: Sequence[Object], state: Object, limit: int) -> list[Object]:
    """The history after a finished operation; its oldest entries fall off above `limit`."""
    if not is_recorded(state) or limit <= 0:
        return list(history)[-limit:] if limit > 0 else []
    return [*history, entry_of(state, next_id(history))][-limit:]


def next_id(history: Sequence[Object]) -> int:
    return max((int(entry.get("id") or 0) for entry in history), default=-1) + 1


def entry_of(state: Object, id: int) -> Object:
    result = state.get("syncResult") or {}
    entry: Object = {
        "id": id,
        "revision": result.get("revision") or "",
        "deployStartedAt": state.get("startedAt"),
        "deployedAt": state.get("finishedAt"),
        "initiatedBy": (state.get("operation") or {}).get("initiatedBy") or {},
    }
    for key in ("revisions", "source", "sources"):
        if result.get(key):
            entry[key] = result[key]
    return entry


def find(history: Sequence[Object], id: int | None) -> Object:
    """By id; None is the one before the last. Raises UnknownEntry."""
    if id is None:
        if len(history) < 2:
            raise UnknownEntry("there is no earlier deployment to go back to: the history has fewer than two entries")
        return history[-2]
    for entry in history:
        if int(entry.get("id") or 0) == id:
            return entry
    known = ", ".join(str(entry.get("id")) for entry in history) or "none"
    raise UnknownEntry(f"no deployment with id {id} in the history: there are {known}")


def revisions_of(entry: Object) -> tuple[str, ...]:
    many = entry.get("revisions")
    return tuple(many) if many else tuple(filter(None, [entry.get("revision")]))
