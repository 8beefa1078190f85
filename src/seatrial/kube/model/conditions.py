"""Conditions: the `{type, status, reason, message, lastTransitionTime}` list in a status.

Whoever writes a status builds its list here, so that a transition time moves only when the status does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.kube.model.objects import Object

Condition = dict[str, Any]


def get(source: Object | Sequence[Condition] | None, type: str) -> Condition | None:
    """The condition of that type in an object (its `status.conditions`) or in a list of conditions."""
    if isinstance(source, dict):
        source = (source.get("status") or {}).get("conditions")
    return next((condition for condition in source or () if condition.get("type") == type), None)


def is_true(source: Object | Sequence[Condition] | None, type: str) -> bool:
    condition = get(source, type)
    return condition is not None and condition.get("status") == "True"


def set_condition(
    conditions: list[Condition],
    type: str,
    status: str,
    reason: str,
    message: str,
    now: str,
    **extra: Any,
) -> bool:
    """Put the condition into the list, in its old place if it had one; True if that changed anything.

    An empty reason or message is left out, as Go's `omitempty` does. `lastTransitionTime` is kept while `status`
    stays. `extra` are further fields; those whose name ends in `Time` (lastUpdateTime, lastProbeTime) are written
    only along with another change.
    """
    old = get(conditions, type)
    new: Condition = {"type": type, "status": status, **_given(reason=reason, message=message), **extra}
    if old is not None and _same(old, new):
        return False
    same_status = old is not None and old.get("status") == status
    new["lastTransitionTime"] = (old or {}).get("lastTransitionTime") or now if same_status else now
    if old is None:
        conditions.append(new)
    else:
        kept = {key: value for key, value in old.items() if key not in ("reason", "message")}
        conditions[conditions.index(old)] = kept | new  # a new dict: the old one may be shared
    return True


def _given(**texts: str) -> dict[str, str]:
    return {key: text for key, text in texts.items() if text}


def _same(old: Condition, new: Condition) -> bool:
    compared = {*new, "reason", "message"}
    return all((old.get(key) or "") == (new.get(key) or "") for key in compared if not key.endswith("Time"))
