"""namespaces/finalize: the one way to change a namespace's spec.finalizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import writing
from seatrial.cluster.apiserver.verbs import update as whole
from seatrial.cluster.apiserver.verbs.result import shown, unstored
from seatrial.kube.model import objects, status

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.answer import Answer
    from seatrial.cluster.apiserver.core import Call, Core


async def update(core: Core, call: Call) -> Answer:
    obj = writing.typed_body(call.request, "v1", "Namespace")
    writing.check_kind(obj, call.kind)
    entry = core.store.get(call.kind.key, "", call.target.name)
    if entry is None:
        raise status.not_found(call.resource, call.target.name)
    whole.check_preconditions(call, entry.object, obj["metadata"])
    changed = objects.clone(entry.object)
    changed["spec"] = {"finalizers": finalizers} if (finalizers := (obj.get("spec") or {}).get("finalizers")) else {}
    if call.dry_run:
        return unstored(core, call, changed)
    if whole.is_released(call, changed):
        return unstored(core, call, await whole.release(core, call, entry, changed))
    new = core.store.update(call.kind.key, "", call.target.name, changed, entry.revision)
    await core.store.settled(new.revision)
    return shown(core, call, new)
