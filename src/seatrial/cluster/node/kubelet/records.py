"""One container of a pod over all of its restarts, as the kubelet knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.cluster.node.kubelet import restarts

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from seatrial.cluster.node.images.store import Hold
    from seatrial.cluster.node.runtime.types import Exit
    from seatrial.kube.model.objects import Object

PREFIX = "oci://"
LOST = 137
"""Exit code of a container that ended with the node it ran on, unseen."""


class Role(Enum):
    INIT = "init"
    SIDECAR = "sidecar"
    """An init container with restartPolicy Always."""
    MAIN = "main"


@dataclass(slots=True, eq=False)
class Record:
    role: Role
    spec: Object
    state: dict[str, Any]
    """As in `status.containerStatuses`: one of waiting, running, terminated."""
    last: dict[str, Any] = field(default_factory=dict)
    """`lastState`."""
    restarts: int = 0
    id: str = ""
    """Of the present container, or of the one that ended last; "" if there was none on this node."""
    previous_id: str = ""
    log_path: Path | None = None
    previous_log: Path | None = None
    reported_id: str = ""
    image: str = ""
    """What the registry calls it; "" until it is here."""
    image_id: str = ""
    started: bool = False
    """It has passed its startup probe, if it has one, and its postStart hook."""
    ready: bool = False
    done: bool = False
    """It has ended and is not to run again."""
    exit: asyncio.Future[Exit] | None = None
    """Of the present container; None while there is none."""
    hold: Hold | None = None
    back_off: float = 0.0
    """Seconds it had to wait before its present run."""

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def is_sidecar(self) -> bool:
        return self.role is Role.SIDECAR

    @property
    def is_init(self) -> bool:
        """One that is to end before the next starts."""
        return self.role is Role.INIT

    @property
    def is_running(self) -> bool:
        """Started by us, and not known to have ended."""
        return "running" in self.state and self.exit is not None and not self.exit.done()

    @property
    def exit_code(self) -> int | None:
        """Of the present state, if it is an end."""
        ended = self.state.get("terminated")
        return int(ended["exitCode"]) if ended else None

    def wait_for(self, reason: str, message: str = "") -> None:
        """Why it does not run. What ended before is remembered as its last state."""
        if "terminated" in self.state:
            self.last = self.state
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self.started = self.ready = False

    def run(self, now: float) -> None:
        self.state = {"running": {"startedAt": rfc3339(now)}}

    def end(self, ended: dict[str, Any]) -> None:
        self.state = {"terminated": ended}
        self.started = self.ready = False


def terminated(exit: Exit, container: str, message: str = "") -> dict[str, Any]:
    """How a container ended, as its status says it."""
    reason = "OOMKilled" if exit.oom_killed else "Completed" if exit.code == 0 else "Error"
    ended: dict[str, Any] = {
        "exitCode": exit.code,
        "reason": reason,
        "startedAt": rfc3339(exit.started_at),
        "finishedAt": rfc3339(exit.finished_at),
        "containerID": PREFIX + container,
    }
    return {**ended, "message": message} if message else ended


def from_pod(pod: Object) -> list[Record]:
    """The containers of a pod in the order they start, as its status left them: none of them runs here yet."""
    spec, status = pod["spec"], pod.get("status") or {}
    waiting = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
    records = []
    for field_name, statuses in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        known = {found["name"]: found for found in status.get(statuses) or []}
        for container in spec.get(field_name) or []:
            record = Record(_role(field_name, container), container, {"waiting": {"reason": waiting}})
            _recall(record, known.get(container["name"]) or {}, pod)
            records.append(record)
    return records


def _role(field_name: str, container: Object) -> Role:
    if field_name == "containers":
        return Role.MAIN
    return Role.SIDECAR if container.get("restartPolicy") == "Always" else Role.INIT


def _recall(record: Record, known: dict[str, Any], pod: Object) -> None:
    """What an earlier start of the node has reported. Containers are not adopted: what ran then has ended."""
    state, before = known.get("state") or {}, known.get("lastState") or {}
    record.restarts = known.get("restartCount", 0)
    record.reported_id = (known.get("containerID") or "").removeprefix(PREFIX)
    record.last = before
    if "terminated" in state:
        record.state, record.image, record.image_id = state, known.get("image", ""), known.get("imageID", "")
    elif "running" in state:
        record.state = {"terminated": _lost(state["running"].get("startedAt"), record.reported_id)}
        record.image, record.image_id = known.get("image", ""), known.get("imageID", "")
    if "terminated" in record.state and record.role is Role.MAIN:
        record.done = not restarts.again(record, record.state["terminated"]["exitCode"], pod)


def _lost(started: str | None, container: str) -> dict[str, Any]:
    ended: dict[str, Any] = {
        "exitCode": LOST,
        "reason": "ContainerStatusUnknown",
        "message": "The container ended with the node it ran on",
        "startedAt": started,
        "finishedAt": None,
        "containerID": PREFIX + container,
    }
    return {key: value for key, value in ended.items() if value is not None}
