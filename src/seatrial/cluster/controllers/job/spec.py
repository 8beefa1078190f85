"""What a Job asks for and where it stands, read from the object. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from seatrial.kube.model.conditions import Condition
    from seatrial.kube.model.objects import Object

FINALIZER = "batch.kubernetes.io/job-tracking"
"""On every pod until its end is in the Job's counters."""
INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"
_OURSELVES = "kubernetes.io/job-controller"


def completions(job: Object) -> int | None:
    """How many pods must succeed; None: one success ends it, the others may finish."""
    found: int | None = job["spec"].get("completions")
    return found


def parallelism(job: Object) -> int:
    found: int = job["spec"].get("parallelism", 1)
    return found


def backoff_limit(job: Object) -> int:
    found: int = job["spec"].get("backoffLimit", 6)
    return found


def backoff_limit_per_index(job: Object) -> int | None:
    found: int | None = job["spec"].get("backoffLimitPerIndex")
    return found


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def is_suspended(job: Object) -> bool:
    return bool(job["spec"].get("suspend"))


def is_foreign(job: Object) -> bool:
    """Somebody else's controller looks after it."""
    return (job["spec"].get("managedBy") or _OURSELVES) != _OURSELVES


def replaces_only_failed(job: Object) -> bool:
    """Whether a pod on its way out still counts until it has ended."""
    return bool(job["spec"].get("podReplacementPolicy") == "Failed")


def finished(job: Object) -> Condition | None:
    """The condition Complete or Failed, once it holds."""
    for kind in ("Complete", "Failed"):
        if conditions.is_true(job, kind):
            return conditions.get(job, kind)
    return None


def is_tracked(pod: Object) -> bool:
    """Not yet in the counters."""
    return FINALIZER in objects.finalizers(pod)


def index_of(pod: Object) -> int | None:
    text = objects.annotations(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else None
