"""How long a Job waits before it replaces failed pods: 10 s, doubling, counted from the end of the last one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.clock import parse_time
from seatrial.cluster.controllers.pods import created_at
from seatrial.kube.control.backoff import doubling
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.model.objects import Object

FIRST = 10.0
LONGEST = 360.0


class Record(NamedTuple):
    """Failures since the last success, and when the last of them ended."""

    failures: int = 0
    last: float = 0.0


NO_FAILURES = Record()


def advance(record: Record, succeeded: Iterable[Object], failed: Iterable[Object]) -> Record:
    """The record after further pods have finished. A success takes back every failure that ended before it."""
    ends = [finished_at(pod) for pod in failed]
    success = max(map(finished_at, succeeded), default=None)
    if success is not None:
        record = NO_FAILURES
        ends = [end for end in ends if end > success]
    if not ends:
        return record
    return Record(record.failures + len(ends), max(ends))


def remaining(record: Record, now: float) -> float:
    """Seconds until the next pod may be made; 0: at once."""
    if record.failures == 0:
        return 0.0
    return max(0.0, record.last + doubling(record.failures - 1, FIRST, LONGEST) - now)


def finished_at(pod: Object) -> float:
    """When the pod ended, as well as can be told."""
    ended = _containers_ended(pod)
    if ended is not None:
        return ended
    ready = conditions.get(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    meta = objects.metadata(pod)
    if meta.get("deletionTimestamp"):
        return parse_time(meta["deletionTimestamp"]) - (meta.get("deletionGracePeriodSeconds") or 0)
    return created_at(pod)


def _containers_ended(pod: Object) -> float | None:
    """The end of the last container; sidecars outlive the others, other init containers do not matter."""
    status = pod.get("status") or {}
    sidecars = _sidecars(pod)
    counted = [
        *(status.get("containerStatuses") or []),
        *(found for found in status.get("initContainerStatuses") or [] if found.get("name") in sidecars),
    ]
    ends = [((found.get("state") or {}).get("terminated") or {}).get("finishedAt") for found in counted]
    known = [parse_time(end) for end in ends if end]
    return max(known) if known and len(known) == len(ends) else None


def _sidecars(pod: Object) -> Sequence[str]:
    containers = pod["spec"].get("initContainers") or []
    return [container["name"] for container in containers if container.get("restartPolicy") == "Always"]
