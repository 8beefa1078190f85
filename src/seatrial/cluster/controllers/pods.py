"""What controllers ask about pods: ready, available, active, and which one to delete first. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from seatrial.kube.model.objects import Object

SUCCEEDED, FAILED = "Succeeded", "Failed"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase(pod: Object) -> str:
    found: str = (pod.get("status") or {}).get("phase") or "Pending"
    return found


def node_name(pod: Object) -> str:
    found: str = pod["spec"].get("nodeName") or ""
    return found


def is_terminal(pod: Object) -> bool:
    return phase(pod) in (SUCCEEDED, FAILED)


def is_active(pod: Object) -> bool:
    """Neither finished nor being deleted: it counts towards what its controller wants."""
    return not is_terminal(pod) and not objects.is_deleting(pod)


def is_terminating(pod: Object) -> bool:
    return objects.is_deleting(pod) and not is_terminal(pod)


def is_ready(pod: Object) -> bool:
    return conditions.is_true(pod, "Ready")


def ready_since(pod: Object) -> float | None:
    """When the pod became ready; None if it is not."""
    condition = conditions.get(pod, "Ready")
    if condition is None or condition.get("status") != "True":
        return None
    text = condition.get("lastTransitionTime")
    return parse_time(text) if text else None


def is_available(pod: Object, min_ready: float, now: float) -> bool:
    """Ready for at least `min_ready` seconds."""
    if not is_ready(pod):
        return False
    since = ready_since(pod)
    return min_ready <= 0 or (since is not None and since + min_ready <= now)


def next_availability(pods: Iterable[Object], min_ready: float, now: float) -> float | None:
    """Seconds until the next ready pod becomes available by the passing of time alone; None if none will."""
    waits = [since + min_ready - now for pod in pods if (since := ready_since(pod)) is not None]
    return min((wait for wait in waits if wait > 0), default=None)


def created_at(obj: Object) -> float:
    text = objects.metadata(obj).get("creationTimestamp")
    return parse_time(text) if text else 0.0


def restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return max((status.get("restartCount") or 0 for status in statuses), default=0)


def deletion_cost(pod: Object) -> int:
    try:
        return int(objects.annotations(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def deletion_order(pods: Sequence[Object], related: Iterable[Object] = ()) -> list[Object]:
    """The pods, the one whose loss hurts least first.

    Unassigned, then Pending, then not ready, then cheap, then on a node crowded with `related` pods, then ready
    for the shortest time, then most often restarted, then youngest.
    """
    crowd: dict[str, int] = {}
    for pod in related:
        if is_active(pod):
            crowd[node_name(pod)] = crowd.get(node_name(pod), 0) + 1
    return sorted(pods, key=_deletion_rank(crowd))


def _deletion_rank(crowd: dict[str, int]) -> Callable[[Object], tuple[Any, ...]]:
    def rank(pod: Object) -> tuple[Any, ...]:
        return (
            bool(node_name(pod)),
            _PHASE_RANK.get(phase(pod), 2),
            is_ready(pod),
            deletion_cost(pod),
            -crowd.get(node_name(pod), 0),
            -(ready_since(pod) or 0.0),
            -restarts(pod),
            -created_at(pod),
            objects.name(pod),
        )

    return rank
