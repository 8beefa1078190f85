"""Whether a Job is over, and why. Pure.

The verdict is written as an interim condition (`FailureTarget`, `SuccessCriteriaMet`) before anything is done about
it, and holds from then on; `Failed` or `Complete` follows when the last pod has ended and is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.clock import parse_time
from seatrial.cluster.controllers import pods as podfacts
from seatrial.cluster.controllers.job import failurepolicy, spec, successpolicy
from seatrial.cluster.controllers.job.survey import is_failed
from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.cluster.controllers.job.survey import Survey
    from seatrial.kube.model.objects import Object

MET, TARGET = "SuccessCriteriaMet", "FailureTarget"
COMPLETE, FAILED = "Complete", "Failed"


class Ending(NamedTuple):
    interim: str
    reason: str
    message: str

    @property
    def is_success(self) -> bool:
        return self.interim == MET

    @property
    def final(self) -> str:
        return COMPLETE if self.is_success else FAILED


COMPLETIONS = Ending(MET, "CompletionsReached", "Reached expected number of succeeded pods")
BACKOFF = Ending(TARGET, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
DEADLINE = Ending(TARGET, "DeadlineExceeded", "Job was active longer than specified deadline")
TOO_MANY_INDEXES = Ending(
    TARGET, "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
)
INDEXES = Ending(TARGET, "FailedIndexes", "Job has failed indexes")


def decide(view: Survey, now: float) -> Ending | None:
    """The verdict that stands already, else failure before success."""
    return _standing(view.job) or _failure(view, now) or _success(view)


def completion(view: Survey, active: int) -> Ending | None:
    """The plain success: enough pods succeeded, none is at work any more."""
    wanted = spec.completions(view.job)
    enough = view.succeeded > 0 if wanted is None else view.succeeded >= wanted
    return COMPLETIONS if enough and active == 0 else None


def deadline_in(job: Object, now: float) -> float | None:
    """Seconds until activeDeadlineSeconds are over; None if no clock runs."""
    seconds = job["spec"].get("activeDeadlineSeconds")
    started = (job.get("status") or {}).get("startTime")
    if seconds is None or started is None or spec.is_suspended(job):
        return None
    return parse_time(started) + float(seconds) - now


def expires_in(job: Object, now: float) -> float | None:
    """Seconds until a finished Job is to be deleted; None: it stays."""
    seconds, condition = job["spec"].get("ttlSecondsAfterFinished"), spec.finished(job)
    if seconds is None or condition is None or not condition.get("lastTransitionTime"):
        return None
    return parse_time(condition["lastTransitionTime"]) + float(seconds) - now


def _standing(job: Object) -> Ending | None:
    for interim in (MET, TARGET):
        found = conditions.get(job, interim)
        if found is not None and found.get("status") == "True":
            return Ending(interim, found.get("reason") or "", found.get("message") or "")
    return None


def _failure(view: Survey, now: float) -> Ending | None:
    job = view.job
    for pod in view.pods:
        if is_failed(job, pod):
            verdict = failurepolicy.judge(job, pod)
            if verdict.action == failurepolicy.FAIL_JOB:
                return Ending(TARGET, "PodFailurePolicy", verdict.message)
    if view.failed > spec.backoff_limit(job) or _restarted_too_often(job, view.pods):
        return BACKOFF
    left = deadline_in(job, now)
    if left is not None and left <= 0:
        return DEADLINE
    return _index_failure(view)


def _restarted_too_often(job: Object, pods: Iterable[Object]) -> bool:
    """With restartPolicy OnFailure the failures are restarts of containers inside pods that live on."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(_restarts(pod) for pod in pods if podfacts.phase(pod) in ("Running", "Pending"))
    return restarts >= max(1, spec.backoff_limit(job))


def _restarts(pod: Object) -> int:
    status = pod.get("status") or {}
    found = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return sum(each.get("restartCount") or 0 for each in found)


def _index_failure(view: Survey) -> Ending | None:
    if not view.failed_indexes:
        return None
    most = view.job["spec"].get("maxFailedIndexes")
    if most is not None and len(view.failed_indexes) > most:
        return TOO_MANY_INDEXES
    if len(view.failed_indexes) + len(view.completed) >= (spec.completions(view.job) or 0):
        return INDEXES
    return None


def _success(view: Survey) -> Ending | None:
    message = successpolicy.met(view.job, view.completed)
    return Ending(MET, "SuccessPolicy", message) if message else None
