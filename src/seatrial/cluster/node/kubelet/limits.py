"""A container's resources as its control group counts them (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.node.runtime.types import Limits
from seatrial.kube.model import quantity

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_SHARES_PER_CPU = 1024
_LEAST_SHARES = 2
_PERIOD = 100_000
_LEAST_QUOTA = 1000
_GUARANTEED, _BEST_EFFORT = -997, 1000


def limits(pod: Object, container: Object, node_memory: int) -> Limits:
    """`node_memory` in bytes."""
    resources = container.get("resources") or {}
    requests, limited = resources.get("requests") or {}, resources.get("limits") or {}
    asked = requests.get("cpu", limited.get("cpu"))
    shares = quantity.milli(asked) * _SHARES_PER_CPU // 1000 if asked is not None else 0
    quota = quantity.milli(limited["cpu"]) * _PERIOD // 1000 if "cpu" in limited else 0
    memory = quantity.value(limited["memory"]) if "memory" in limited else 0
    return Limits(
        cpu_shares=max(_LEAST_SHARES, shares),
        cpu_quota_microseconds=max(_LEAST_QUOTA, quota) if quota else None,
        memory_bytes=memory or None,
        oom_score_adj=_oom_score(pod, quantity.value(requests.get("memory", 0)), node_memory),
    )


def _oom_score(pod: Object, requested: int, node_memory: int) -> int:
    """Who goes first when the machine's memory is used up: those who use more than they asked for."""
    quality = (pod.get("status") or {}).get("qosClass", "BestEffort")
    if quality == "Guaranteed":
        return _GUARANTEED
    if quality == "BestEffort":
        return _BEST_EFFORT
    score = 1000 - 1000 * requested // max(1, node_memory)
    return min(999, max(3, score))
