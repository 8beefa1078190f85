"""create: a new object, named by the client or generated, placed in an existing namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver import admission, kinds, strategy, writing
from seatrial.cluster.apiserver.verbs.naming import generated_name
from seatrial.cluster.apiserver.verbs.result import shown, unstored
from seatrial.cluster.store.errors import Exists
from seatrial.kube.model import objects, status
from seatrial.kube.model.patch.apply import managed

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.answer import Answer
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.status import StatusError

_NAMING_ATTEMPTS = 8
"""Generated names that are tried: among ten thousand of one prefix every 1,400th is taken."""


async def create(core: Core, call: Call) -> Answer:
    obj, duplicates = writing.body_object(call.request)
    writing.check_kind(obj, call.kind)
    call.warnings += writing.clean(obj, call.kind, duplicates, writing.field_validation(call))
    _generate_name(core, call, obj)
    place(call, obj)
    return await insert(core, call, obj)


def _generate_name(core: Core, call: Call, obj: Object) -> None:
    """A name that is free, if one is asked for and luck allows it."""
    metadata = obj["metadata"]
    if metadata.get("name") or not (prefix := metadata.get("generateName")):
        return
    for _ in range(_NAMING_ATTEMPTS):
        metadata["name"] = generated_name(prefix)
        if core.store.get(call.kind.key, call.namespace, metadata["name"]) is None:
            return


def place(call: Call, obj: Object) -> None:
    """Check the namespace against the path. Raises 400."""
    metadata = obj["metadata"]
    if call.resource.namespaced:
        given = metadata.get("namespace")
        if given and given != call.namespace:
            raise status.bad_request(
                f"the namespace of the provided object ({given}) does not match the namespace sent on the request "
                f"({call.namespace})"
            )
        metadata["namespace"] = call.namespace
    else:
        metadata.pop("namespace", None)  # many a chart gives one to what has none


async def insert(core: Core, call: Call, obj: Object, *, applied: bool = False) -> Answer:
    """Store a decoded and placed object; `applied`: its managedFields are already server-side apply's.

    From here to the store nothing awaits, so nothing can change in between.
    """
    kind = call.kind
    core.authorize_content(call, obj)
    stamp(core, obj)
    strategy.default(kind, obj)
    if not applied:
        obj = _owned(core, call, obj)
    kinds.prepare_create(call.resource, obj)
    strategy.complete_status(kind, obj)
    admission.on_create(core, call, obj)
    if causes := strategy.validate(kind, obj, None):
        raise status.invalid(call.resource.group, call.resource.kind, call.name_for_errors(obj), causes)
    admission.allocate(core, call, obj)
    obj = kind.stored(obj)
    name = obj["metadata"]["name"]
    if call.dry_run:
        if core.store.get(kind.key, call.namespace, name) is not None:
            raise _already_exists(core, call, name)
        return unstored(core, call, obj, 201)
    try:
        entry = core.store.create(kind.key, call.namespace, name, obj)
    except Exists:
        raise _already_exists(core, call, name) from None
    admission.stored(core, kind, entry.object)
    await core.store.settled(entry.revision)
    return shown(core, call, entry, 201)


def _already_exists(core: Core, call: Call, name: str) -> StatusError:
    entry = core.store.get(call.kind.key, call.namespace, name)
    going = entry is not None and objects.is_deleting(entry.object)
    return status.already_exists(call.resource, name, "object is being deleted" if going else "")


def _owned(core: Core, call: Call, obj: Object) -> Object:
    """The object with its creator as owner of what the creator wrote: not of what the server adds, nor of a status."""
    sent = {key: value for key, value in obj.items() if key != "status"} if call.kind.has_subresource("status") else obj
    now = rfc3339(core.clock.time())
    owned = managed.updated(None, dict(sent), call.kind.type, manager=call.manager, subresource="", now=now)
    return {**obj, "metadata": owned["metadata"]}


def stamp(core: Core, obj: Object) -> None:
    """The metadata only the server writes."""
    metadata = obj["metadata"]
    for field in ("resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        metadata.pop(field, None)
    metadata["uid"] = str(uuid4())
    metadata["creationTimestamp"] = rfc3339(core.clock.time())
