"""Rows of pods: one word for the state of all containers together, and what waits behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.cluster.apiserver.tables.columns import (
    AGE,
    NAME,
    NONE,
    Column,
    Layout,
    age,
    containers_and_images,
    dig,
    labels_text,
    since,
    text,
)
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_TERMINAL = ("Succeeded", "Failed")


class _Progress:
    """What the container statuses add up to while they are read, one by one."""

    def __init__(self, pod: Object) -> None:
        self.status = pod.get("status") or {}
        self.reason = _pod_reason(self.status)
        self.ready = 0
        self.restarts = 0
        self.last_restart = ""
        initial = dig(pod, "spec", "initContainers") or []
        self.initial = len(initial)
        self.sidecars = {item.get("name") for item in initial if item.get("restartPolicy") == "Always"}

    def count_restarts(self, container: dict[str, Any]) -> None:
        self.restarts += container.get("restartCount") or 0
        finished = dig(container, "lastState", "terminated", "finishedAt") or ""
        self.last_restart = _later(self.last_restart, finished)


def _pod_reason(status: dict[str, Any]) -> str:
    reason: str = status.get("reason") or status.get("phase") or ""
    scheduled = conditions.get(status.get("conditions"), "PodScheduled")
    return "SchedulingGated" if scheduled and scheduled.get("reason") == "SchedulingGated" else reason


def _later(one: str, other: str) -> str:
    return max(one, other, key=lambda time: parse_time(time) if time else 0.0)


def pod_cells(pod: Object, now: float) -> list[Any]:
    progress = _Progress(pod)
    initializing = _read_init_containers(progress)
    if not initializing or conditions.is_true(progress.status.get("conditions"), "Initialized"):
        _read_containers(progress)
    total = len(dig(pod, "spec", "containers") or []) + len(progress.sidecars)
    return [
        objects.name(pod),
        f"{progress.ready}/{total}",
        _overruled(pod, progress),
        _restarts(progress, now),
        age(pod, now),
        _address(progress.status),
        dig(pod, "spec", "nodeName") or NONE,
        progress.status.get("nominatedNodeName") or NONE,
        _gates(pod),
    ]


def _read_init_containers(progress: _Progress) -> bool:
    """Count the init containers; True if one of them has still to end (or a sidecar to start)."""
    for index, container in enumerate(progress.status.get("initContainerStatuses") or []):
        progress.count_restarts(container)
        terminated = dig(container, "state", "terminated")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if container.get("name") in progress.sidecars and container.get("started"):
            progress.ready += bool(container.get("ready"))
            continue
        progress.reason = _init_reason(container, index, progress.initial)
        return True
    return False


def _init_reason(container: dict[str, Any], index: int, total: int) -> str:
    terminated = dig(container, "state", "terminated")
    if terminated is not None:
        return f"Init:{_end(terminated)}"
    waiting = dig(container, "state", "waiting", "reason")
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{total}"


def _end(terminated: dict[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode') or 0}"


def _read_containers(progress: _Progress) -> None:
    """The state of the first container that has something to say, read backwards so that it is said last."""
    _keep_sidecar_restarts(progress)
    running, failure = False, ""
    for container in reversed(progress.status.get("containerStatuses") or []):
        progress.count_restarts(container)
        waiting = dig(container, "state", "waiting", "reason")
        terminated = dig(container, "state", "terminated")
        if waiting:
            progress.reason = waiting
        elif terminated is not None:
            progress.reason = _end(terminated)
            failure = progress.reason if terminated.get("exitCode") else failure
        elif container.get("ready") and dig(container, "state", "running") is not None:
            running = True
            progress.ready += 1
    if progress.reason == "Completed":
        progress.reason = _after_completion(progress, running, failure)


def _keep_sidecar_restarts(progress: _Progress) -> None:
    """Once the containers run, restarts of ordinary init containers are history."""
    progress.restarts, progress.last_restart = 0, ""
    for container in progress.status.get("initContainerStatuses") or []:
        if container.get("name") in progress.sidecars:
            progress.count_restarts(container)


def _after_completion(progress: _Progress, running: bool, failure: str) -> str:
    """One container has completed; what the others do matters more."""
    if running and conditions.is_true(progress.status.get("conditions"), "Ready"):
        return "Running"
    if failure:
        return failure
    return "NotReady" if running else "Completed"


def _overruled(pod: Object, progress: _Progress) -> str:
    if objects.is_deleting(pod):
        if progress.status.get("reason") == "NodeLost":
            return "Unknown"
        if progress.status.get("phase") not in _TERMINAL:
            return "Terminating"
    return progress.reason


def _restarts(progress: _Progress, now: float) -> str:
    if progress.restarts and progress.last_restart:
        return f"{progress.restarts} ({since(progress.last_restart, now)} ago)"
    return str(progress.restarts)


def _address(status: dict[str, Any]) -> str:
    addresses = status.get("podIPs") or []
    return (addresses[0].get("ip") if addresses else status.get("podIP")) or NONE


def _gates(pod: Object) -> str:
    gates = dig(pod, "spec", "readinessGates") or []
    if not gates:
        return NONE
    met = sum(conditions.is_true(pod, gate.get("conditionType") or "") for gate in gates)
    return f"{met}/{len(gates)}"


def template_cells(template: Object, _now: float) -> list[Any]:
    return [
        objects.name(template),
        *containers_and_images(dig(template, "template", "spec")),
        labels_text(dig(template, "template", "metadata", "labels")),
    ]


LAYOUTS = {
    "pods": Layout(
        (
            NAME,
            text("Ready", "Containers that are ready, of all."),
            text("Status", "The state of the pod in a word."),
            text("Restarts", "How often its containers were restarted, and when last."),
            AGE,
            text("IP", "Address of the pod.", 1),
            text("Node", "Node the pod is bound to.", 1),
            text("Nominated Node", "Node the pod waits for after preempting others.", 1),
            text("Readiness Gates", "Further conditions met, of those asked for.", 1),
        ),
        pod_cells,
    ),
    "podtemplates": Layout(
        (
            NAME,
            Column("Containers", "string", "", "Names of the containers in the template."),
            Column("Images", "string", "", "Images of the containers in the template."),
            text("Pod Labels", "Labels of the template."),
        ),
        template_cells,
    ),
}
