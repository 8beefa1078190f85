"""What a StatefulSet does next: which pods to make, which to delete, and which to look after. Pure.

With OrderedReady at most one thing happens per pass, and only behind pods that are available; with Parallel the
order is dropped, not the identity. Scaling goes before updating. Research section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.controllers import pods
from seatrial.cluster.controllers.revisions import HASH_LABEL
from seatrial.cluster.controllers.shares import share
from seatrial.cluster.controllers.statefulset import identity
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.model.objects import Object


class Create(NamedTuple):
    ordinal: int
    revision: str
    """The name of the ControllerRevision whose template it is made from."""


@dataclass(slots=True)
class Steps:
    create: list[Create] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


class View(NamedTuple):
    """What the plan looks at."""

    stateful_set: Object
    pods: Sequence[Object]
    current: str
    """Name of the revision all pods once had."""
    update: str
    """Name of the revision all pods shall have."""
    now: float

    @property
    def is_ordered(self) -> bool:
        return bool(self.stateful_set["spec"].get("podManagementPolicy") != "Parallel")

    def is_available(self, pod: Object | None) -> bool:
        """Running, ready long enough, and not on its way out."""
        if pod is None or pods.phase(pod) != "Running" or objects.is_deleting(pod):
            return False
        return pods.is_available(pod, min_ready(self.stateful_set), self.now)


def min_ready(stateful_set: Object) -> int:
    seconds: int = stateful_set["spec"].get("minReadySeconds") or 0
    return seconds


def revision_of(pod: Object) -> str:
    return objects.labels(pod).get(HASH_LABEL, "")


def max_unavailable(stateful_set: Object) -> int:
    """Rounded down, but at least one: an update must be able to begin."""
    rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    value = rolling.get("maxUnavailable")
    return max(1, share(1 if value is None else value, identity.replicas(stateful_set), round_up=False))


def partition(stateful_set: Object) -> int:
    rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    count: int = rolling.get("partition") or 0
    return count


def steps(view: View) -> Steps:
    found = Steps()
    if objects.is_deleting(view.stateful_set):
        return found
    places, condemned = _sorted(view)
    if _fill(view, places, found) and _shrink(view, condemned, found) and _is_rolling(view.stateful_set):
        _update(view, places, found)
    return found


def _sorted(view: View) -> tuple[dict[int, Object | None], list[Object]]:
    """Ordinal -> pod for every place there is to be, and the pods beyond, last first."""
    wanted = identity.ordinals(view.stateful_set)
    places: dict[int, Object | None] = dict.fromkeys(wanted)
    beyond: list[tuple[int, Object]] = []
    for pod in view.pods:
        ordinal = identity.ordinal_of(view.stateful_set, pod)
        if ordinal is None:
            continue
        if ordinal in wanted:
            places[ordinal] = pod
        else:
            beyond.append((ordinal, pod))
    beyond.sort(key=lambda item: -item[0])
    return places, [pod for _, pod in beyond]


def revision_for(view: View, ordinal: int) -> str:
    """Below the partition (and while a set without one is being updated) new pods are of the old revision."""
    strategy = view.stateful_set["spec"].get("updateStrategy") or {}
    kept = 0
    if strategy.get("rollingUpdate") is not None:
        kept = partition(view.stateful_set)
    elif strategy.get("type") == "RollingUpdate":
        kept = (view.stateful_set.get("status") or {}).get("currentReplicas") or 0
    return view.current if ordinal < identity.start(view.stateful_set) + kept else view.update


def _fill(view: View, places: dict[int, Object | None], found: Steps) -> bool:
    """Every place gets a pod; False: something must happen or be waited for first."""
    for ordinal, pod in places.items():
        if pod is None:
            found.create.append(Create(ordinal, revision_for(view, ordinal)))
        elif pods.is_terminal(pod):
            if not objects.is_deleting(pod):
                found.delete.append(pod)  # its successor is made when it is gone
        elif view.is_available(pod):
            continue
        if view.is_ordered:
            return False
    return True


def _shrink(view: View, condemned: Sequence[Object], found: Steps) -> bool:
    """Pods beyond the last place go, last first. One that is not available waits, unless it is the only such one."""
    first_unavailable = next((pod for pod in reversed(condemned) if not view.is_available(pod)), None)
    for pod in condemned:
        if objects.is_deleting(pod):
            if view.is_ordered:
                return False
            continue
        if view.is_ordered and not view.is_available(pod) and pod is not first_unavailable:
            return False
        found.delete.append(pod)
        if view.is_ordered:
            return False
    return True


def _is_rolling(stateful_set: Object) -> bool:
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    return bool(strategy.get("type") == "RollingUpdate")


def _update(view: View, places: dict[int, Object | None], found: Steps) -> None:
    """Replace outdated pods from the last place down to the partition, few enough at a time."""
    unavailable = sum(not view.is_available(pod) for pod in places.values())
    budget = max_unavailable(view.stateful_set) - unavailable
    lowest = identity.start(view.stateful_set) + partition(view.stateful_set)
    outdated = [
        pod
        for ordinal, pod in sorted(places.items(), reverse=True)
        if pod is not None and ordinal >= lowest and revision_of(pod) != view.update and not objects.is_deleting(pod)
    ]
    chosen: list[Object] = []
    if not view.is_ordered:
        # What is broken and outdated costs nothing to replace, and may be what the update repairs.
        chosen = [pod for pod in outdated if not view.is_available(pod) and not pods.is_terminal(pod)]
        outdated = [pod for pod in outdated if view.is_available(pod)]
    found.delete += chosen + outdated[: max(0, budget)]


def live_revisions(seen: Iterable[Object]) -> set[str]:
    return {revision_of(pod) for pod in seen}
