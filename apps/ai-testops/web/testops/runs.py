"""Runs: started, counted, cancelled. Executing them is the consumer's part."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, transaction
from django.db.models import Count
from django.utils import timezone

from config import metrics
from testops.errors import Refusal
from testops.models import QueuedCase, Result, Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.auth.models import User
    from django.db.models import Model

    from testops.models import Specification

BATCH = 5000
ATTEMPTS = 3


def start(specification: Specification, user: User, note: str = "") -> Run:
    """A run, and in the same transaction its queue: there is never one without the other."""
    with transaction.atomic():
        cases = list(specification.cases.filter(active=True).values_list("pk", flat=True))
        if not cases:
            raise Refusal("specification", "it has no active test case: generate some, or activate one")
        run = Run.objects.create(
            specification=specification,
            base_url=specification.project.base_url,
            total=len(cases),
            note=note,
            created_by=user,
        )
        QueuedCase.objects.bulk_create([QueuedCase(run=run, case_id=case) for case in cases], batch_size=BATCH)
    metrics.RUNS.inc()
    return run


def cancel(run: Run) -> None:
    """The consumers stop at the next case, and their relay clears the queue."""
    changed = Run.objects.filter(pk=run.pk, status=Run.Status.RUNNING).update(
        status=Run.Status.CANCELLED, finished_at=timezone.now()
    )
    run.refresh_from_db()
    if not changed:
        raise Refusal("status", f"the run is {run.status}: only a running one can be cancelled")


def count(runs: Iterable[Run]) -> None:
    """Give each run its `counts`: how many cases ended how, and how many wait."""
    runs = list(runs)
    ended: dict[int, dict[str, int]] = defaultdict(dict)
    rows = Result.objects.filter(run__in=runs).order_by().values_list("run", "outcome").annotate(Count("pk"))
    for run, outcome, number in rows:
        ended[run][outcome] = number
    for run in runs:
        run.counts = _counts(run, ended[run.pk])


def _counts(run: Run, ended: dict[str, int]) -> dict[str, int]:
    counts = {outcome: ended.get(outcome, 0) for outcome in Result.Outcome.values}
    done = sum(counts.values())
    running = run.status == Run.Status.RUNNING
    return {**counts, "done": done, "waiting": max(0, run.total - done) if running else 0}


def pass_rate(counts: dict[str, int]) -> float | None:
    """Percent of the cases that have a result."""
    return 100 * counts["passed"] / counts["done"] if counts["done"] else None


def delete(thing: Model, runs: Any) -> None:
    """Delete a project or specification with everything below it, also while consumers work on its runs.

    Without a running run and without queued cases no result can be stored any more that would be in the way.
    """
    runs.filter(status=Run.Status.RUNNING).update(status=Run.Status.CANCELLED, finished_at=timezone.now())
    for left in reversed(range(ATTEMPTS)):
        try:
            QueuedCase.objects.filter(run__in=runs).delete()
            break
        except OperationalError:  # a deadlock with the relay, which clears the same rows
            if not left:
                raise
    thing.delete()
