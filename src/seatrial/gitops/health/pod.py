"""Pod: what its containers wait for, then its phase.

A pod that is to end (OnFailure, Never) is Progressing while it runs and while its image cannot be had: it may be a
hook, and a hook that is Degraded has failed for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.gitops.health.fields import condition, mapping, mappings, text
from seatrial.gitops.health.health import DEGRADED, HEALTHY, PROGRESSING, UNKNOWN, Health
from seatrial.gitops.sync import hooks
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_IGNORE_RESTART_POLICY = "argocd.argoproj.io/ignore-restart-policy"


def assess(obj: Object) -> Health:
    status = mapping(obj, "status")
    lives_on = mapping(obj, "spec").get("restartPolicy", "Always") == "Always"
    if lives_on or _is_told_to_ignore(obj):
        waiting = _failing(status)
        if waiting:
            return Health(DEGRADED, ", ".join(waiting))
    message = text(status, "message")
    match status.get("phase"):
        case "Pending":
            return Health(PROGRESSING, message)
        case "Succeeded":
            return Health(HEALTHY, message)
        case "Failed":
            return Health(DEGRADED, message or _end(status))
        case "Running":
            return _running(obj, status, message) if lives_on else Health(PROGRESSING, message)
    return Health(UNKNOWN, message)


def _is_told_to_ignore(obj: Object) -> bool:
    return objects.annotations(obj).get(_IGNORE_RESTART_POLICY) == "true" and not hooks.is_hook(obj)


def _failing(status: dict[str, Any]) -> list[str]:
    found = []
    for container in mappings(status, "containerStatuses"):
        waiting = mapping(container, "state", "waiting")
        reason = text(waiting, "reason")
        if reason.startswith("Err") or reason.endswith(("Error", "BackOff")):
            found.append(text(waiting, "message") or f"container {text(container, 'name')}: {reason}")
    return found


def _running(obj: Object, status: dict[str, Any], message: str) -> Health:
    if condition(obj, "Ready").get("status") == "True":
        return Health(HEALTHY, message)
    if any(mapping(item, "lastState", "terminated") for item in mappings(status, "containerStatuses")):
        return Health(DEGRADED, message or "a container has ended before, and the pod is not ready")
    return Health(PROGRESSING, message)


def _end(status: dict[str, Any]) -> str:
    """Why it failed: the first container that says."""
    for container in (*mappings(status, "initContainerStatuses"), *mappings(status, "containerStatuses")):
        ended = mapping(container, "state", "terminated")
        if text(ended, "message"):
            return text(ended, "message")
        if ended.get("reason") == "OOMKilled":
            return f"container {text(container, 'name')} ran out of memory (OOMKilled)"
        if ended.get("exitCode"):
            return f"container {text(container, 'name')} ended with exit code {ended['exitCode']}"
    return ""
