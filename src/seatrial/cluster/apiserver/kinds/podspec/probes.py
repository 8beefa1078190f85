"""Checks on probes and lifecycle hooks: exactly one handler, sensible thresholds."""

from __future__ import annotations

import re
from typing import Any

from seatrial.cluster.apiserver.kinds import checks
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_HEADER = re.compile("[-A-Za-z0-9]+")


def probe(found: dict[str, Any] | None, field: str, *, repeats_success: bool) -> list[Cause]:
    """Only a readiness probe may ask for more than one success in a row."""
    if found is None:
        return []
    causes = _handler(found, field, _PROBE_HANDLERS)
    for key in _COUNTS:
        causes += checks.not_negative(found.get(key), f"{field}.{key}")
    grace = found.get("terminationGracePeriodSeconds")
    causes += checks.positive(grace, f"{field}.terminationGracePeriodSeconds")
    if repeats_success and grace is not None:
        causes.append(
            invalid_value(f"{field}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
        )
    if not repeats_success and found.get("successThreshold") not in (None, 1):
        causes.append(invalid_value(f"{field}.successThreshold", found["successThreshold"], "must be 1"))
    return causes


def lifecycle(found: dict[str, Any] | None, grace: int | None, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for hook in ("postStart", "preStop"):
        handler = (found or {}).get(hook)
        if handler is not None:
            causes += _handler(handler, f"{field}.{hook}", _HOOK_HANDLERS)
            causes += _sleep(handler.get("sleep"), grace, f"{field}.{hook}.sleep")
    return causes


def _handler(found: dict[str, Any], field: str, kinds: tuple[str, ...]) -> list[Cause]:
    used = [kind for kind in kinds if found.get(kind) is not None]
    if not used:
        return [required(field, "must specify a handler type")]
    causes = [forbidden_value(f"{field}.{kind}", "may not specify more than 1 handler type") for kind in used[1:]]
    action = found[used[0]]
    match used[0]:
        case "exec":
            causes += [] if action.get("command") else [required(f"{field}.exec.command")]
        case "httpGet":
            causes += _http(action, f"{field}.httpGet")
        case "tcpSocket" | "grpc":
            causes += checks.port(action.get("port"), f"{field}.{used[0]}.port")
    return causes


def _http(action: dict[str, Any], field: str) -> list[Cause]:
    causes = [] if action.get("path") else [required(f"{field}.path")]
    causes += checks.port(action.get("port"), f"{field}.port")
    causes += checks.one_of(action.get("scheme"), f"{field}.scheme", ("HTTP", "HTTPS"))
    return causes + [
        invalid_value(
            f"{field}.httpHeaders",
            header.get("name"),
            "a valid HTTP header must consist of alphanumeric characters or '-' "
            "(e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
        )
        for header in action.get("httpHeaders") or []
        if not _HEADER.fullmatch(header.get("name") or "")
    ]


def _sleep(action: dict[str, Any] | None, grace: int | None, field: str) -> list[Cause]:
    if action is None or grace is None:
        return []
    seconds = action.get("seconds") or 0
    if 0 <= seconds <= grace:
        return []
    detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [invalid_value(field, seconds, detail)]
