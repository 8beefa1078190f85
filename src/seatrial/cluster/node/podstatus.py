"""The status of a simulated pod in each stage of its life. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object

_PREFIX = "seatrial.dev/simulated-"


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
    exit_code = int(_number(pod, "exit-code", 0))
    run = _number(pod, "run-seconds", 0.0 if ends or exit_code else -1.0)
    return Script(
        start_seconds=_number(pod, "start-seconds", start_seconds),
        is_ready=objects.annotations(pod).get(_PREFIX + "ready") != "false",
        run_seconds=run if run >= 0 else None,
        exit_code=exit_code,
    )


def _number(pod: Object, name: str, default: float) -> float:
    text = objects.annotations(pod).get(_PREFIX + name)
    try:
        return float(text) if text is not None else default
    except ValueError:
        return default


def _container_id(pod: Object, name: str, restarts: int) -> str:
    seed = f"{objects.uid(pod)}/{name}/{restarts}"
    return "simulated://" + hashlib.sha256(seed.encode()).hexdigest()


def _image_id(image: str) -> str:
    return f"{image.partition('@')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _containers(
    pod: Object, field: str, state: dict[str, Any], *, ready: bool, restarts: int, last: dict[str, Any]
) -> list[dict[str, Any]]:
    return [
        {
            "name": container["name"],
            "state": state,
            "lastState": last,
            "ready": ready,
            "started": "running" in state,
            "restartCount": restarts,
            "image": container["image"],
            "imageID": _image_id(container["image"]),
            "containerID": _container_id(pod, container["name"], restarts),
        }
        for container in pod["spec"].get(field) or []
    ]


def _status(pod: Object, now: str, phase: str, truths: dict[str, tuple[bool, str]], **fields: Any) -> Object:
    """A status with the conditions of `truths` (type -> holds, reason when it does not)."""
    old = pod.get("status") or {}
    found = [dict(condition) for condition in old.get("conditions") or []]
    for kind, (holds, reason) in truths.items():
        generation = pod["metadata"].get("generation")
        extra = {"observedGeneration": generation} if generation else {}
        conditions.set_condition(found, kind, "True" if holds else "False", reason, "", now, **extra)
    status = {**old, "phase": phase, "conditions": found, **fields}
    if pod["metadata"].get("generation"):
        status["observedGeneration"] = pod["metadata"]["generation"]
    return status


def running(pod: Object, now: str, address: str, host: str, *, ready: bool, restarts: int = 0) -> Object:
    state = {"running": {"startedAt": now}}
    unready = "" if ready else "ContainersNotReady"
    last: dict[str, Any] = {}
    if restarts:
        last = ((pod.get("status") or {}).get("containerStatuses") or [{}])[0].get("lastState") or {}
    truths = {
        "PodReadyToStartContainers": (True, ""),
        "Initialized": (True, ""),
        "ContainersReady": (ready, unready),
        "Ready": (ready and _gates_open(pod), unready or "ReadinessGatesNotReady"),
        "PodScheduled": (True, ""),
    }
    if truths["Ready"][0]:
        truths["Ready"] = (True, "")
    return _status(
        pod,
        now,
        "Running",
        truths,
        hostIP=host,
        hostIPs=[{"ip": host}],
        podIP=address,
        podIPs=[{"ip": address}],
        startTime=(pod.get("status") or {}).get("startTime") or now,
        **_init_statuses(pod, now),
        containerStatuses=_containers(pod, "containers", state, ready=ready, restarts=restarts, last=last),
    )


def _init_statuses(pod: Object, now: str) -> dict[str, Any]:
    if not pod["spec"].get("initContainers"):
        return {}
    done = _terminated(pod, now, 0)
    finished = _containers(pod, "initContainers", done, ready=True, restarts=0, last={})
    sidecars = {c["name"] for c in pod["spec"]["initContainers"] if c.get("restartPolicy") == "Always"}
    for found in finished:
        if found["name"] in sidecars:
            found["state"], found["started"] = {"running": {"startedAt": now}}, True
    return {"initContainerStatuses": finished}


def _gates_open(pod: Object) -> bool:
    gates: Iterable[dict[str, Any]] = pod["spec"].get("readinessGates") or []
    return all(conditions.is_true(pod, gate["conditionType"]) for gate in gates)


def _terminated(pod: Object, now: str, code: int) -> dict[str, Any]:
    started = (pod.get("status") or {}).get("startTime") or now
    return {
        "terminated": {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": started,
            "finishedAt": now,
        }
    }


def finished(pod: Object, now: str, code: int) -> Object:
    """Every container ended: Succeeded or Failed."""
    state = _terminated(pod, now, code)
    reason = "PodCompleted" if code == 0 else "PodFailed"
    truths = {"Ready": (False, reason), "ContainersReady": (False, reason)}
    restarts = restart_count(pod)
    return _status(
        pod,
        now,
        "Succeeded" if code == 0 else "Failed",
        truths,
        startTime=(pod.get("status") or {}).get("startTime") or now,
        **_init_statuses(pod, now),
        containerStatuses=_containers(pod, "containers", state, ready=False, restarts=restarts, last={}),
    )


def crashed(pod: Object, now: str, code: int, back_off: float) -> Object:
    """The containers ended and wait for their restart."""
    name = pod["spec"]["containers"][0]["name"]
    message = f"back-off {back_off:.0f}s restarting failed container={name} pod={objects.name(pod)}"
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    unready = (False, "ContainersNotReady")
    statuses = _containers(
        pod, "containers", state, ready=False, restarts=restart_count(pod), last=_terminated(pod, now, code)
    )
    truths = {"Ready": unready, "ContainersReady": unready}
    return _status(pod, now, "Running", truths, containerStatuses=statuses)


def restart_count(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return max((found["restartCount"] for found in statuses), default=0)
