"""What a DaemonSet makes and deletes now: keep one pod per node, replace outdated ones few at a time. Pure.

Two passes with separate rules: `manage` puts right what is wrong on single nodes; `update`, once nothing is, trades
old pods for new within maxUnavailable or maxSurge (both rounded up).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.controllers import pods
from seatrial.cluster.controllers.daemonset import placement
from seatrial.cluster.controllers.revisions import HASH_LABEL
from seatrial.cluster.controllers.shares import share
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seatrial.kube.model.objects import Object


@dataclass(slots=True)
class Steps:
    create: list[str] = field(default_factory=list)
    """Names of nodes that get a pod."""
    delete: list[Object] = field(default_factory=list)
    failed: list[Object] = field(default_factory=list)
    """Failed pods: to be deleted too, but not over and over without a pause."""

    def __bool__(self) -> bool:
        return bool(self.create or self.delete or self.failed)


class View(NamedTuple):
    """What the plan looks at."""

    daemon_set: Object
    nodes: Sequence[Object]
    pods: Mapping[str, Sequence[Object]]
    """By the node they are for."""
    mark: str
    """The hash label of pods of the present template."""
    now: float

    def is_updated(self, pod: Object) -> bool:
        return objects.labels(pod).get(HASH_LABEL) == self.mark

    def is_available(self, pod: Object) -> bool:
        return pods.is_available(pod, min_ready(self.daemon_set), self.now)


def min_ready(daemon_set: Object) -> int:
    seconds: int = daemon_set["spec"].get("minReadySeconds") or 0
    return seconds


class Allowance(NamedTuple):
    surge: int
    unavailable: int


def allowance(daemon_set: Object, desired: int) -> Allowance:
    """At least one of the two, or nothing would ever be updated."""
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") != "RollingUpdate" or rolling is None:
        return Allowance(0, 0)
    surge = share(rolling.get("maxSurge"), desired, round_up=True)
    unavailable = share(rolling.get("maxUnavailable"), desired, round_up=True)
    return Allowance(surge, 1 if desired and not surge and not unavailable else unavailable)


def allows_surge(daemon_set: Object) -> bool:
    return allowance(daemon_set, 1).surge > 0


def _in_order(found: Iterable[Object]) -> list[Object]:
    """Bound pods first, then the older."""
    return sorted(found, key=lambda pod: (not pods.node_name(pod), pods.created_at(pod), objects.name(pod)))


def manage(view: View) -> Steps:
    steps = Steps()
    for node in view.nodes:
        _manage_node(view, node, steps)
    known = {objects.name(node) for node in view.nodes}
    for name, found in view.pods.items():
        if name not in known:  # they would wait for ever: no scheduler knows their node
            steps.delete += [pod for pod in found if not pods.node_name(pod) and not objects.is_deleting(pod)]
    return steps


def _manage_node(view: View, node: Object, steps: Steps) -> None:
    name, verdict = objects.name(node), placement.verdict(view.daemon_set, node)
    present = view.pods.get(name) or ()
    if not verdict.may_stay:
        steps.delete += [pod for pod in present if not objects.is_deleting(pod)]
        return
    if verdict.should_run and not present:
        steps.create.append(name)
        return
    staying = [pod for pod in present if not objects.is_deleting(pod)]
    steps.failed += [pod for pod in staying if pods.phase(pod) == pods.FAILED]
    steps.delete += [pod for pod in staying if pods.phase(pod) == pods.SUCCEEDED]
    running = _in_order(pod for pod in staying if not pods.is_terminal(pod))
    if not allows_surge(view.daemon_set):
        steps.delete += running[1:]
    elif not running:
        if verdict.should_run and not any(pods.phase(pod) == pods.FAILED for pod in staying):
            steps.create.append(name)
    else:
        steps.delete += _superseded(view, running)


def _superseded(view: View, running: Sequence[Object]) -> list[Object]:
    """With surge a node may have two: the oldest old pod, until the oldest new one can take over."""
    new = [pod for pod in running if view.is_updated(pod)]
    old = [pod for pod in running if not view.is_updated(pod)]
    gone = new[1:] + old[1:]
    if new and old and (not pods.is_ready(old[0]) or view.is_available(new[0])):
        gone.append(old[0])
    return gone


# updating


class _Pair(NamedTuple):
    node: str
    new: Object | None
    old: Object | None


def update(view: View) -> Steps:
    """One step of a rolling update."""
    desired = sum(placement.verdict(view.daemon_set, node).should_run for node in view.nodes)
    surge, unavailable = allowance(view.daemon_set, desired)
    pairs, crowded = _pairs(view)
    if surge:
        return _update_with_surge(view, pairs, surge - crowded, desired)
    return _update_in_place(view, pairs, unavailable - crowded)


def _pairs(view: View) -> tuple[list[_Pair], int]:
    """Each node's new and old pod, and the number of nodes with more than one of a kind."""
    nodes = {objects.name(node) for node in view.nodes if placement.verdict(view.daemon_set, node).should_run}
    pairs, crowded = [], 0
    for name in sorted(nodes | set(view.pods)):
        staying = [pod for pod in view.pods.get(name) or () if not objects.is_deleting(pod)]
        new = [pod for pod in staying if view.is_updated(pod)]
        old = [pod for pod in staying if not view.is_updated(pod)]
        if len(new) > 1 or len(old) > 1:
            crowded += 1
        else:
            pairs.append(_Pair(name, new[0] if new else None, old[0] if old else None))
    return pairs, crowded


def _update_in_place(view: View, pairs: Sequence[_Pair], budget: int) -> Steps:
    """Delete old pods; `manage` makes the new ones. An old pod that is not available costs nothing."""
    broken: list[Object] = []
    candidates: list[Object] = []
    for pair in pairs:
        if pair.old is None or pair.new is not None:
            if pair.new is None or pair.old is not None or not view.is_available(pair.new):
                budget -= 1
        elif view.is_available(pair.old):
            candidates.append(pair.old)
        else:
            broken.append(pair.old)
            budget -= 1
    return Steps(delete=broken + candidates[: max(0, budget)])


def _update_with_surge(view: View, pairs: Sequence[_Pair], room: int, desired: int) -> Steps:
    """Make new pods beside old ones; an old one goes when its successor is available."""
    admitted = {objects.name(node) for node in view.nodes if placement.verdict(view.daemon_set, node).should_run}
    steps = Steps()
    candidates: list[str] = []
    leaving: list[Object] = []
    available = 0
    for node, new, old in pairs:
        counted = old or new
        available += counted is not None and view.is_available(counted)
        if old is None:
            continue
        if new is not None:
            if view.is_available(new):
                steps.delete.append(old)
            else:
                room -= 1
        elif node not in admitted:
            (leaving if view.is_available(old) else steps.delete).append(old)
        elif view.is_available(old):
            candidates.append(node)
        else:
            steps.create.append(node)
    steps.create += candidates[: max(0, room)]
    steps.delete += leaving[: max(0, available - desired)]
    return steps


# status


def status_of(view: View, collisions: int) -> Object:
    counts = dict.fromkeys(("desired", "current", "wrong", "ready", "updated", "available"), 0)
    for node in view.nodes:
        present = _in_order(view.pods.get(objects.name(node)) or ())
        if not placement.verdict(view.daemon_set, node).should_run:
            counts["wrong"] += bool(present)
            continue
        counts["desired"] += 1
        if present:
            first = present[0]
            counts["current"] += 1
            counts["ready"] += pods.is_ready(first)
            counts["available"] += view.is_available(first)
            counts["updated"] += view.is_updated(first)
    status: Object = {
        "currentNumberScheduled": counts["current"],
        "numberMisscheduled": counts["wrong"],
        "desiredNumberScheduled": counts["desired"],
        "numberReady": counts["ready"],
    }
    optional = {
        "observedGeneration": objects.metadata(view.daemon_set).get("generation") or 0,
        "updatedNumberScheduled": counts["updated"],
        "numberAvailable": counts["available"],
        "numberUnavailable": counts["desired"] - counts["available"],
        "collisionCount": collisions,
    }
    return status | {key: value for key, value in optional.items() if value}
