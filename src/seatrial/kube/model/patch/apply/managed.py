"""The two things the API server does with field ownership: `apply` a configuration, and track an `updated` object.

The caller has read the live object and decoded the request; it gets back the object to validate and store, with
`metadata.managedFields` up to date. Nothing here reads a clock or writes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects
from seatrial.kube.model.patch.apply import entries as managers
from seatrial.kube.model.patch.apply import last_applied
from seatrial.kube.model.patch.apply.conflicts import conflict_error
from seatrial.kube.model.patch.apply.entries import Entry
from seatrial.kube.model.patch.apply.extract import (
    NEVER_OWNED,
    Comparison,
    StructureError,
    claimed,
    compared,
    created,
)
from seatrial.kube.model.patch.apply.fieldset import EMPTY, FieldSet
from seatrial.kube.model.patch.apply.merging import check, merged, with_structs, without
from seatrial.kube.model.status import bad_request

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.schema.types import Type

BEFORE_FIRST_APPLY = "before-first-apply"
"""Owns what an object held when nobody had been tracked yet, so that the first applier meets conflicts."""

_KEPT_METADATA = ("creationTimestamp", "deletionTimestamp", "generation", "resourceVersion", "selfLink", "uid")


def updated(live: Object | None, new: Object, type: Type, *, manager: str, subresource: str, now: str) -> Object:
    """`new` with the writer recorded as owner of what it changed, and nobody else.

    `new` belongs to this function: its `metadata` is replaced. An object whose lists do not follow its schema
    keeps the owners it had.
    """
    given = objects.metadata(new).get("managedFields")
    try:
        owners = _after_write(live, new, given, type, manager, subresource, now)
    except StructureError:
        owners = None if live is None else objects.metadata(live).get("managedFields")
    if owners is not given or not owners:
        new["metadata"] = _metadata_with(objects.metadata(new), owners)
    return new


def _after_write(
    live: Object | None, new: Object, given: Any, type: Type, manager: str, subresource: str, now: str
) -> Any:
    """The `managedFields` of `new`; the live or given list itself if it still holds."""
    writer = Entry(manager or "unknown", "Update", new.get("apiVersion", ""), subresource, now, EMPTY)
    if live is None:
        fields = created(new, type)
        return None if fields.is_empty() else [writer.with_fields(fields).to_json()]
    current, entries = _owners_before(live, given, subresource)
    if not entries:
        return None
    write = compared(live, new, type)
    own = write.changed - NEVER_OWNED
    left = _without_lost(entries, write)
    if own.is_empty() and len(left) == len(entries) and all(map(_is_same, left, entries)):
        return current
    if not own.is_empty():
        before = managers.find(left, writer.identity)
        fields = own if before is None else before.fields | own
        left = managers.capped(managers.put(left, writer.with_fields(fields)))
    return managers.encode(left)


def _is_same(one: Entry, other: Entry) -> bool:
    return one is other


def _owners_before(live: Object, given: Any, subresource: str) -> tuple[Any, list[Entry]]:
    """What the client says about owners counts, unless it wrote a sub-resource or says nothing sensible."""
    stored = objects.metadata(live).get("managedFields")
    if not subresource and given is not None and given != stored:
        if managers.is_reset(given):
            return None, []
        entries = _decoded(given)
        if entries:
            return managers.encode(entries), entries
    return stored, _decoded(stored)


def _decoded(managed_fields: Any) -> list[Entry]:
    try:
        return managers.decode(managed_fields)
    except ValueError:
        return []


def _without_lost(entries: list[Entry], write: Comparison) -> list[Entry]:
    """What the entries still own after a write: not what it changed, nor what it removed."""
    left = [entry.with_fields(entry.fields - write.changed - write.removed) for entry in entries]
    return [entry for entry in left if not entry.fields.is_empty()]


def _metadata_with(metadata: Object, owners: list[Object] | None) -> Object:
    result = {key: value for key, value in metadata.items() if key != "managedFields"}
    if owners:
        result["managedFields"] = owners
    return result


def apply(
    live: Object | None, config: Object, type: Type, *, manager: str, force: bool, subresource: str, now: str
) -> Object:
    """The object after a server-side apply of `config`. Raises StatusError 400, or 409 with the conflicts.

    If nothing changed the result equals `live`, times included.
    """
    _refuse_managed_fields(config)
    try:
        check(config, type)
        return _applied(live, config, type, manager, force, subresource, now)
    except StructureError as error:
        where = f"{objects.namespace(config)}/{objects.name(config)}; {config.get('apiVersion')}"
        raise bad_request(
            f"failed to create typed patch object ({where}, Kind={config.get('kind')}): {error}"
        ) from None


def _refuse_managed_fields(config: Object) -> None:
    if not isinstance(config.get("metadata", {}), dict):
        raise bad_request("metadata must be an object")
    if objects.metadata(config).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def _applied(
    live: Object | None, config: Object, type: Type, manager: str, force: bool, subresource: str, now: str
) -> Object:
    applier = Entry(manager, "Apply", config.get("apiVersion", ""), subresource, now, claimed(config, type))
    before = _unmanaged(live or {})
    entries = _owners_before_apply(live, before, applier, type)
    last = managers.find(entries, applier.identity)
    others = [entry for entry in entries if entry is not last]

    result = _keep_metadata(merged(before, config, type), before)
    if last is not None:
        result = _pruned(result, last.fields, [applier, *others], type)
    write = compared(before, result, type)
    if not force:
        _refuse_conflicts(others, write.changed, before, type, manager)
    owners = _without_lost(others, write)
    if not applier.fields.is_empty():
        owners.append(_unless_the_same(applier, last, changed=result != before))
    if manager == last_applied.MANAGER:
        result = last_applied.synced(result, config)
    return {**result, "metadata": _metadata_with(objects.metadata(result), managers.encode(owners))}


def _unmanaged(live: Object) -> Object:
    if "managedFields" not in objects.metadata(live):
        return live
    return {**live, "metadata": _metadata_with(objects.metadata(live), None)}


def _owners_before_apply(live: Object | None, before: Object, applier: Entry, type: Type) -> list[Entry]:
    if live is None:
        return []
    entries = _decoded(objects.metadata(live).get("managedFields"))
    if entries:
        return entries
    fields = created(before, type)
    if fields.is_empty():
        return []
    unknown = Entry(BEFORE_FIRST_APPLY, "Update", applier.api_version, applier.subresource, applier.time, fields)
    return [unknown]


def _keep_metadata(result: Object, before: Object) -> Object:
    """What the server wrote stays, also where a configuration says null (as exported manifests do)."""
    metadata, old = objects.metadata(result), objects.metadata(before)
    lost = {key: old[key] for key in _KEPT_METADATA if key in old and key not in metadata}
    return {**result, "metadata": {**metadata, **lost}} if lost else result


def _pruned(result: Object, last: FieldSet, owners: list[Entry], type: Type) -> Object:
    """Without what the applier claimed last time and nobody claims now."""
    still = EMPTY
    for entry in owners:
        still = still | entry.fields
    gone = with_structs(last, type) - with_structs(still, type) - NEVER_OWNED
    return result if gone.is_empty() else without(result, gone, type)


def _refuse_conflicts(others: list[Entry], changed: FieldSet, before: Object, type: Type, manager: str) -> None:
    contested = [entry.with_fields(entry.fields & changed) for entry in others]
    contested = [entry for entry in contested if not entry.fields.is_empty()]
    if contested and manager == last_applied.MANAGER:
        mine = last_applied.takeover(before, type)
        contested = [entry.with_fields(entry.fields - mine) for entry in contested]
        contested = [entry for entry in contested if not entry.fields.is_empty()]
    if contested:
        raise conflict_error(contested)


def _unless_the_same(applier: Entry, last: Entry | None, *, changed: bool) -> Entry:
    """The entry as it was if the apply did nothing: a new time alone would be a change."""
    if last is not None and not changed and last.api_version == applier.api_version:
        return last if last.fields == applier.fields else applier
    return applier
