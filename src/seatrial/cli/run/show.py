"""How runs look: symbols, ages, the fields of --json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.cli.run.store import JOBS_PER_RUN
from seatrial.kube.model import objects
from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.pipeline.api.run import PipelineRun

FIELDS = (
    "attempt", "conclusion", "createdAt", "databaseId", "displayTitle", "event", "headBranch", "headSha", "name",
    "number", "startedAt", "status", "updatedAt", "url", "workflowDatabaseId", "workflowName",
)  # fmt: skip
VIEW_FIELDS = (*FIELDS, "jobs")
FAILURES = frozenset({names.FAILURE, names.STARTUP_FAILURE, names.TIMED_OUT})
"""What --exit-status and the log of failed steps call failed."""
_SYMBOLS = {names.SUCCESS: "✓", names.SKIPPED: "-", names.CANCELLED: "X"}
_UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


def symbol(status: str, conclusion: str) -> str:
    if status != names.COMPLETED:
        return "*"
    return _SYMBOLS.get(conclusion, "X")


def title(run: PipelineRun) -> str:
    return str(run.spec.get("title") or run.workflow_name)


def created(run: PipelineRun) -> str:
    return str(objects.metadata(run.object).get("creationTimestamp") or "")


def started(run: PipelineRun) -> str:
    return "" if run.is_stale else str(run.recorded.get("startedAt") or "")


def updated(run: PipelineRun) -> str:
    if run.is_stale:
        return created(run)
    return str(run.recorded.get("completedAt") or run.recorded.get("startedAt") or created(run))


def elapsed(start: str, end: str, now: float) -> str:
    """`1h2m3s`, as Go writes it."""
    if not start:
        return "0s"
    seconds = max(0, int((parse_time(end) if end else now) - parse_time(start)))
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds % 60}s"


def run_elapsed(run: PipelineRun, now: float) -> str:
    return elapsed(started(run), "" if run.is_stale else str(run.recorded.get("completedAt") or ""), now)


def age(then: str, now: float) -> str:
    seconds = int(now - parse_time(then)) if then else 0
    for size, unit in _UNITS:
        if (count := seconds // size) >= 1:
            return f"about {count} {unit}{'s' if count > 1 else ''} ago"
    return "less than a minute ago"


def job_id(run: PipelineRun, job: dict[str, Any]) -> int:
    return run.id * JOBS_PER_RUN + int(job.get("id") or 0)


def to_json(run: PipelineRun, fields: Sequence[str]) -> dict[str, Any]:
    url = "" if run.is_stale else str(run.recorded.get("logURL") or "")
    known: dict[str, Any] = {
        "attempt": run.attempt,
        "conclusion": run.conclusion,
        "createdAt": created(run),
        "databaseId": run.id,
        "displayTitle": title(run),
        "event": run.event,
        "headBranch": run.branch,
        "headSha": run.commit,
        "name": run.workflow_name,
        "number": int(run.spec.get("number") or 0),
        "startedAt": started(run) or created(run),
        "status": run.status,
        "updatedAt": updated(run),
        "url": url,
        "workflowDatabaseId": f"{run.repository}/{run.workflow}",
        "workflowName": run.workflow_name,
        "jobs": [_job_json(run, job, url) for job in run.jobs],
    }
    return {field: known[field] for field in fields}


def _job_json(run: PipelineRun, job: dict[str, Any], url: str) -> dict[str, Any]:
    steps = [{"name": step["name"], "number": step.get("number", 0), **_timed(step)} for step in job.get("steps") or ()]
    return {"databaseId": job_id(run, job), "name": job["name"], **_timed(job), "steps": steps, "url": url}


def _timed(item: dict[str, Any]) -> dict[str, str]:
    keys = ("status", "conclusion", "startedAt", "completedAt")
    return {key: str(item.get(key) or "") for key in keys}


def summary(run: PipelineRun, now: float, *, verbose: bool = False) -> list[str]:
    """The run's header, its jobs and annotations."""
    lines = [
        f"{symbol(run.status, run.conclusion)} {run.branch} {run.workflow_name} · {run.id}"
        + (f" (Attempt #{run.attempt})" if run.attempt > 1 else ""),
        f"Triggered via {run.event} {age(created(run), now)}",
        "",
    ]
    decision = run.spec.get("decision") or {}
    if verbose and decision:
        lines += [f"Decision: {decision.get('kind')}: {decision.get('reason')}", ""]
    if run.conclusion and not run.is_stale and run.recorded.get("message"):
        lines += [f"{run.recorded.get('reason')}: {run.recorded['message']}", ""]
    if run.jobs:
        lines += ["JOBS", *(line for job in run.jobs for line in job_lines(run, job, now, verbose=verbose))]
    return lines + _annotations(run) + _artifacts(run)


def job_lines(run: PipelineRun, job: dict[str, Any], now: float, *, verbose: bool) -> list[str]:
    status, conclusion = str(job.get("status") or ""), str(job.get("conclusion") or "")
    took = elapsed(str(job.get("startedAt") or ""), str(job.get("completedAt") or ""), now)
    timed = f" in {took}" if status == names.COMPLETED and job.get("startedAt") else ""
    lines = [f"{symbol(status, conclusion)} {job['name']}{timed} (ID {job_id(run, job)})"]
    if verbose or conclusion in FAILURES or status == names.IN_PROGRESS:
        for step in job.get("steps") or ():
            mark = symbol(str(step.get("status") or ""), str(step.get("conclusion") or ""))
            lines.append(f"  {mark} {step['name']}")
    return lines


def _annotations(run: PipelineRun) -> list[str]:
    found = [] if run.is_stale else run.recorded.get("annotations") or []
    if not found:
        return []
    lines = ["", "ANNOTATIONS"]
    for item in found:
        mark = {"failure": "X", "warning": "!"}.get(str(item.get("level")), "-")
        place = f"{item.get('path') or '.github'}#L{item.get('line') or 1}"
        lines += [f"{mark} {item.get('message')}", f"{item.get('job') or run.workflow_name}: {place}", ""]
    return lines[:-1]


def _artifacts(run: PipelineRun) -> list[str]:
    found = [] if run.is_stale else run.recorded.get("artifacts") or []
    return ["", "ARTIFACTS", *(str(item["name"]) for item in found)] if found else []
