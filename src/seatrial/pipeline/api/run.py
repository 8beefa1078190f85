"""A PipelineRun to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects
from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


@dataclass(frozen=True, slots=True)
class PipelineRun:
    object: Object

    @property
    def name(self) -> str:
        return objects.name(self.object)

    @property
    def namespace(self) -> str:
        return objects.namespace(self.object)

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.object.get("spec") or {}
        return found

    @property
    def recorded(self) -> dict[str, Any]:
        """`.status`, of whichever attempt."""
        found: dict[str, Any] = self.object.get("status") or {}
        return found

    @property
    def id(self) -> int:
        return int(self.spec.get("id") or 0)

    @property
    def repository(self) -> str:
        return str(self.spec.get("repository") or "")

    @property
    def workflow(self) -> str:
        return str(self.spec.get("workflow") or "")

    @property
    def workflow_name(self) -> str:
        return str(self.spec.get("workflowName") or self.workflow)

    @property
    def ref(self) -> str:
        return str(self.spec.get("ref") or "")

    @property
    def branch(self) -> str:
        return str(self.spec.get("branch") or "")

    @property
    def commit(self) -> str:
        return str(self.spec.get("commit") or "")

    @property
    def event(self) -> str:
        return str(self.spec.get("event") or "push")

    @property
    def attempt(self) -> int:
        return int(self.spec.get("attempt") or 1)

    @property
    def cancel_asked(self) -> bool:
        """For the attempt that is now."""
        return int(self.spec.get("cancel") or 0) >= self.attempt

    @property
    def is_stale(self) -> bool:
        """A rerun was asked for: the status is of an earlier attempt."""
        return int(self.recorded.get("attempt") or 0) < self.attempt

    @property
    def status(self) -> str:
        """queued, in_progress or completed, of the present attempt."""
        return names.QUEUED if self.is_stale else str(self.recorded.get("status") or names.QUEUED)

    @property
    def conclusion(self) -> str:
        return "" if self.is_stale else str(self.recorded.get("conclusion") or "")

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return [] if self.is_stale else self.recorded.get("jobs") or []

    @property
    def group(self) -> str:
        """Of its concurrency: one runs at a time. "": any number."""
        found = (self.spec.get("concurrency") or {}).get("group") or ""
        return f"{self.repository}/{found}" if found else ""

    @property
    def cancels_others(self) -> bool:
        return bool((self.spec.get("concurrency") or {}).get("cancelInProgress"))


def branch_of(ref: str) -> str:
    """The short name of a branch or tag."""
    for prefix in ("refs/heads/", "refs/tags/"):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix)
    return ref
