"""Retries: when a failed operation is tried again, with what, and what a failure says about the next try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.gitops.api.application import Retry
from seatrial.gitops.sync import results
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def of(written: Mapping[str, Any] | None) -> Retry:
    """`retry` of an operation or a sync policy, with Argo CD's defaults."""
    if not written:
        return Retry()
    backoff = written.get("backoff") or {}
    default = Retry()
    return Retry(
        limit=int(written.get("limit") or 0),
        seconds=duration(backoff.get("duration"), default.seconds),
        factor=float(backoff.get("factor") or default.factor),
        longest=duration(backoff.get("maxDuration"), default.longest),
        refresh=bool(written.get("refresh")),
    )


def duration(text: Any, default: float) -> float:
    """`5s`, `1m30s`, or a number of seconds; anything else is the default."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    if not isinstance(text, str) or not text.strip():
        return default
    try:
        return float(text)
    except ValueError:
        return _spelled(text.strip(), default)


def _spelled(text: str, default: float) -> float:
    import re

    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if "".join(number + unit for number, unit in parts) != text:
        return default
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def delay(policy: Retry, failures: int) -> float:
    """Seconds before retry number `failures` (from 0)."""
    if policy.factor <= 1:
        return min(policy.seconds * policy.factor ** min(failures, 1000), policy.longest)
    grown = policy.seconds
    for _ in range(min(failures, 1000)):
        if grown >= policy.longest:
            break
        grown *= policy.factor
    return min(grown, policy.longest)


def allows(policy: Retry, retried: int) -> bool:
    return policy.limit < 0 or retried < policy.limit


def is_waiting(state: Object) -> bool:
    """A failed operation between two tries: running, and finished."""
    return state.get("phase") == results.RUNNING and bool(state.get("finishedAt"))


def policy_of(state: Object) -> Retry:
    return of((state.get("operation") or {}).get("retry"))


def due_in(state: Object, now: float) -> float:
    """Seconds until a waiting operation is tried again."""
    retried = int(state.get("retryCount") or 0)
    finished = parse_time(state["finishedAt"])
    return max(0.0, finished + delay(policy_of(state), max(0, retried - 1)) - now)


def after_failure(state: Object, now: float) -> Object:
    """A failed state as it is to be kept: waiting for its retry, if the policy has one left."""
    policy, retried = policy_of(state), int(state.get("retryCount") or 0)
    if state.get("phase") not in (results.FAILED, results.ERROR) or not allows(policy, retried):
        return state
    wait = delay(policy, retried)
    message = f"{state.get('message') or ''}. Retrying attempt #{retried + 1} at {_clock(now + wait)}."
    return {
        **state,
        "phase": results.RUNNING,
        "retryCount": retried + 1,
        "finishedAt": rfc3339(now),
        "message": message,
    }


def restarted(state: Object, **resolved: Any) -> Object:
    """A waiting operation at its next try. `resolved` (revision, source, ...) supersedes what it was begun with.

    A newer commit does so by default: who waits for the old one to succeed waits for what was just mended.
    """
    fresh = objects.clone(state)
    fresh.pop("finishedAt", None)
    sync = fresh.setdefault("syncResult", {})
    sync["resources"] = []
    sync.update({key: value for key, value in resolved.items() if value is not None})
    fresh["message"] = ""
    operation = fresh.get("operation") or {}
    operation["info"] = [item for item in operation.get("info") or () if item.get("name") != results.INFO_FAILURE]
    return fresh


def follows_branch(state: Object) -> bool:
    """Whether a retry may take a newer commit: nobody asked for exactly this one."""
    sync = (state.get("operation") or {}).get("sync") or {}
    automated = ((state.get("operation") or {}).get("initiatedBy") or {}).get("automated")
    return bool(automated) or not (sync.get("revision") or sync.get("revisions") or sync.get("manifests"))


def _clock(when: float) -> str:
    return rfc3339(when)[11:19]
