"""Whether an application is to be synced unasked now, later or not, and why.

Pure. Where Argo CD gives up after one failed try, a failure that may pass by itself is retried for ever, with growing
delays; and repairs of a field that somebody else keeps setting back are stopped and explained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.base.clock import parse_time
from seatrial.gitops.api.application import Automated, Retry
from seatrial.gitops.sync import results, retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.gitops.sync.fights import Fight
    from seatrial.kube.model.objects import Object, Ref

SYNC_ERROR = "SyncError"
"""Argo CD's condition type for what keeps automation from going on."""

HEALING = Retry(limit=-1, seconds=1.0, factor=2.0, longest=300.0)
"""Delay before a repair: the first after a second (Argo CD: 5), then longer."""
FAILING = Retry(limit=-1, seconds=5.0, factor=2.0, longest=180.0)
CALM = 10.0
"""Seconds without a drift, beyond twice the last delay, after which the delays start small again: two accidents a
minute apart are no fight."""


class Found(NamedTuple):
    """One resource as compared."""

    ref: Ref
    status: str
    requires_pruning: bool = False
    hook: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    automated: Automated | None
    status: str
    """Synced, OutOfSync or Unknown."""
    revisions: tuple[str, ...]
    """What the compare was made with, one per source."""
    sources: Any
    """The spec's sources, to be compared with those of the last operation."""
    resources: Sequence[Found]
    now: float
    last: Object | None = None
    """`status.operationState`."""
    operation_pending: bool = False
    deleting: bool = False
    inputs_changed: bool = True
    """False: the new commit touched nothing this application is made of."""
    skipped: tuple[str, ...] = ()
    """Revisions that a rollback left (annotation `skipped-revision`)."""
    fights: Sequence[Fight] = ()
    sync_options: tuple[str, ...] = ()
    retry: Object | None = None
    """`spec.syncPolicy.retry`."""
    healing: Retry = HEALING


@dataclass(frozen=True, slots=True)
class Decision:
    """One of: `operation` to begin now; `after` seconds to decide again; neither: nothing to do."""

    why: str
    operation: Object | None = None
    after: float | None = None
    condition: str = ""
    """The message of a SyncError condition, "" for none."""
    healing: tuple[Ref, ...] = field(default=())
    """What a self-heal repairs: for `Fights.repaired`."""


def decide(found: Situation) -> Decision:
    refused = _refused(found)
    if refused is not None:
        return refused
    if not _already_attempted(found):
        return _checked(found, _operation(found), "a new revision or source")
    assert found.last is not None
    if found.last.get("phase") != results.SUCCEEDED:
        return _after_failure(found, found.last)
    if found.automated is None or not found.automated.self_heal:
        return Decision("this revision was synced; drift is left alone without selfHeal")
    return _heal(found, found.last)


def _refused(found: Situation) -> Decision | None:
    automated = found.automated
    if automated is None:
        return Decision("automated sync is off")
    if found.operation_pending or (found.last or {}).get("phase") in (results.RUNNING, results.TERMINATING):
        return Decision("an operation is in progress")
    if found.deleting:
        return Decision("the application is being deleted")
    if found.status != "OutOfSync":
        return Decision(f"the application is {found.status}")
    if found.skipped and set(found.skipped) & set(found.revisions):
        shown = ", ".join(found.skipped)
        return Decision(f"revision {shown} was rolled back: waiting for a newer one")
    changed = [item for item in found.resources if item.status != "Synced" and not item.hook]
    if not automated.prune and changed and all(item.requires_pruning for item in changed):
        return Decision("only resources to be pruned differ, and prune is off")
    return None


def _already_attempted(found: Situation) -> bool:
    """Whether the last operation was of this very revision and source, whatever came of it."""
    last = found.last
    if not last or last.get("phase") not in results.COMPLETED:
        return False
    result = last.get("syncResult")
    if not result:
        return True
    source = result.get("sources") or result.get("source")
    if source != found.sources:
        return False
    if not found.inputs_changed:
        return True
    return tuple(result.get("revisions") or [result.get("revision") or ""]) == found.revisions


def _after_failure(found: Situation, last: Object) -> Decision:
    message = last.get("message") or "no message"
    told = f"Failed last sync attempt to {_shown(found.revisions)}: {message}"
    if results.info(last, results.INFO_FAILURE) != results.RETRYABLE:
        return Decision(
            "the last attempt failed and would fail again", condition=f"{told}. Sync by hand, or push a fix"
        )
    tries = _attempts(last)
    wait = _remaining(found, last, retry.delay(FAILING, tries))
    told = f"{told} (tried {tries + 1} times, and again by itself)"
    if wait > 0:
        return Decision("waiting before the next try", after=wait, condition=told)
    return _checked(found, _operation(found, attempts=tries + 1), "the last failure may have passed", told)


def _heal(found: Situation, last: Object) -> Decision:
    told = "; ".join(str(fight) for fight in found.fights)
    contested = {fight.ref for fight in found.fights}
    drifted = [item for item in found.resources if item.status != "Synced" and not item.hook]
    assert found.automated is not None
    if not found.automated.prune:
        drifted = [item for item in drifted if not item.requires_pruning]
    repaired = [item for item in drifted if item.ref not in contested]
    truce = min((fight.until for fight in found.fights), default=found.now) - found.now
    if not repaired:
        return Decision("what differs is fought over", after=max(truce, 1.0) if told else None, condition=told)
    tries = _attempts(last)
    if found.now - _finished(last) > CALM + 2 * retry.delay(found.healing, tries):
        tries = 0
    wait = _remaining(found, last, retry.delay(found.healing, tries))
    if wait > 0:
        return Decision("waiting before the next repair", after=wait, condition=told)
    refs = tuple(item.ref for item in repaired)
    operation = _operation(found, attempts=tries + 1, refs=refs)
    return _checked(found, operation, "live objects drifted", told, refs)


def _checked(
    found: Situation, operation: Object, why: str, condition: str = "", healing: tuple[Ref, ...] = ()
) -> Decision:
    """Not everything at once: a repository that suddenly is empty is more likely a mistake."""
    automated = found.automated
    compared = [item for item in found.resources if not item.hook]
    guarded = automated is not None and automated.prune and not automated.allow_empty
    if guarded and compared and all(item.requires_pruning for item in compared):
        text = (
            f"Skipping sync attempt to {_shown(found.revisions)}: auto-sync will wipe out all resources. "
            f"Sync by hand, or set spec.syncPolicy.automated.allowEmpty"
        )
        return Decision("everything would be pruned", condition=text)
    return Decision(why, operation=operation, condition=condition, healing=healing)


def _operation(found: Situation, attempts: int = 0, refs: tuple[Ref, ...] = ()) -> Object:
    assert found.automated is not None
    sync: Object = {"prune": found.automated.prune}
    if len(found.revisions) > 1:
        sync["revisions"] = list(found.revisions)
    elif found.revisions:
        sync["revision"] = found.revisions[0]
    if found.sync_options:
        sync["syncOptions"] = list(found.sync_options)
    if refs:
        sync["resources"] = [_listed(ref) for ref in refs]
    if attempts:
        sync["autoHealAttemptsCount"] = attempts
    return {"sync": sync, "initiatedBy": {"automated": True}, "retry": found.retry or {"limit": 5}}


def _listed(ref: Ref) -> Object:
    shown = {"group": ref.group, "kind": ref.kind, "name": ref.name, "namespace": ref.namespace}
    return {key: value for key, value in shown.items() if value}


def _attempts(last: Object) -> int:
    return int(((last.get("operation") or {}).get("sync") or {}).get("autoHealAttemptsCount") or 0)


def _remaining(found: Situation, last: Object, delay: float) -> float:
    return delay - (found.now - _finished(last))


def _finished(last: Object) -> float:
    written = last.get("finishedAt")
    return parse_time(written) if written else 0.0


def _shown(revisions: Sequence[str]) -> str:
    return ", ".join(revisions) or "HEAD"
