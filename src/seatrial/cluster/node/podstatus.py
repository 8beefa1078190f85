"""The status of a simulated pod in each stage of its life. Pure: from the pod as it is to the status it gets next."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.kube.model.objects import Object

    Fill = Callable[[Object, Object], dict[str, Any]]
    """From a container and its status so far ({} at first) to what its status says now."""

_PREFIX = "seatrial.dev/simulated-"
_MAX_EXIT_CODE = 255
_CUT_SHORT = 143
NEVER_STARTED = 137
"""Exit code of containers whose pod was deleted before they started, as the kubelet reports them."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a pod is to do, from its annotations `seatrial.dev/simulated-*`."""

    start_seconds: float
    is_ready: bool
    run_seconds: float | None
    """None: it runs until it is deleted."""
    exit_code: int


def script(pod: Object, start_seconds: float) -> Script:
    """A pod that is restarted always runs on; any other ends at once with exit code 0, unless told otherwise."""
    ends = pod["spec"].get("restartPolicy", "Always") != "Always"
    exit_code = int(_number(pod, "exit-code", 0.0))
    if not 0 <= exit_code <= _MAX_EXIT_CODE:
        exit_code = _MAX_EXIT_CODE
    run = _number(pod, "run-seconds", 0.0 if ends or exit_code else -1.0)
    return Script(
        start_seconds=_number(pod, "start-seconds", start_seconds),
        is_ready=objects.annotations(pod).get(_PREFIX + "ready") != "false",
        run_seconds=run if run >= 0 else None,
        exit_code=exit_code,
    )


def _number(pod: Object, name: str, default: float) -> float:
    """What is no number counts as not said."""
    try:
        found = float(objects.annotations(pod).get(_PREFIX + name, ""))
    except ValueError:
        return default
    return found if math.isfinite(found) else default


# stages


def running(pod: Object, now: str, address: str, host: str, *, ready: bool) -> Object:
    """Every container runs: one that did goes on, any other starts (again)."""
    containers = _statuses(pod, "containers", lambda c, old: {**_started(c, old, now), "ready": ready})
    return _status(
        pod,
        now,
        "Running",
        {
            "PodReadyToStartContainers": _HOLDS,
            "Initialized": _HOLDS,
            "ContainersReady": _containers_ready(pod, ready),
            "Ready": _pod_ready(pod, ready),
            "PodScheduled": _HOLDS,
        },
        hostIP=host,
        hostIPs=[{"ip": host}],
        podIP=address,
        podIPs=[{"ip": address}],
        startTime=(pod.get("status") or {}).get("startTime") or now,
        **_init_statuses(pod, lambda c, old: {**_started(c, old, now), "ready": True}, now),
        containerStatuses=containers,
    )


def crashed(pod: Object, now: str, code: int, back_off: float) -> Object:
    """The containers ended and wait for their restart."""

    def waits(container: Object, old: Object) -> dict[str, Any]:
        message = (
            f"back-off {_duration(back_off)} restarting failed container={container['name']} "
            f"pod={objects.name(pod)}_{objects.namespace(pod)}({objects.uid(pod)})"
        )
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        return {"state": waiting, "lastState": _terminated(pod, old, now, code), "ready": False, "started": False}

    unready = _containers_ready(pod, False)
    truths = {"Ready": unready, "ContainersReady": unready}
    return _status(pod, now, "Running", truths, containerStatuses=_statuses(pod, "containers", waits))


def finished(pod: Object, now: str, code: int) -> Object:
    """Every container ended: Succeeded or Failed."""

    def ended(_container: Object, old: Object, code: int = code) -> dict[str, Any]:
        state = _terminated(pod, old, now, code)
        return {"state": state, "lastState": old.get("lastState") or {}, "ready": False, "started": False}

    reason = (False, "PodCompleted" if code == 0 else "PodFailed", "")
    truths = {"Ready": reason, "ContainersReady": reason, "PodReadyToStartContainers": (False, "", "")}
    return _status(
        pod,
        now,
        "Succeeded" if code == 0 else "Failed",
        truths,
        startTime=(pod.get("status") or {}).get("startTime") or now,
        **_init_statuses(pod, lambda c, old: ended(c, old, 0), now),
        containerStatuses=_statuses(pod, "containers", ended),
    )


def overdue(pod: Object, now: str) -> Object:
    """The pod ran longer than its activeDeadlineSeconds."""
    message = "Pod was active on the node longer than the specified deadline"
    return {**finished(pod, now, _CUT_SHORT), "phase": "Failed", "reason": "DeadlineExceeded", "message": message}


# containers


def _statuses(pod: Object, field: str, fill: Fill) -> list[dict[str, Any]]:
    known = {found["name"]: found for found in (pod.get("status") or {}).get(_STATUSES[field]) or []}
    made = []
    for container in pod["spec"].get(field) or []:
        old = known.get(container["name"], {})
        status = {"restartCount": old.get("restartCount", 0), "lastState": {}, **fill(container, old)}
        made.append({**_identity(pod, container, status["restartCount"]), **status})
    return made


_STATUSES = {"containers": "containerStatuses", "initContainers": "initContainerStatuses"}


def _init_statuses(pod: Object, sidecar: Fill, now: str) -> dict[str, Any]:
    """Sidecars do as the containers do; the others have ended well before the containers start."""
    if not pod["spec"].get("initContainers"):
        return {}

    def fill(container: Object, old: Object) -> dict[str, Any]:
        if container.get("restartPolicy") == "Always":
            return sidecar(container, old)
        done = old["state"] if "terminated" in old.get("state", {}) else _terminated(pod, old, now, 0)
        return {"state": done, "ready": True, "started": False}

    return {"initContainerStatuses": _statuses(pod, "initContainers", fill)}


def _started(container: Object, old: Object, now: str) -> dict[str, Any]:
    """Running: on, for the first time, again after it ended, or again because its image was changed."""
    state, before = old.get("state") or {}, old.get("lastState") or {}
    restarts = old.get("restartCount", 0)
    if "running" in state and old.get("image") == container["image"]:
        return {"state": state, "lastState": before, "started": True, "restartCount": restarts}
    if "running" in state:
        before = {"terminated": _end(0, state["running"].get("startedAt") or now, now, old.get("containerID"))}
    elif "terminated" in state:
        before = state
    return {
        "state": {"running": {"startedAt": now}},
        "lastState": before,
        "started": True,
        "restartCount": restarts + 1 if old else restarts,
    }


def _terminated(pod: Object, old: Object, now: str, code: int) -> dict[str, Any]:
    begun = (old.get("state") or {}).get("running", {}).get("startedAt")
    started = begun or (pod.get("status") or {}).get("startTime") or now
    return {"terminated": _end(code, started, now, old.get("containerID"))}


def _end(code: int, started: str, now: str, container: str | None) -> dict[str, Any]:
    ended = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "Error",
        "startedAt": started,
        "finishedAt": now,
    }
    return {**ended, "containerID": container} if container else ended


def _identity(pod: Object, container: Object, restarts: int) -> dict[str, Any]:
    name, image = container["name"], container["image"]
    seed = f"{objects.uid(pod)}/{name}/{restarts}"
    return {
        "name": name,
        "image": image,
        "imageID": f"{image.partition('@')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}",
        "containerID": "simulated://" + hashlib.sha256(seed.encode()).hexdigest(),
    }


def restart_count(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return max((found["restartCount"] for found in statuses), default=0)


# conditions

Truth = tuple[bool, str, str]
"""Whether a condition holds, and the reason and message if not."""
_HOLDS: Truth = (True, "", "")


def _containers_ready(pod: Object, ready: bool) -> Truth:
    names = " ".join(container["name"] for container in pod["spec"]["containers"])
    return _HOLDS if ready else (False, "ContainersNotReady", f"containers with unready status: [{names}]")


def _pod_ready(pod: Object, ready: bool) -> Truth:
    """Ready is what the containers are, and every readiness gate open."""
    if not ready:
        return _containers_ready(pod, ready)
    closed = [
        gate["conditionType"]
        for gate in pod["spec"].get("readinessGates") or []
        if not conditions.is_true(pod, gate["conditionType"])
    ]
    if not closed:
        return _HOLDS
    return False, "ReadinessGatesNotReady", "; ".join(_closed_gate(pod, gate) for gate in closed)


def _closed_gate(pod: Object, gate: str) -> str:
    found = conditions.get(pod, gate)
    if found is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    return f'the status of pod readiness gate "{gate}" is not "True", but {found.get("status")}'


def _status(pod: Object, now: str, phase: str, truths: dict[str, Truth], **fields: Any) -> Object:
    """The status so far, with these conditions and fields; whatever others wrote into it stays."""
    old = pod.get("status") or {}
    found = [dict(condition) for condition in old.get("conditions") or []]
    generation = pod["metadata"].get("generation")
    observed = {"observedGeneration": generation} if generation else {}
    for kind, (holds, reason, message) in truths.items():
        conditions.set_condition(found, kind, "True" if holds else "False", reason, message, now, **observed)
    return {**old, "phase": phase, "conditions": found, **observed, **fields}


def _duration(seconds: float) -> str:
    """As Go prints it: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
