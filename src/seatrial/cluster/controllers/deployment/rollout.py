"""How large each ReplicaSet of a Deployment is to be now. Pure; `reconcile` writes the sizes.

Two numbers rule: never more pods than `ceiling`, never fewer available ones than `floor`. Research section 3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.controllers.pods import created_at
from seatrial.cluster.controllers.shares import share
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.model.objects import Object

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the strategy allows around `replicas`."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def ceiling(self) -> int:
        return self.replicas + self.surge

    @property
    def floor(self) -> int:
        return self.replicas - self.unavailable


class Resize(NamedTuple):
    replica_set: Object
    replicas: int


def limits(deployment: Object) -> Limits:
    """Surge rounds up, unavailable down; if both come to nothing, one pod may be missing, or it would never end."""
    replicas: int = deployment["spec"].get("replicas", 1)
    if not is_rolling(deployment):
        return Limits(replicas, 0, 0)
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge"), replicas, round_up=True)
    unavailable = share(rolling.get("maxUnavailable"), replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(replicas, surge, min(unavailable, replicas))


def is_rolling(deployment: Object) -> bool:
    strategy = deployment["spec"].get("strategy") or {}
    return bool(strategy.get("type") == "RollingUpdate")


def size(replica_set: Object | None) -> int:
    if replica_set is None:
        return 0
    found: int = replica_set["spec"].get("replicas", 1)
    return found


def total(replica_sets: Iterable[Object]) -> int:
    return sum(size(replica_set) for replica_set in replica_sets)


def available(replica_set: Object | None) -> int:
    """Available pods that will stay: a set told to shrink may not have reported it yet."""
    if replica_set is None:
        return 0
    counted: int = (replica_set.get("status") or {}).get("availableReplicas") or 0
    return min(counted, size(replica_set))


def active(replica_sets: Iterable[Object]) -> list[Object]:
    return [replica_set for replica_set in replica_sets if size(replica_set) > 0]


def oldest_first(replica_sets: Iterable[Object]) -> list[Object]:
    return sorted(replica_sets, key=lambda found: (created_at(found), objects.name(found)))


# rolling


def grown(bounds: Limits, new_size: int, total_size: int) -> int:
    """The size of the new set: as far up as the ceiling leaves room, down at once."""
    if new_size >= bounds.replicas:
        return bounds.replicas
    room = max(0, bounds.ceiling - total_size)
    return new_size + min(room, bounds.replicas - new_size)


def shrink_old(bounds: Limits, new: Object, old: Sequence[Object]) -> list[Resize]:
    """Which old sets give up pods: unhealthy ones first, then healthy ones down to the floor; oldest set first."""
    everything = [*old, new]
    budget = total(everything) - bounds.floor - (size(new) - available(new))
    if budget <= 0:
        return []
    spare = sum(available(found) for found in everything) - bounds.floor
    sizes = {objects.uid(found): size(found) for found in old}
    ordered = oldest_first(old)
    for found in ordered:
        unhealthy = min(budget, size(found) - available(found))
        sizes[objects.uid(found)] -= unhealthy
        budget -= unhealthy
    for found in ordered:
        healthy = max(0, min(spare, sizes[objects.uid(found)]))
        sizes[objects.uid(found)] -= healthy
        spare -= healthy
    changed = [Resize(found, sizes[objects.uid(found)]) for found in ordered]
    return [resize for resize in changed if resize.replicas != size(resize.replica_set)]


def roll(bounds: Limits, new: Object, old: Sequence[Object]) -> list[Resize]:
    """One step: the new set grows first; only when it cannot, old ones shrink."""
    wanted = grown(bounds, size(new), total([*old, new]))
    if wanted != size(new):
        return [Resize(new, wanted)]
    return shrink_old(bounds, new, old) if active(old) else []


# scaling


def is_scaling(deployment: Object, replica_sets: Iterable[Object]) -> bool:
    """Was `replicas` changed since the sets were last sized? (Recreate never shares pods out among sets.)"""
    replica_sets = active(replica_sets)
    if len(replica_sets) > 1 and not is_rolling(deployment):
        return False
    wanted = str(deployment["spec"].get("replicas", 1))
    annotations = [objects.annotations(found) for found in replica_sets]
    return any(found[DESIRED] != wanted for found in annotations if DESIRED in found)


def scale(
    bounds: Limits, new: Object | None, old: Sequence[Object], known_total: int, *, rolling: bool
) -> list[Resize]:
    """Spread a new number of replicas over the sets; `known_total` is the Deployment's `status.replicas`.

    Every set in the answer gets its annotations renewed, also where the size stays.
    """
    alone = _only_one(new, old)
    if alone is not None:
        return [Resize(alone, bounds.replicas)]
    if _is_saturated(bounds, new):
        return [Resize(found, 0) for found in active(old)]
    if not rolling:
        return []
    return _spread(bounds, active([*old, *([new] if new else [])]), known_total)


def _only_one(new: Object | None, old: Sequence[Object]) -> Object | None:
    """The one set with pods; with none, the newest."""
    found = active([*old, *([new] if new else [])])
    if len(found) > 1:
        return None
    if found:
        return found[0]
    if new is not None:
        return new
    return max(old, key=created_at, default=None)


def _is_saturated(bounds: Limits, new: Object | None) -> bool:
    if new is None:
        return False
    wanted = bounds.replicas
    return objects.annotations(new).get(DESIRED) == str(wanted) and size(new) == available(new) == wanted


def _spread(bounds: Limits, found: Sequence[Object], known_total: int) -> list[Resize]:
    """In proportion to the present sizes, largest first; what rounding leaves goes to the largest, too."""
    allowed = bounds.ceiling if bounds.replicas > 0 else 0
    change = allowed - total(found)
    youth = -1 if change > 0 else 1  # equal sizes: the newer grows first, the older shrinks first
    ordered = sorted(found, key=lambda each: (-size(each), youth * created_at(each), objects.name(each)))
    sizes, spent = [], 0
    for each in ordered:
        part = _part(bounds, each, change - spent, known_total) if change else 0
        sizes.append(size(each) + part)
        spent += part
    left = change - spent
    for place, present in enumerate(sizes):
        sizes[place] = max(0, present + left)
        left -= sizes[place] - present
    return [Resize(each, replicas) for each, replicas in zip(ordered, sizes, strict=True)]


def _part(bounds: Limits, replica_set: Object, left: int, known_total: int) -> int:
    if left == 0:
        return 0
    fraction = _fraction(bounds, replica_set, known_total)
    return min(fraction, left) if left > 0 else max(fraction, left)


def _fraction(bounds: Limits, replica_set: Object, known_total: int) -> int:
    """By how much the set would change if it kept its part of the ceiling."""
    here = size(replica_set)
    if bounds.replicas == 0:
        return -here
    before = _max_replicas(replica_set) or known_total
    return _round(here * bounds.ceiling / before) - here if before else 0


def _max_replicas(replica_set: Object) -> int:
    text = objects.annotations(replica_set).get(MAX, "")
    return int(text) if text.isdecimal() else 0


def _round(number: float) -> int:
    """Halves away from zero, as Go's integer rounding does (`round` would go to the even one)."""
    return math.floor(number + 0.5)


def size_annotations(bounds: Limits) -> dict[str, str]:
    """Beside each size, what it was meant to be part of: the base of the next proportional scaling."""
    return {DESIRED: str(bounds.replicas), MAX: str(bounds.ceiling)}
