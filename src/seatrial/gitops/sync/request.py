"""What may be asked of an application now: the refusals that come before an operation is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal
from seatrial.gitops.sync import results
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.gitops.api.application import Application
    from seatrial.kube.model.objects import Object


class Refused(Terminal):
    reason = "FailedPrecondition"


def check_sync(app: Application, sync: Object) -> None:
    """`sync`: the `sync` of the operation to be set. Raises Refused."""
    if objects.is_deleting(app.object):
        raise Refused(f"application {app.name} is being deleted")
    if app.operation is not None or is_running(app):
        raise Refused(f"another operation is already in progress on application {app.name}: wait, or terminate it")
    if app.automated is None or sync.get("dryRun"):
        return
    if sync.get("manifests"):
        raise Refused(f"local manifests cannot be synced while automated sync of {app.name} is on: turn it off first")
    for revision, target in zip(_asked(sync), _targets(app), strict=False):
        if revision and revision != target:
            raise Refused(
                f"cannot sync {app.name} to {revision}: automated sync is on and follows {target or 'HEAD'}. "
                f"Turn it off, or change targetRevision"
            )


def check_terminate(app: Application) -> None:
    """Raises Refused."""
    if not is_running(app):
        raise Refused(f"no operation is in progress on application {app.name}", reason="InvalidArgument")


def is_running(app: Application) -> bool:
    phase = (app.status.get("operationState") or {}).get("phase")
    return phase in (results.RUNNING, results.TERMINATING)


def _asked(sync: Object) -> list[Any]:
    return list(sync.get("revisions") or [sync.get("revision") or ""])


def _targets(app: Application) -> list[str]:
    return [source.target_revision for source in app.sources]
