"""JSON merge patch (RFC 7386): objects merge, null deletes, everything else replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model.status import bad_request

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def apply(target: Object, patch: Object) -> Object:
    """`target` changed by `patch`, as a new dict that shares what did not change."""
    if not isinstance(patch, dict):
        raise bad_request("Invalid JSON Patch: a merge patch must be a JSON object")
    merged: Object = _merged(target, patch)
    return merged


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def diff(old: Object, new: Object) -> Object:
    """The smallest merge patch that makes `new` of `old` (neither may hold nulls: a patch cannot set one)."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif old[key] != value:
            both_objects = isinstance(value, dict) and isinstance(old[key], dict)
            patch[key] = diff(old[key], value) if both_objects else value
    return patch
