"""update (PUT) and the one path every change of an existing object takes, whichever verb asked for it.

Between reading the live object and storing the new one nothing awaits: no retry is ever needed. A change that
changes nothing keeps the resourceVersion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver import admission, kinds, strategy, writing
from seatrial.cluster.apiserver.verbs import create
from seatrial.cluster.apiserver.verbs.result import shown, unstored
from seatrial.cluster.store.entry import Entry
from seatrial.kube.model import objects, status
from seatrial.kube.model.patch.apply import managed

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.answer import Answer
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

_SERVER_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


async def update(core: Core, call: Call) -> Answer:
    obj, duplicates = writing.body_object(call.request)
    writing.check_kind(obj, call.kind)
    call.warnings += writing.clean(obj, call.kind, duplicates, writing.field_validation(call))
    _check_name(call, obj)
    create.place(call, obj)
    entry = core.store.get(call.kind.key, call.namespace, call.target.name)
    if entry is None:
        if call.target.subresource or not kinds.allows_create_on_update(call.resource) or call.kind.custom:
            raise status.not_found(call.resource, call.target.name)
        core.authorize_verb(call, "create")
        return await create.insert(core, call, obj)
    if not obj["metadata"].get("resourceVersion") and not _unconditional(call):
        cause = status.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
        raise status.invalid(call.resource.group, call.resource.kind, call.target.name, [cause])
    return await replace(core, call, entry, obj)


def _check_name(call: Call, obj: Object) -> None:
    given = obj["metadata"].get("name")
    if not given:
        raise status.bad_request(
            f"the name of the object ({call.target.name} based on URL) was undeterminable: name must be provided"
        )
    if given != call.target.name:
        raise status.bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({call.target.name})"
        )


def _unconditional(call: Call) -> bool:
    return call.kind.custom is None and kinds.allows_unconditional_update(call.resource)


def check_preconditions(call: Call, live: Object, metadata: dict[str, object]) -> None:
    """The resourceVersion and uid a client sent must be the live object's. Raises 409."""
    version = metadata.get("resourceVersion")
    if version and version != live["metadata"]["resourceVersion"]:
        raise status.conflict(call.resource, call.target.name)
    uid = metadata.get("uid")
    if uid and uid != live["metadata"]["uid"]:
        detail = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live['metadata']['uid']}"
        raise status.conflict(call.resource, call.target.name, detail)


async def replace(core: Core, call: Call, entry: Entry, obj: Object, *, applied: bool = False) -> Answer:
    """Put `obj`, decoded and in the served version, in the place of the live object, and answer with it."""
    result = await put(core, call, entry, obj, applied=applied)
    return shown(core, call, result) if isinstance(result, Entry) else unstored(core, call, result)


async def put(core: Core, call: Call, entry: Entry, obj: Object, *, applied: bool = False) -> Entry | Object:
    """What is stored afterwards, or the object that would be (a dry run)."""
    changed = decide(core, call, entry, obj, applied=applied)
    if changed is None:
        await core.store.settled(entry.revision)
        return entry
    if call.dry_run:
        return changed
    if is_released(call, changed):
        return await release(core, call, entry, changed)
    new = core.store.update(call.kind.key, call.namespace, call.target.name, changed, entry.revision)
    admission.stored(core, call.kind, new.object)
    await core.store.settled(new.revision)
    return new


async def release(core: Core, call: Call, entry: Entry, changed: Object) -> Object:
    """Remove an object that nothing holds back any longer: the object as its last change left it."""
    gone = core.store.delete(call.kind.key, call.namespace, call.target.name, entry.revision)
    admission.removed(core, call.kind, gone.object)
    await core.store.settled(gone.revision)
    metadata = {**changed["metadata"], "resourceVersion": gone.object["metadata"]["resourceVersion"]}
    return {**changed, "metadata": metadata}


def decide(core: Core, call: Call, entry: Entry, obj: Object, *, applied: bool = False) -> Object | None:
    """The object to store (in the storage version), or None if nothing changes. Raises what forbids it."""
    kind, subresource = call.kind, call.target.subresource
    live = kind.served(entry.object)
    check_preconditions(call, live, obj["metadata"])
    keep_server_metadata(obj, live)
    if subresource != "status":
        core.authorize_content(call, obj, live)
    strategy.default(kind, obj)
    if subresource == "status":
        kinds.prepare_status_update(call.resource, obj, live)
        obj = obj if applied else _owned(core, call, obj, live)
    else:
        kinds.keep_status(call.resource, obj, live)
        obj = obj if applied else _owned(core, call, obj, live)
        admission.complete(call, obj)
        kinds.prepare_update(call.resource, obj, live)
        admission.on_update(core, call, obj, live)
        _forbid_new_finalizers(call, obj, live)
    if _same(obj, live):
        return None
    if causes := strategy.validate(kind, obj, live):
        raise status.invalid(call.resource.group, call.resource.kind, call.target.name, causes)
    if subresource != "status":
        admission.allocate(core, call, obj, live)
    return kind.stored(obj)


def _owned(core: Core, call: Call, obj: Object, live: Object) -> Object:
    """The object with its writer as owner of what the writer changed: before the server changes anything itself."""
    now = rfc3339(core.clock.time())
    subresource = call.target.subresource
    return managed.updated(live, obj, call.kind.type, manager=call.manager, subresource=subresource, now=now)


def keep_server_metadata(obj: Object, live: Object) -> None:
    metadata, old = obj["metadata"], live["metadata"]
    for field in _SERVER_METADATA:
        if field in old:
            metadata[field] = old[field]
        else:
            metadata.pop(field, None)
    metadata.pop("selfLink", None)
    metadata["resourceVersion"] = old["resourceVersion"]


def _same(obj: Object, live: Object) -> bool:
    return obj == live


def _forbid_new_finalizers(call: Call, obj: Object, live: Object) -> None:
    if not objects.is_deleting(live):
        return
    new = sorted(set(objects.finalizers(obj)) - set(objects.finalizers(live)))
    if new:
        shown_names = ", ".join(f'"{name}"' for name in new)
        cause = status.forbidden_value(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{shown_names}}}",
        )
        raise status.invalid(call.resource.group, call.resource.kind, call.target.name, [cause])


def is_released(call: Call, obj: Object) -> bool:
    """An object whose deletion was asked for goes when its last finalizer and its grace are gone."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if call.kind.key == "namespaces" and obj.get("spec", {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")
