"""Health: one word of six and a message, and the order in which one is worse than another."""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"]

HEALTHY: Status = "Healthy"
SUSPENDED: Status = "Suspended"
PROGRESSING: Status = "Progressing"
MISSING: Status = "Missing"
DEGRADED: Status = "Degraded"
UNKNOWN: Status = "Unknown"

ORDER: tuple[Status, ...] = (HEALTHY, SUSPENDED, PROGRESSING, MISSING, DEGRADED, UNKNOWN)
"""From the best to the worst."""
_RANK = {status: rank for rank, status in enumerate(ORDER)}


class Health(NamedTuple):
    status: Status
    message: str = ""

    def to_json(self) -> dict[str, str]:
        return {"status": self.status, "message": self.message} if self.message else {"status": self.status}


def is_worse(status: Status, than: Status) -> bool:
    return _RANK[status] > _RANK[than]
