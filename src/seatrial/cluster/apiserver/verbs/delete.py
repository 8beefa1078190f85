"""delete and deletecollection: preconditions, propagation, finalizers and graceful deletion.

An object with finalizers, or with a grace period still to run, is only marked; it goes when the last finalizer
is removed (see `update.is_released`) or the grace is cut to 0. Source: the API concepts page "Resource deletion",
and "Garbage Collection" for the propagation policies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.apiserver import admission, kinds, selection, writing
from seatrial.cluster.apiserver.answer import Answer, ListAnswer
from seatrial.cluster.apiserver.verbs.result import shown, unstored
from seatrial.cluster.apiserver.verbs.update import check_preconditions
from seatrial.kube.model import objects, status

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.cluster.store.entry import Entry
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_POLICIES = ("Foreground", "Background", "Orphan", "nil")
_ORPHANING = frozenset({"jobs.batch", "replicationcontrollers"})
"""Kinds whose dependents stay unless the deletion says otherwise: how their first versions did it."""
_RETURNED_WHOLE = frozenset({"pods", "services", "serviceaccounts", "persistentvolumeclaims", "podtemplates"})
"""Kinds whose immediate deletion answers with the object; the others answer with a Status."""


@dataclass(frozen=True, slots=True)
class Options:
    grace: int | None = None
    propagation: str = ""
    preconditions: dict[str, Any] = field(default_factory=dict)
    dry_run: bool = False


def options(call: Call) -> Options:
    """DeleteOptions from the body and the query (the body wins). Raises 400 or 422."""
    body: Object = {}
    if call.request.body:
        body = writing.typed_body(call.request, "v1", "DeleteOptions")
    grace = allowed_grace(body.get("gracePeriodSeconds", _number(call.request.param("gracePeriodSeconds"))))
    dry_run = body.get("dryRun") or []
    if any(value != "All" for value in dry_run):
        raise status.invalid_options("DeleteOptions", status.unsupported_value("dryRun", dry_run, ["All"]))
    return Options(grace, _propagation(call, body), body.get("preconditions") or {}, bool(dry_run) or call.dry_run)


def allowed_grace(seconds: int | None) -> int | None:
    """Less than none counts as one second, so that a node still has its say."""
    return 1 if seconds is not None and seconds < 0 else seconds


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _propagation(call: Call, body: Object) -> str:
    given = body.get("propagationPolicy") or call.request.param("propagationPolicy")
    orphan = body.get("orphanDependents", call.request.flag("orphanDependents"))
    causes = []
    if given and orphan is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(status.invalid_value("propagationPolicy", given, detail))
    elif given and given not in _POLICIES:
        causes.append(status.unsupported_value("propagationPolicy", given, _POLICIES, as_given=True))
    if causes:
        raise status.invalid_options("DeleteOptions", *causes)
    if orphan is not None:
        return "Orphan" if orphan else "Background"
    return str(given or "")


async def delete(core: Core, call: Call) -> Answer:
    chosen = options(call)
    entry = core.store.get(call.kind.key, call.namespace, call.target.name)
    if entry is None:
        raise status.not_found(call.resource, call.target.name)
    return await remove(core, call, entry, chosen)


async def remove(core: Core, call: Call, entry: Entry, chosen: Options) -> Answer:
    """Delete or mark one object, as its finalizers and grace demand."""
    live = entry.object
    check_preconditions(call, live, chosen.preconditions)
    _forbid(call)
    marked = mark(core, call, live, chosen)
    if marked is None:
        if chosen.dry_run:
            return _gone(call, live)
        tombstone = core.store.delete(call.kind.key, entry.namespace, entry.name, entry.revision)
        admission.removed(core, call.kind, tombstone.object)
        await core.store.settled(tombstone.revision)
        if call.kind.key not in _RETURNED_WHOLE:
            return _gone(call, live)
        return _last_seen(core, call, tombstone)
    if marked is live:
        await core.store.settled(entry.revision)
        return shown(core, call, entry)
    if chosen.dry_run:
        return unstored(core, call, marked)
    new = core.store.update(call.kind.key, entry.namespace, entry.name, marked, entry.revision)
    admission.stored(core, call.kind, new.object)
    await core.store.settled(new.revision)
    return shown(core, call, new)


def _last_seen(core: Core, call: Call, tombstone: Entry) -> Answer:
    """What was deleted at once; a kind with a grace period shows that it had none left."""
    if kinds.default_grace(call.resource, tombstone.object, 0) is None:
        return shown(core, call, tombstone)
    metadata = dict(tombstone.object["metadata"])
    if "deletionTimestamp" not in metadata and metadata.get("generation"):
        metadata["generation"] += 1
    metadata["deletionTimestamp"] = rfc3339(core.clock.time())
    metadata["deletionGracePeriodSeconds"] = 0
    return unstored(core, call, {**tombstone.object, "metadata": metadata})


def _forbid(call: Call) -> None:
    if call.kind.key == "namespaces" and call.target.name in admission.PROTECTED_NAMESPACES:
        raise status.forbidden(
            f'namespaces "{call.target.name}" is forbidden: this namespace may not be deleted',
            call.resource,
            call.target.name,
        )


def mark(core: Core, call: Call, live: Object, chosen: Options) -> Object | None:
    """The object as it stays behind: None if it goes at once, `live` itself if nothing changes."""
    finalizers = _finalizers(call, live, chosen.propagation)
    grace = kinds.default_grace(call.resource, live, chosen.grace) if call.kind.custom is None else None
    held = bool(finalizers) or (call.kind.key == "namespaces" and bool(live.get("spec", {}).get("finalizers")))
    if not held and not grace:
        return None
    metadata = dict(live["metadata"])
    _set(metadata, "finalizers", finalizers)
    if "deletionTimestamp" not in metadata:
        seconds = grace or 0
        metadata["deletionTimestamp"] = rfc3339(core.clock.time() + seconds)
        if call.kind.key != "namespaces":
            metadata["deletionGracePeriodSeconds"] = seconds
        if metadata.get("generation"):
            metadata["generation"] += 1
    elif grace is not None and grace < (metadata.get("deletionGracePeriodSeconds") or 0):
        _shorten(metadata, grace, core.clock.time())
    if metadata == live["metadata"]:
        return live
    marked = objects.clone({**live, "metadata": metadata})
    if call.kind.key == "namespaces":
        marked.setdefault("status", {})["phase"] = "Terminating"
    return marked


def _shorten(metadata: dict[str, Any], grace: int, now: float) -> None:
    """The new grace counts from when the deletion began; what is left of it is at least a second, so as to be seen."""
    began = parse_time(metadata["deletionTimestamp"]) - metadata["deletionGracePeriodSeconds"]
    ends = began + grace
    if ends < now:
        ends, grace = now, min(grace, 1)
    metadata["deletionTimestamp"] = rfc3339(ends)
    metadata["deletionGracePeriodSeconds"] = grace


def _set(metadata: dict[str, Any], key: str, value: list[str]) -> None:
    if value:
        metadata[key] = value
    else:
        metadata.pop(key, None)


def _finalizers(call: Call, live: Object, propagation: str) -> list[str]:
    """The finalizers after the propagation policy has had its say; it is asked for, or the kind's default."""
    present = objects.finalizers(live)
    if not propagation:
        if call.kind.key not in _ORPHANING or FOREGROUND in present:
            return present
        if call.kind.key == "jobs.batch":
            call.warnings.append(
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to "
                "remove them or set propagationPolicy=Orphan to suppress this warning"
            )
        propagation = "Orphan"
    kept = [name for name in present if name not in (FOREGROUND, ORPHAN)]
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
    return kept + wanted


def _gone(call: Call, live: Object) -> Answer:
    resource: Resource = call.resource
    details = {"name": objects.name(live), "kind": resource.plural, "uid": objects.uid(live)}
    if resource.group:
        details["group"] = resource.group
    success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return Answer(object=success, warnings=call.warnings)


async def delete_collection(core: Core, call: Call) -> Answer:
    chosen = options(call)
    matches = selection.matcher(call)
    entries = core.store.list(call.kind.key, call.namespace or None)
    doomed = [e for e in entries if matches is None or matches(call.kind.served(e.object))]
    for entry in doomed:
        current = core.store.get(call.kind.key, entry.namespace, entry.name)
        if current is not None and current.object["metadata"]["uid"] == entry.object["metadata"]["uid"]:
            await remove(core, call, current, chosen)
    meta = {"resourceVersion": str(core.store.revision)}
    head = {"kind": call.resource.list_name, "apiVersion": call.resource.api_version, "metadata": meta}
    if call.kind.is_stored_as_served:
        return ListAnswer(head, doomed)
    return Answer(object={**head, "items": [call.kind.served(entry.object) for entry in doomed]})
