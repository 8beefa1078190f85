"""Hooks and waves as the annotations of a manifest say them, Argo CD's and Helm's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.api import names
from seatrial.gitops.sync.options import annotation_list
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

PRE_SYNC, SYNC, POST_SYNC, SYNC_FAIL = "PreSync", "Sync", "PostSync", "SyncFail"
PRE_DELETE, POST_DELETE = "PreDelete", "PostDelete"
PHASES = (PRE_SYNC, SYNC, POST_SYNC, SYNC_FAIL)
"""Of a sync, in their order."""
_ALL_PHASES = frozenset({*PHASES, PRE_DELETE, POST_DELETE})
_SKIP = "Skip"

BEFORE_CREATION, SUCCEEDED, FAILED = "BeforeHookCreation", "HookSucceeded", "HookFailed"
_POLICIES = frozenset({BEFORE_CREATION, SUCCEEDED, FAILED})

_HELM_PHASES = {
    "pre-install": PRE_SYNC,
    "pre-upgrade": PRE_SYNC,
    "post-install": POST_SYNC,
    "post-upgrade": POST_SYNC,
    "pre-delete": PRE_DELETE,
    "post-delete": POST_DELETE,
}
_HELM_POLICIES = {"before-hook-creation": BEFORE_CREATION, "hook-succeeded": SUCCEEDED, "hook-failed": FAILED}
_HELM_CRD = "crd-install"
"""How charts of Helm 2 mark definitions: no hook, though it stands in the hook annotation."""

STAMP = "seatrial.dev/operation"
"""On a hook object: which run of which operation made it. A resumed operation knows its hooks by it."""


def is_hook(obj: Object) -> bool:
    """Also of a hook type nobody knows: such an object is never applied."""
    annotations = objects.annotations(obj)
    if names.HOOK in annotations:
        return not skips(obj)
    return annotations.get(names.HELM_HOOK, _HELM_CRD) != _HELM_CRD


def skips(obj: Object) -> bool:
    """`Skip` alone: the object is not to be applied, compared or assessed."""
    return annotation_list(obj, names.HOOK) == [_SKIP]


def phases(obj: Object) -> tuple[str, ...]:
    """Where the object is applied: a plain resource in Sync, a hook in each phase it names and we know."""
    if skips(obj):
        return ()
    if not is_hook(obj):
        return (SYNC,)
    if names.HOOK in objects.annotations(obj):
        found = annotation_list(obj, names.HOOK)
    else:
        found = [_HELM_PHASES.get(word, "") for word in annotation_list(obj, names.HELM_HOOK)]
    return tuple(dict.fromkeys(phase for phase in found if phase in _ALL_PHASES))


def delete_policies(obj: Object) -> frozenset[str]:
    ours = _POLICIES.intersection(annotation_list(obj, names.HOOK_DELETE_POLICY))
    helm = {_HELM_POLICIES.get(word, "") for word in annotation_list(obj, names.HELM_HOOK_DELETE_POLICY)}
    return (ours | (_POLICIES & helm)) or frozenset({BEFORE_CREATION})


def wave(obj: Object) -> int:
    annotations = objects.annotations(obj)
    for annotation in (names.SYNC_WAVE, names.HELM_HOOK_WEIGHT):
        try:
            return int(annotations.get(annotation, ""))
        except ValueError:
            continue
    return 0


def named(obj: Object, phase: str, revision: str, started: float) -> Object:
    """A hook with `generateName` gets its name here, the same each time the operation is looked at."""
    prefix = objects.metadata(obj).get("generateName")
    if objects.name(obj) or not prefix:
        return obj
    made = objects.clone(obj)
    del made["metadata"]["generateName"]
    made["metadata"]["name"] = prefix + f"{revision[:7]}-{phase}-{int(started)}".lower()
    return made


def stamped(obj: Object, stamp: str) -> Object:
    """What is applied for a hook: it cannot vanish before its end was seen, and says whose it is."""
    made = objects.clone(obj)
    metadata = made.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), STAMP: stamp}
    finalizers = metadata.get("finalizers") or []
    if names.HOOK_FINALIZER not in finalizers:
        metadata["finalizers"] = [*finalizers, names.HOOK_FINALIZER]
    return made


def stamp_of(obj: Object | None) -> str:
    return objects.annotations(obj).get(STAMP, "") if obj is not None else ""
