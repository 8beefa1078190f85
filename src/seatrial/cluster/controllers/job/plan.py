"""Which pods a Job that goes on makes and deletes now. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.cluster.controllers import pods as podfacts
from seatrial.cluster.controllers.job import backoff, indexes, spec
from seatrial.cluster.controllers.job.survey import ignored_index_failures, index_failures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.controllers.job.backoff import Record
    from seatrial.cluster.controllers.job.indexes import IndexSet
    from seatrial.cluster.controllers.job.survey import Survey
    from seatrial.kube.model.objects import Object

MOST_AT_ONCE = 500
"""Pods made or deleted in one pass."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Never both: deleting comes first, and the next pass sees what is missing then."""

    create: Sequence[int | None] = ()
    """One entry per pod: its index, or None in a Job without."""
    delete: Sequence[Object] = field(default_factory=list)
    wait: float | None = None
    """Seconds until another pod may be made."""


NOTHING = Plan()


def plan(view: Survey, record: Record, now: float) -> Plan:
    wanted = wanted_active(view)
    surplus = _surplus(view, max(0, len(view.active) - wanted))
    if surplus:
        return Plan(delete=surplus if spec.is_suspended(view.job) else surplus[:MOST_AT_ONCE])
    leaving = len(view.terminating) if spec.replaces_only_failed(view.job) else 0
    missing = min(wanted - leaving - len(view.active), MOST_AT_ONCE)
    return _creation(view, record, missing, now) if missing > 0 else NOTHING


def wanted_active(view: Survey) -> int:
    """How many pods should be at work."""
    job = view.job
    if spec.is_suspended(job):
        return 0
    completions = spec.completions(job)
    if completions is None:
        return len(view.active) if view.succeeded else spec.parallelism(job)
    return max(0, min(spec.parallelism(job), completions - view.succeeded))


def _creation(view: Survey, record: Record, count: int, now: float) -> Plan:
    if spec.backoff_limit_per_index(view.job) is not None:
        return _by_index(view, count, now)
    wait = backoff.remaining(record, now)
    if wait > 0:
        return Plan(wait=wait)
    return Plan(create=_pending(view, count) if spec.is_indexed(view.job) else [None] * count)


def _by_index(view: Survey, count: int, now: float) -> Plan:
    """Each index waits for its own failures only."""
    waits = {index: _index_wait(view.predecessors.get(index), now) for index in _pending(view, count)}
    later = [wait for wait in waits.values() if wait > 0]
    return Plan(create=[index for index, wait in waits.items() if wait <= 0], wait=min(later, default=None))


def _index_wait(predecessor: Object | None, now: float) -> float:
    if predecessor is None:
        return 0.0
    failures = index_failures(predecessor) + ignored_index_failures(predecessor) + 1
    return backoff.remaining(backoff.Record(failures, backoff.finished_at(predecessor)), now)


def _pending(view: Survey, count: int) -> list[int]:
    """The lowest indexes nobody works at, has done or has given up."""
    taken = view.completed | _indexes(view.active)
    if spec.replaces_only_failed(view.job):
        taken |= _indexes(view.terminating)
    if view.failed_indexes is not None:
        taken |= view.failed_indexes
    return taken.absent(count, spec.completions(view.job) or 0)


def _indexes(pods: Iterable[Object]) -> IndexSet:
    return indexes.of(index for pod in pods if (index := spec.index_of(pod)) is not None)


def _surplus(view: Survey, count: int) -> list[Object]:
    """At least `count` active pods, and every one whose index is wrong or taken twice."""
    left = podfacts.deletion_order(view.active)
    wrong = _wrong(left, spec.completions(view.job) or 0) if spec.is_indexed(view.job) else []
    if not wrong:
        return left[:count]
    uids = {id(pod) for pod in wrong}
    return wrong + [pod for pod in left if id(pod) not in uids][: max(0, count - len(wrong))]


def _wrong(ordered: Sequence[Object], completions: int) -> list[Object]:
    """Of several pods of one index the last in the order of deletion stays."""
    seen: set[int] = set()
    found = []
    for pod in reversed(ordered):
        index = spec.index_of(pod)
        if index is None or index >= completions or index in seen:
            found.append(pod)
        else:
            seen.add(index)
    return found
