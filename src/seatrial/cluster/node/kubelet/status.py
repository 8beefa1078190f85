"""What the API is told of a pod (pure): phase, conditions and container statuses, from what the node knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.cluster.handover import AWAITING_ROUTES
from seatrial.cluster.node.kubelet.records import PREFIX, Role
from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.node.kubelet.records import Record
    from seatrial.kube.model.objects import Object

_OWN = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the node knows of a pod besides its containers."""

    host_address: str
    address: str = ""
    has_sandbox: bool = False
    """With its network."""
    is_routed: bool = True
    """New connections reach it."""
    ended: tuple[str, str] | None = None
    """Reason and message, if the pod was ended from outside."""
    start_time: str = ""
    is_over: bool = False
    """Nothing of it runs, nor will again: the phase may be final."""


def status(pod: Object, records: Sequence[Record], facts: Facts, now: str) -> dict[str, Any]:
    """The fields the kubelet owns, to be merged into the status; conditions are only ours, complete."""
    phase = _phase(pod, records, facts)
    made: dict[str, Any] = {
        "phase": phase,
        "hostIP": facts.host_address,
        "hostIPs": [{"ip": facts.host_address}],
        "startTime": facts.start_time,
        "conditions": _conditions(pod, records, facts, phase, now),
        "containerStatuses": [_container(record) for record in records if record.role is Role.MAIN],
    }
    early = [_container(record) for record in records if record.role is not Role.MAIN]
    if early:
        made["initContainerStatuses"] = early
    if facts.address:
        made |= {"podIP": facts.address, "podIPs": [{"ip": facts.address}]}
    if facts.ended is not None:
        made |= {"reason": facts.ended[0], "message": facts.ended[1]}
    generation = pod["metadata"].get("generation")
    return {**made, "observedGeneration": generation} if generation else made


def differs(pod: Object, new: dict[str, Any]) -> bool:
    """Whether the pod's status does not say so yet."""
    old = pod.get("status") or {}
    known = {condition["type"]: condition for condition in old.get("conditions") or []}
    if any(known.get(condition["type"]) != condition for condition in new["conditions"]):
        return True
    return any(old.get(name) != value for name, value in new.items() if name != "conditions")


def patch(new: dict[str, Any]) -> dict[str, Any]:
    """As a strategic merge patch, which keeps others' conditions: lists that are ours replace, what is unsaid goes."""
    made = {**new, "conditions": [{"reason": None, "message": None, **condition} for condition in new["conditions"]]}
    for name in ("podIPs", "hostIPs"):
        if name in made:
            made[name] = [*made[name], {"$patch": "replace"}]
    return made


# phase


def _phase(pod: Object, records: Sequence[Record], facts: Facts) -> str:
    if facts.ended is not None:
        return "Failed"
    if facts.is_over:
        return "Succeeded" if _all_well(records) else "Failed"
    if not _is_initialized(records):
        return "Pending"
    main = [record for record in records if record.role is Role.MAIN]
    if any("waiting" in record.state and "terminated" not in record.last for record in main):
        return "Pending"
    return "Running"


def _all_well(records: Sequence[Record]) -> bool:
    if not _is_initialized(records):
        return False
    return all(record.exit_code == 0 for record in records if record.role is Role.MAIN)


# conditions


def _conditions(pod: Object, records: Sequence[Record], facts: Facts, phase: str, now: str) -> list[dict[str, Any]]:
    kept = (pod.get("status") or {}).get("conditions") or []
    found = [dict(condition) for condition in kept if condition["type"] in _OWN]
    generation = pod["metadata"].get("generation")
    observed = {"observedGeneration": generation} if generation else {}
    inside = _containers_ready(records, phase)
    truths = {
        "PodReadyToStartContainers": (facts.has_sandbox, "", ""),
        "Initialized": _initialized(records, phase),
        "ContainersReady": inside,
        "Ready": _ready(pod, facts, inside),
    }
    for kind, (holds, reason, message) in truths.items():
        conditions.set_condition(found, kind, "True" if holds else "False", reason, message, now, **observed)
    return found


Truth = tuple[bool, str, str]
_HOLDS: Truth = (True, "", "")


def _is_initialized(records: Iterable[Record]) -> bool:
    return not _uninitialized(records)


def _uninitialized(records: Iterable[Record]) -> list[str]:
    waiting = []
    for record in records:
        if record.role is Role.INIT and record.exit_code != 0:
            waiting.append(record.name)
        if record.role is Role.SIDECAR and not record.started and "terminated" not in {**record.state, **record.last}:
            waiting.append(record.name)
    return waiting


def _initialized(records: Sequence[Record], phase: str) -> Truth:
    waiting = _uninitialized(records)
    if not waiting:
        return (True, "PodCompleted", "") if phase == "Succeeded" else _HOLDS
    return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]"


def _containers_ready(records: Sequence[Record], phase: str) -> Truth:
    if phase in ("Succeeded", "Failed"):
        return False, "PodCompleted" if phase == "Succeeded" else "PodFailed", ""
    unready = [record.name for record in records if record.role is not Role.INIT and not record.ready]
    if not unready:
        return _HOLDS
    return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"


def containers_ready(records: Sequence[Record]) -> bool:
    return all(record.ready for record in records if record.role is not Role.INIT)


def gates_open(pod: Object) -> bool:
    return all(conditions.is_true(pod, gate["conditionType"]) for gate in pod["spec"].get("readinessGates") or [])


def _ready(pod: Object, facts: Facts, inside: Truth) -> Truth:
    if not inside[0]:
        return inside
    closed = [
        gate["conditionType"]
        for gate in pod["spec"].get("readinessGates") or []
        if not conditions.is_true(pod, gate["conditionType"])
    ]
    if closed:
        return False, "ReadinessGatesNotReady", "; ".join(_closed(pod, gate) for gate in closed)
    if not facts.is_routed:
        return False, AWAITING_ROUTES, "new connections do not reach the pod yet"
    return _HOLDS


def _closed(pod: Object, gate: str) -> str:
    found = conditions.get(pod, gate)
    if found is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    return f'the status of pod readiness gate "{gate}" is not "True", but {found.get("status")}'


# containers


def _container(record: Record) -> dict[str, Any]:
    identity = record.id or record.reported_id
    ended_well = record.role is Role.INIT and record.exit_code == 0
    return {
        "name": record.name,
        "image": record.image or record.spec.get("image", ""),
        "imageID": record.image_id,
        "restartCount": record.restarts,
        "ready": record.ready or ended_well,
        "started": record.started,
        "state": record.state,
        "lastState": record.last,
        **({"containerID": PREFIX + identity} if identity else {}),
    }
