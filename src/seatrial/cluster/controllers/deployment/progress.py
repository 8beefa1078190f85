"""The status of a Deployment: numbers, and the conditions Available, Progressing and ReplicaFailure. Pure.

`kubectl rollout status`, Argo CD and Helm read nothing but this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.controllers.deployment import rollout
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.controllers.deployment.history import Sets
    from seatrial.kube.model.conditions import Condition
    from seatrial.kube.model.objects import Object

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
NEW_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
UPDATED, CREATED, FOUND = "ReplicaSetUpdated", "NewReplicaSetCreated", "FoundNewReplicaSet"
CREATE_FAILED = "ReplicaSetCreateError"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
_NO_DEADLINE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Happened:
    """What this pass did that the conditions must tell."""

    created: bool = False
    create_error: str = ""


NOTHING = Happened()


def status_of(deployment: Object, sets: Sets, now: float, happened: Happened = NOTHING) -> Object:
    """The status the Deployment is to have."""
    old = deployment.get("status") or {}
    status = _numbers(deployment, sets, old)
    found: list[Condition] = [dict(condition) for condition in old.get("conditions") or []]
    _set_available(deployment, status, found, now)
    _set_progressing(deployment, sets, status, found, now, happened)
    _set_failure(deployment, sets, found, now)
    status["conditions"] = found
    return status


def _numbers(deployment: Object, sets: Sets, old: Object) -> Object:
    """Zero is left out, as the API's own types do."""
    counted = sum(_count(found, "availableReplicas") for found in sets.all)
    numbers = {
        "observedGeneration": objects.metadata(deployment).get("generation") or 0,
        "replicas": sum(_count(found, "replicas") for found in sets.all),
        "updatedReplicas": _count(sets.new, "replicas"),
        "readyReplicas": sum(_count(found, "readyReplicas") for found in sets.all),
        "availableReplicas": counted,
        "unavailableReplicas": max(0, rollout.total(sets.all) - counted),
        "collisionCount": old.get("collisionCount") or 0,
    }
    status: Object = {key: value for key, value in numbers.items() if value}
    status["terminatingReplicas"] = sum(_count(found, "terminatingReplicas") for found in sets.all)
    return status


def _count(replica_set: Object | None, field: str) -> int:
    found: int = ((replica_set or {}).get("status") or {}).get(field) or 0
    return found


def _set(found: list[Condition], type_: str, status: str, reason: str, message: str, now: float) -> None:
    """Only a new status or reason counts: a message alone renews nothing."""
    old = conditions.get(found, type_)
    if old is not None and old.get("status") == status and old.get("reason") == reason:
        return
    text = rfc3339(now)
    conditions.set_condition(found, type_, status, reason, message, text, lastUpdateTime=text)


def _remove(found: list[Condition], type_: str) -> None:
    found[:] = [condition for condition in found if condition.get("type") != type_]


def _set_available(deployment: Object, status: Object, found: list[Condition], now: float) -> None:
    if status.get("availableReplicas", 0) >= rollout.limits(deployment).floor:
        _set(found, AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        message = "Deployment does not have minimum availability."
        _set(found, AVAILABLE, "False", "MinimumReplicasUnavailable", message, now)


def _set_failure(deployment: Object, sets: Sets, found: list[Condition], now: float) -> None:
    ordered = [*([sets.new] if sets.new is not None else []), *sets.old]
    failures = [failure for each in ordered if (failure := conditions.get(each, REPLICA_FAILURE)) is not None]
    if failures:
        first = failures[0]
        _set(found, REPLICA_FAILURE, first["status"], first.get("reason", ""), first.get("message", ""), now)
    else:
        _remove(found, REPLICA_FAILURE)


# progress


def deadline(deployment: Object) -> float | None:
    """Seconds without progress until the rollout counts as stuck; None: it never does."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == _NO_DEADLINE else float(seconds)


def is_complete(deployment: Object, status: Object) -> bool:
    wanted = deployment["spec"].get("replicas", 1)
    counts = [status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")]
    seen = status.get("observedGeneration", 0) >= (objects.metadata(deployment).get("generation") or 0)
    return seen and counts == [wanted] * 3


def has_progressed(old: Object, new: Object) -> bool:
    """More updated, ready or available pods, or fewer old ones."""

    def left(status: Object) -> int:
        count: int = status.get("replicas", 0) - status.get("updatedReplicas", 0)
        return count

    more = any(new.get(key, 0) > old.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return more or left(new) < left(old)


def _set_progressing(
    deployment: Object, sets: Sets, status: Object, found: list[Condition], now: float, happened: Happened
) -> None:
    if deadline(deployment) is None:
        _remove(found, PROGRESSING)
        return
    if happened.create_error:
        _set(found, PROGRESSING, "False", CREATE_FAILED, happened.create_error, now)
        return
    _note_pause(deployment, found, now)
    _note_new_set(sets, found, now, happened)
    if not deployment["spec"].get("paused"):
        _judge(deployment, sets, status, found, now)


def _note_pause(deployment: Object, found: list[Condition], now: float) -> None:
    """The time a rollout is paused does not count against its deadline; one that is stuck stays so."""
    present = conditions.get(found, PROGRESSING) or {}
    if present.get("reason") == TIMED_OUT:
        return
    paused = present.get("reason") == PAUSED
    if deployment["spec"].get("paused") and not paused:
        _set(found, PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)
    elif not deployment["spec"].get("paused") and paused:
        _set(found, PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now)


def _note_new_set(sets: Sets, found: list[Condition], now: float, happened: Happened) -> None:
    if sets.new is None:
        return
    name = objects.name(sets.new)
    if happened.created:
        _set(found, PROGRESSING, "True", CREATED, f'Created new replica set "{name}"', now)
    elif conditions.get(found, PROGRESSING) is None:
        _set(found, PROGRESSING, "True", FOUND, f'Found new replica set "{name}"', now)


def _judge(deployment: Object, sets: Sets, status: Object, found: list[Condition], now: float) -> None:
    present = conditions.get(found, PROGRESSING)
    was_complete = (
        present is not None
        and present.get("reason") == NEW_AVAILABLE
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )
    if was_complete:
        return
    subject = f'ReplicaSet "{objects.name(sets.new)}"' if sets.new else f'Deployment "{objects.name(deployment)}"'
    if is_complete(deployment, status):
        _set(found, PROGRESSING, "True", NEW_AVAILABLE, f"{subject} has successfully progressed.", now)
    elif has_progressed(deployment.get("status") or {}, status):
        _restart_clock(found, f"{subject} is progressing.", now)
    elif is_stuck(deployment, present, now):
        _set(found, PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing.", now)


def _restart_clock(found: list[Condition], message: str, now: float) -> None:
    """Each step renews `lastUpdateTime`, from which the deadline counts."""
    present = conditions.get(found, PROGRESSING)
    _remove(found, PROGRESSING)
    _set(found, PROGRESSING, "True", UPDATED, message, now)
    if present is not None and present.get("status") == "True":
        found[-1]["lastTransitionTime"] = present.get("lastTransitionTime") or rfc3339(now)


def is_stuck(deployment: Object, progressing: Condition | None, now: float) -> bool:
    seconds = deadline(deployment)
    if seconds is None or progressing is None or progressing.get("reason") == NEW_AVAILABLE:
        return False
    if progressing.get("reason") == TIMED_OUT:
        return True
    return _updated(progressing) + seconds < now


def _updated(condition: Condition) -> float:
    text = condition.get("lastUpdateTime") or condition.get("lastTransitionTime")
    return parse_time(text) if text else 0.0


def next_look(deployment: Object, status: Object, now: float) -> float | None:
    """Seconds until the deadline may have passed; None if nothing is to be waited for."""
    seconds = deadline(deployment)
    found: Sequence[dict[str, Any]] = status.get("conditions") or ()
    progressing = conditions.get(found, PROGRESSING)
    if seconds is None or progressing is None or deployment["spec"].get("paused"):
        return None
    if is_complete(deployment, status) or progressing.get("reason") in (TIMED_OUT, NEW_AVAILABLE):
        return None
    return max(0.0, _updated(progressing) + seconds - now) + 1.0
