"""The status of a Job. Pure; `reconcile` writes it.

A status is built from what was there: counters and conditions are its memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers.job import spec
from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from seatrial.cluster.controllers.job.ending import Ending
    from seatrial.kube.model.objects import Object

_SUSPENDED = "Suspended"
_EVEN_IF_NOTHING = ("ready", "terminating", "failedIndexes", "uncountedTerminatedPods")


class Pods(NamedTuple):
    """How many there are, after what this pass did."""

    active: int
    ready: int
    terminating: int


def started(job: Object, now: float) -> Object:
    """The status at the beginning of a pass: a Job that is not suspended has started."""
    status = {**(job.get("status") or {})}
    status["conditions"] = [dict(each) for each in status.get("conditions") or []]
    if not spec.is_suspended(job) and not status.get("startTime"):
        status["startTime"] = rfc3339(now)
    return status


def with_pods(status: Object, pods: Pods) -> Object:
    return {**status, **pods._asdict()}


def with_suspension(status: Object, *, suspended: bool, now: float) -> tuple[Object, str]:
    """The status, and the event if the Job was suspended or resumed just now. Its clock starts anew either way."""
    found = [dict(each) for each in status["conditions"]]
    if suspended == conditions.is_true(found, _SUSPENDED):
        return status, ""
    word = "suspended" if suspended else "resumed"
    _set(found, _SUSPENDED, f"Job{word.capitalize()}", f"Job {word}", now, holds=suspended)
    start = {} if suspended else {"startTime": rfc3339(now)}
    kept = {key: value for key, value in status.items() if key != "startTime"}
    return {**kept, "conditions": found, **start}, word.capitalize()


def with_verdict(status: Object, ending: Ending, now: float) -> Object:
    """The interim condition."""
    found = [dict(each) for each in status["conditions"]]
    if not conditions.is_true(found, ending.interim):
        _set(found, ending.interim, ending.reason, ending.message, now)
    return {**status, "conditions": found}


def is_settled(status: Object) -> bool:
    """Every pod has ended and is in the counters."""
    return not status.get("active") and not status.get("terminating") and not status["uncountedTerminatedPods"]


def finished(status: Object, ending: Ending, now: float) -> Object:
    """The last condition."""
    found = [dict(each) for each in status["conditions"]]
    _set(found, ending.final, ending.reason, ending.message, now)
    done = {"completionTime": rfc3339(now)} if ending.is_success else {}
    return {**status, "conditions": found, **done}


def compact(status: Object) -> Object:
    """As Kubernetes spells it: without zeros, except where it always says a number."""
    return {key: value for key, value in status.items() if value or key in _EVEN_IF_NOTHING}


def _set(
    found: list[conditions.Condition], kind: str, reason: str, message: str, now: float, *, holds: bool = True
) -> None:
    stamp = rfc3339(now)
    conditions.set_condition(found, kind, "True" if holds else "False", reason, message, stamp, lastProbeTime=stamp)
