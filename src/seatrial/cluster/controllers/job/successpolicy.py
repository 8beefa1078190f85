"""Job spec.successPolicy: which finished indexes are enough. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers.job import indexes

if TYPE_CHECKING:
    from seatrial.cluster.controllers.job.indexes import IndexSet
    from seatrial.kube.model.objects import Object


def met(job: Object, completed: IndexSet) -> str:
    """Which rule the finished indexes satisfy, in words; "" if none."""
    if not completed:
        return ""
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or []):
        if _is_met(rule, job["spec"]["completions"], completed):
            return f"Matched rules at index {number}"
    return ""


def _is_met(rule: dict[str, Any], completions: int, completed: IndexSet) -> bool:
    count = rule.get("succeededCount")
    if rule.get("succeededIndexes") is None:
        return count is not None and len(completed) >= count
    wanted = indexes.parse(rule["succeededIndexes"], completions)
    if not wanted:
        return False
    have = len(wanted & completed)
    return have == len(wanted) or (count is not None and have >= count)
