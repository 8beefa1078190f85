"""Client-side apply (`ServerSideApply=false`): a three-way patch from what was applied last, live, and wanted.

As with kubectl, what was applied last stands in an annotation, and a field dropped since then is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects
from seatrial.kube.model.patch import merge, strategic
from seatrial.kube.model.schema.builtin import type_for

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def with_last_applied(target: Object) -> Object:
    made = objects.clone(target)
    annotations = made.setdefault("metadata", {}).setdefault("annotations", {})
    annotations.pop(LAST_APPLIED, None)
    annotations[LAST_APPLIED] = orjson.dumps(made).decode() + "\n"
    return made


def patch(live: Object, target: Object) -> tuple[Object, PatchType]:
    """What makes `live` as `target` (with its annotation) wants it; empty if it is so. Others' fields stay."""
    before = _last_applied(live)
    type_ = type_for(target.get("apiVersion") or "", target.get("kind") or "")
    if type_ is None:
        wanted = merge.apply(merge.apply(live, _dropped(before, target)), target)
        return merge.diff(_bare(live), _bare(wanted)), PatchType.MERGE
    dropped = strategic.diff(before, _plain(target), type_) if before else {}
    wanted = strategic.apply(strategic.apply(live, dropped, type_), _plain(target), type_)
    return strategic.diff(_bare(live), _bare(wanted), type_), PatchType.STRATEGIC


def _last_applied(live: Object) -> Object:
    written = objects.annotations(live).get(LAST_APPLIED)
    try:
        found = orjson.loads(written) if written else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _dropped(before: Object, target: Object) -> Object:
    return _deletions(merge.diff(before, target)) if before else {}


def _deletions(patch: Object) -> Object:
    """Of a merge patch what it removes."""
    found: Object = {}
    for key, value in patch.items():
        inner = _deletions(value) if isinstance(value, dict) else None
        if value is None or inner:
            found[key] = inner
    return found


def _plain(target: Object) -> Object:
    """Without nulls: in a patch they would delete, in a manifest they say nothing."""
    return {
        key: _plain(value) if isinstance(value, dict) else value for key, value in target.items() if value is not None
    }


def _bare(obj: Object) -> Object:
    """Without what only the server writes."""
    metadata = {key: value for key, value in objects.metadata(obj).items() if key not in _SERVERS}
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


_SERVERS = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
