"""How a Job stands: its pods sorted by what they mean for it, and the counts that follow from them. Pure.

A pod that has ended counts once: first by its finalizer (`is_tracked`), then by its uid in the status
(`uncountedTerminatedPods`), at last in a counter. `accounting` moves it along; here the three are added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.cluster.controllers import pods as podfacts
from seatrial.cluster.controllers.job import failurepolicy, indexes, spec
from seatrial.cluster.controllers.job.backoff import finished_at
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.controllers.job.indexes import IndexSet
    from seatrial.kube.model.objects import Object

INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"


@dataclass(frozen=True, slots=True)
class Survey:
    job: Object
    pods: Sequence[Object]
    active: Sequence[Object]
    terminating: Sequence[Object]
    new_succeeded: Sequence[Object]
    """Ended, and in no list and no counter of the status yet."""
    new_failed: Sequence[Object]
    succeeded: int
    failed: int
    """Those that podFailurePolicy ignores left out."""
    counted: IndexSet
    """The indexes that the status says are complete."""
    completed: IndexSet
    """Those and the ones that have become so."""
    failed_indexes: IndexSet | None
    """None without backoffLimitPerIndex."""
    predecessors: dict[int, Object]
    """Per index that waits for a new pod the failed one, which keeps the count of failures until then."""


def survey(job: Object, pods: Sequence[Object]) -> Survey:
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    fresh = [pod for pod in pods if spec.is_tracked(pod) and _has_place(job, pod)]
    new_succeeded = _unlisted([pod for pod in fresh if podfacts.phase(pod) == podfacts.SUCCEEDED], uncounted)
    failed = [pod for pod in fresh if is_failed(job, pod)]
    new_failed = _unlisted(failed, uncounted)
    active = [pod for pod in pods if podfacts.is_active(pod)]
    counted = indexes.parse(status.get("completedIndexes") or "", spec.completions(job) or 0)
    completed = counted | indexes.of(sorted(_indexes(new_succeeded))) if spec.is_indexed(job) else indexes.EMPTY
    failed_indexes = _failed_indexes(job, failed)
    listed = len(uncounted.get("succeeded") or [])
    return Survey(
        job=job,
        pods=pods,
        active=active,
        terminating=[pod for pod in pods if podfacts.is_terminating(pod)],
        new_succeeded=new_succeeded,
        new_failed=new_failed,
        succeeded=len(completed)
        if spec.is_indexed(job)
        else (status.get("succeeded") or 0) + listed + len(new_succeeded),
        failed=(status.get("failed") or 0)
        + len(uncounted.get("failed") or [])
        + sum(failurepolicy.judge(job, pod).counts for pod in new_failed),
        counted=counted,
        completed=completed,
        failed_indexes=failed_indexes,
        predecessors={}
        if failed_indexes is None
        else _predecessors(failed, completed | failed_indexes | indexes.of(_indexes(active))),
    )


def is_failed(job: Object, pod: Object) -> bool:
    """A pod being deleted counts as failed at once, unless only ended ones are to be replaced."""
    phase = podfacts.phase(pod)
    if phase == podfacts.FAILED:
        return True
    return not spec.replaces_only_failed(job) and objects.is_deleting(pod) and phase != podfacts.SUCCEEDED


def index_failures(pod: Object) -> int:
    """How often the pods before this one failed at its index."""
    return _count(pod, INDEX_FAILURES)


def ignored_index_failures(pod: Object) -> int:
    return _count(pod, INDEX_IGNORED)


def _count(pod: Object, annotation: str) -> int:
    text = objects.annotations(pod).get(annotation, "")
    return int(text) if text.isdecimal() else 0


def _has_place(job: Object, pod: Object) -> bool:
    """A pod of an indexed Job whose index is missing or too high means nothing."""
    if not spec.is_indexed(job):
        return True
    index = spec.index_of(pod)
    return index is not None and index < (spec.completions(job) or 0)


def _unlisted(pods: Iterable[Object], uncounted: dict[str, list[str]]) -> list[Object]:
    listed = {*(uncounted.get("succeeded") or []), *(uncounted.get("failed") or [])}
    return [pod for pod in pods if objects.uid(pod) not in listed]


def _indexes(pods: Iterable[Object]) -> set[int]:
    return {index for pod in pods if (index := spec.index_of(pod)) is not None}


def _failed_indexes(job: Object, failed: Iterable[Object]) -> IndexSet | None:
    limit = spec.backoff_limit_per_index(job)
    if limit is None:
        return None
    before = (job.get("status") or {}).get("failedIndexes") or ""
    given_up = [pod for pod in failed if _gives_up(job, pod, limit)]
    return indexes.parse(before, spec.completions(job) or 0) | indexes.of(_indexes(given_up))


def _gives_up(job: Object, pod: Object, limit: int) -> bool:
    """Whether this failure is the last one its index is allowed."""
    verdict = failurepolicy.judge(job, pod)
    if verdict.action == failurepolicy.FAIL_INDEX:
        return True
    return verdict.counts and index_failures(pod) >= limit


def _predecessors(failed: Iterable[Object], settled: IndexSet) -> dict[int, Object]:
    """By index the pod that failed last."""
    found: dict[int, Object] = {}
    for pod in failed:
        index = spec.index_of(pod)
        if index is not None and index not in settled:
            before = found.get(index)
            if before is None or _order(pod) >= _order(before):
                found[index] = pod
    return found


def _order(pod: Object) -> tuple[int, float]:
    return index_failures(pod) + ignored_index_failures(pod), finished_at(pod)
