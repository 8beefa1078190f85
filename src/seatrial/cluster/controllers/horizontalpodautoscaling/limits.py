"""How far and how fast a replica count may move: stabilization windows, policies, minimum and maximum. Pure.

A `History` is what one HorizontalPodAutoscaler remembers of its own recommendations and changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

DOWN_STABILIZATION_SECONDS = 300.0
_LONGEST_WINDOW = 3600.0
"""The API allows no longer stabilization window, and no longer period of a policy (1800 s)."""
_UP_FACTOR, _UP_LEAST = 2.0, 4.0
"""Without a behavior: at most double, or up to four."""

_DOWN_STABILIZED = "recent recommendations were higher than current one, applying the highest recent recommendation"
_UP_STABILIZED = "recent recommendations were lower than current one, applying the lowest recent recommendation"
_UP_TOO_FAST = "the desired replica count is increasing faster than the maximum scale rate"
_DOWN_TOO_FAST = "the desired replica count is decreasing faster than the maximum scale rate"
_TOO_MANY = "the desired replica count is more than the maximum replica count"
_TOO_FEW = "the desired replica count is less than the minimum replica count"
_WITHIN = "the desired count is within the acceptable range"
_READY = "recommended size matches current size"


class Said(NamedTuple):
    """A condition's reason and message."""

    reason: str
    message: str


class Limited(NamedTuple):
    replicas: int
    able: Said
    """For AbleToScale."""
    limited: Said
    """For ScalingLimited."""
    is_limited: bool


class Bounds(NamedTuple):
    current: int
    least: int
    most: int


class _Moment(NamedTuple):
    time: float
    replicas: int


@dataclass(slots=True)
class History:
    recommendations: list[_Moment] = field(default_factory=list)
    ups: list[_Moment] = field(default_factory=list)
    downs: list[_Moment] = field(default_factory=list)

    def begin(self, replicas: int, now: float) -> None:
        """Before anything is known, what is there counts as recommended."""
        if not self.recommendations:
            self.recommendations.append(_Moment(now, replicas))

    def recommend(self, replicas: int, now: float) -> None:
        self.recommendations = [*_since(self.recommendations, now - _LONGEST_WINDOW), _Moment(now, replicas)]

    def scaled(self, before: int, after: int, now: float) -> None:
        if after > before:
            self.ups = [*_since(self.ups, now - _LONGEST_WINDOW), _Moment(now, after - before)]
        else:
            self.downs = [*_since(self.downs, now - _LONGEST_WINDOW), _Moment(now, before - after)]


def _since(moments: Iterable[_Moment], start: float) -> list[_Moment]:
    return [moment for moment in moments if moment.time > start]


def limit(wanted: int, bounds: Bounds, behavior: dict[str, Any] | None, history: History, now: float) -> Limited:
    """What of `wanted` may be done now; `wanted` is remembered as recommended."""
    if behavior is None:
        stable, able = _stabilize_down(wanted, history, now)
        replicas, said = _bounded(stable, bounds)
    else:
        stable, able = _stabilize(wanted, bounds.current, behavior, history, now)
        replicas, said = _paced(stable, bounds, behavior, history, now)
    history.recommend(wanted, now)
    return Limited(replicas, able, said, replicas != stable)


def _stabilize_down(wanted: int, history: History, now: float) -> tuple[int, Said]:
    recent = _since(history.recommendations, now - DOWN_STABILIZATION_SECONDS)
    stable = max([wanted, *(moment.replicas for moment in recent)])
    return stable, Said("ScaleDownStabilized", _DOWN_STABILIZED) if stable != wanted else _ready()


def _stabilize(wanted: int, current: int, behavior: dict[str, Any], history: History, now: float) -> tuple[int, Said]:
    up = _recent(history, (behavior.get("scaleUp") or {}).get("stabilizationWindowSeconds") or 0, now)
    window = (behavior.get("scaleDown") or {}).get("stabilizationWindowSeconds")
    down = _recent(history, DOWN_STABILIZATION_SECONDS if window is None else window, now)
    stable = min(max(current, min([wanted, *up])), max([wanted, *down]))
    if stable == wanted:
        return stable, _ready()
    if wanted >= current:
        return stable, Said("ScaleUpStabilized", _UP_STABILIZED)
    return stable, Said("ScaleDownStabilized", _DOWN_STABILIZED)


def _recent(history: History, window: float, now: float) -> list[int]:
    return [moment.replicas for moment in _since(history.recommendations, now - window)]


def _ready() -> Said:
    return Said("ReadyForNewScale", _READY)


def _bounded(wanted: int, bounds: Bounds) -> tuple[int, Said]:
    fastest = int(max(_UP_FACTOR * bounds.current, _UP_LEAST))
    if wanted < bounds.least:
        return bounds.least, Said("TooFewReplicas", _TOO_FEW)
    if wanted > min(fastest, bounds.most):
        if bounds.most > fastest:
            return fastest, Said("ScaleUpLimit", _UP_TOO_FAST)
        return bounds.most, Said("TooManyReplicas", _TOO_MANY)
    return wanted, Said("DesiredWithinRange", _WITHIN)


def _paced(wanted: int, bounds: Bounds, behavior: dict[str, Any], history: History, now: float) -> tuple[int, Said]:
    current = bounds.current
    if wanted > current:
        fastest = max(current, _furthest_up(current, behavior.get("scaleUp") or {}, history, now))
        if wanted > min(fastest, bounds.most):
            if bounds.most > fastest:
                return fastest, Said("ScaleUpLimit", _UP_TOO_FAST)
            return bounds.most, Said("TooManyReplicas", _TOO_MANY)
    elif wanted < current:
        fastest = min(current, _furthest_down(current, behavior.get("scaleDown") or {}, history, now))
        if wanted < max(fastest, bounds.least):
            if bounds.least < fastest:
                return fastest, Said("ScaleDownLimit", _DOWN_TOO_FAST)
            return bounds.least, Said("TooFewReplicas", _TOO_FEW)
    return wanted, Said("DesiredWithinRange", _WITHIN)


DEFAULT_UP = (
    {"type": "Pods", "value": 4, "periodSeconds": 15},
    {"type": "Percent", "value": 100, "periodSeconds": 15},
)
DEFAULT_DOWN = ({"type": "Percent", "value": 100, "periodSeconds": 15},)


def _furthest_up(current: int, rules: dict[str, Any], history: History, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    reached = [_up(policy, current, history, now) for policy in rules.get("policies") or DEFAULT_UP]
    return min(reached) if rules.get("selectPolicy") == "Min" else max(reached)


def _furthest_down(current: int, rules: dict[str, Any], history: History, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    reached = [_down(policy, current, history, now) for policy in rules.get("policies") or DEFAULT_DOWN]
    return max(reached) if rules.get("selectPolicy") == "Min" else min(reached)


def _up(policy: dict[str, Any], current: int, history: History, now: float) -> int:
    """A percentage is rounded up, or a small target would never grow."""
    start = _at_start(policy, current, history, now)
    if policy["type"] == "Pods":
        return start + int(policy["value"])
    return math.ceil(start * (1 + int(policy["value"]) / 100))


def _down(policy: dict[str, Any], current: int, history: History, now: float) -> int:
    start = _at_start(policy, current, history, now)
    if policy["type"] == "Pods":
        return start - int(policy["value"])
    return int(start * (1 - policy["value"] / 100))


def _at_start(policy: dict[str, Any], current: int, history: History, now: float) -> int:
    """How many replicas there were when the policy's period began."""
    start = now - policy["periodSeconds"]
    added = sum(moment.replicas for moment in _since(history.ups, start))
    removed = sum(moment.replicas for moment in _since(history.downs, start))
    return current - added + removed
