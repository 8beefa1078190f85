"""Going back to an earlier deployment: the operation that does it, and the pin that keeps automation from undoing it.

Unlike Argo CD's, it works with automated sync: what was deployed is skipped until something newer arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.base.errors import Terminal
from seatrial.gitops.api import names
from seatrial.gitops.history import entries
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.kube.model.objects import Object

INFO_ROLLBACK = "seatrial.dev/rollback"
"""In `operation.info`: the id of the entry whose recorded manifests are to be applied."""


class RollbackRefused(Terminal):
    reason = "FailedPrecondition"


class Rollback(NamedTuple):
    operation: Object
    annotations: dict[str, str]
    """To be written to the Application along with the operation."""


def plan(app: Application, id: int | None = None, *, prune: bool = False, dry_run: bool = False, **by: Any) -> Rollback:
    """Back to entry `id` (None: the one before). `by`: who asks, for `initiatedBy`.

    Raises UnknownEntry, RollbackRefused.
    """
    if objects.is_deleting(app.object):
        raise RollbackRefused(f"application {app.name} is being deleted")
    if app.operation is not None:
        raise RollbackRefused(f"another operation on application {app.name} is in progress: wait, or terminate it")
    entry = entries.find(app.status.get("history") or [], id)
    operation: Object = {
        "sync": _sync(app, entry, prune, dry_run),
        "info": [{"name": INFO_ROLLBACK, "value": str(entry.get("id"))}],
    }
    if by:
        operation["initiatedBy"] = by
    return Rollback(operation, {} if dry_run else _pin(app, entry))


def _sync(app: Application, entry: Object, prune: bool, dry_run: bool) -> Object:
    """Strategy `apply`: hooks of another time may do more harm than the bad revision."""
    found = {key: entry[key] for key in ("revision", "revisions", "source", "sources") if entry.get(key)}
    sync: Object = {**found, "syncStrategy": {"apply": {}}, "prune": prune}
    if dry_run:
        sync["dryRun"] = True
    if app.sync_options:
        sync["syncOptions"] = list(app.sync_options)
    return sync


def _pin(app: Application, entry: Object) -> dict[str, str]:
    """What is left behind: the last deployment's revisions and the latest that was compared."""
    sync = app.status.get("sync") or {}
    latest = (app.status.get("history") or [{}])[-1]
    left = [*entries.revisions_of(sync), *entries.revisions_of(latest), *skipped(app)]
    kept = entries.revisions_of(entry)
    bad = [revision for revision in dict.fromkeys(left) if revision not in kept]
    return {names.SKIPPED_REVISION: ",".join(bad)} if bad else {}


def skipped(app: Application) -> tuple[str, ...]:
    written = objects.annotations(app.object).get(names.SKIPPED_REVISION) or ""
    return tuple(item.strip() for item in written.split(",") if item.strip())


def is_pin_over(app: Application, revisions: Sequence[str]) -> bool:
    """Whether the annotation may go: what is to be deployed now is none of what was left."""
    pinned = skipped(app)
    return bool(pinned) and bool(revisions) and not set(pinned) & set(revisions)


def entry_of(operation: Object) -> int | None:
    """Which entry's recorded manifests an operation is to apply; None if it is no rollback."""
    for item in operation.get("info") or ():
        if item.get("name") == INFO_ROLLBACK and str(item.get("value")).isdigit():
            return int(item["value"])
    return None
