"""Counting finished pods exactly once, also when this process dies in between. Pure.

Three steps: the status lists the uids of ended pods (`listed`), then the pods lose their finalizer, then the listed
ones that have lost it become numbers (`counted`). Whatever the last step was, the next pass goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.controllers import pods as podfacts
from seatrial.cluster.controllers.job import failurepolicy, indexes, spec
from seatrial.cluster.controllers.job.survey import is_failed
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from seatrial.cluster.controllers.job.ending import Ending
    from seatrial.cluster.controllers.job.survey import Survey
    from seatrial.kube.model.objects import Object

MOST_LISTED = 500
"""Uids in a status: about 20 KB. What does not fit waits for the next pass."""


class Step(NamedTuple):
    status: Object
    release: Sequence[Object]
    """Pods to take the finalizer from, once the status is written."""
    is_full: bool
    """There was no room for all of them."""


def listed(view: Survey, status: Object, ending: Ending | None) -> Step:
    """`status` with the ended pods in its lists (indexes: among the completed ones)."""
    tracked = [pod for pod in view.pods if spec.is_tracked(pod)]
    status = counted(status, {objects.uid(pod) for pod in tracked})
    lists = {key: list(status["uncountedTerminatedPods"].get(key) or []) for key in ("succeeded", "failed")}
    completed: set[int] = set()
    release: list[Object] = []
    kept = {objects.uid(pod) for pod in view.predecessors.values()}
    for pod in tracked:
        if len(completed) + sum(map(len, lists.values())) >= MOST_LISTED:
            break
        if _may_go(view, pod, ending, kept):
            release.append(pod)
            _list(view, pod, ending, lists, completed)
    status["uncountedTerminatedPods"] = {key: uids for key, uids in lists.items() if uids}
    if spec.is_indexed(view.job):
        _with_indexes(status, view, completed)
    is_full = len(completed) + sum(map(len, lists.values())) >= MOST_LISTED
    return Step(status, release, is_full)


def counted(status: Object, tracked: Container[str]) -> Object:
    """A copy in which the listed pods that are no longer tracked have become numbers."""
    status = {**status, "uncountedTerminatedPods": dict(status.get("uncountedTerminatedPods") or {})}
    lists: dict[str, list[str]] = status["uncountedTerminatedPods"]
    for key in ("succeeded", "failed"):
        before = lists.pop(key, None) or []
        kept = [uid for uid in before if uid in tracked]
        if kept:
            lists[key] = kept
        if len(kept) < len(before):
            status[key] = (status.get(key) or 0) + len(before) - len(kept)
    return status


def _may_go(view: Survey, pod: Object, ending: Ending | None, kept: Container[str]) -> bool:
    """Ended pods, all pods of a Job that is over; not one whose failures a successor is yet to inherit."""
    if ending is not None or objects.is_deleting(view.job) or podfacts.phase(pod) == podfacts.SUCCEEDED:
        return True
    return is_failed(view.job, pod) and objects.uid(pod) not in kept


def _list(view: Survey, pod: Object, ending: Ending | None, lists: dict[str, list[str]], completed: set[int]) -> None:
    job, uid = view.job, objects.uid(pod)
    index = spec.index_of(pod)
    has_place = not spec.is_indexed(job) or (index is not None and index < (spec.completions(job) or 0))
    if not has_place or uid in lists["failed"] or uid in lists["succeeded"]:
        return
    if podfacts.phase(pod) == podfacts.SUCCEEDED:
        if not spec.is_indexed(job):
            lists["succeeded"].append(uid)
        elif index is not None and index not in view.counted:
            completed.add(index)
    elif (is_failed(job, pod) or _is_cut_short(ending)) and failurepolicy.judge(job, pod).counts:
        lists["failed"].append(uid)


def _is_cut_short(ending: Ending | None) -> bool:
    """What still runs when a Job fails has failed with it."""
    return ending is not None and not ending.is_success


def _with_indexes(status: Object, view: Survey, completed: set[int]) -> None:
    total = view.counted | indexes.of(completed)
    status["succeeded"] = len(total)
    status["completedIndexes"] = str(total)
    if view.failed_indexes is not None:
        status["failedIndexes"] = str(view.failed_indexes)
