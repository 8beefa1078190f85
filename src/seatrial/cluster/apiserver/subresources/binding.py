"""pods/binding: the scheduler's decision. A pod is bound once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver import writing
from seatrial.cluster.apiserver.answer import Answer
from seatrial.kube.model import conditions, objects, status

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object


async def create(core: Core, call: Call) -> Answer:
    binding, _duplicates = writing.body_object(call.request)
    target = binding.get("target") or {}
    entry = core.store.get("pods", call.namespace, call.target.name)
    if entry is None:
        raise status.not_found(call.resource, call.target.name)
    pod = entry.object
    _check(call, binding, target, pod)
    bound = objects.clone(pod)
    bound["spec"]["nodeName"] = target["name"]
    for field in ("annotations", "labels"):
        if extra := objects.metadata(binding).get(field):
            bound["metadata"].setdefault(field, {}).update(extra)
    now = rfc3339(core.clock.time())
    found = bound.setdefault("status", {}).setdefault("conditions", [])
    conditions.set_condition(found, "PodScheduled", "True", "", "", now)
    if not call.dry_run:
        new = core.store.update("pods", call.namespace, call.target.name, bound, entry.revision)
        await core.store.settled(new.revision)
    return Answer(
        201, object={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    )


def _check(call: Call, binding: Object, target: Object, pod: Object) -> None:
    if not target.get("name") or target.get("kind") not in (None, "", "Node"):
        cause = status.required("target.name", "the node to bind to")
        raise status.invalid("", "Binding", call.target.name, [cause])
    uid = objects.metadata(binding).get("uid")
    if uid and uid != objects.uid(pod):
        detail = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {objects.uid(pod)}"
        raise status.conflict(call.resource, call.target.name, detail)
    if objects.is_deleting(pod):
        detail = f"pod {call.target.name} is being deleted, cannot be assigned to a host"
        raise status.conflict(call.resource, call.target.name, detail)
    node = pod["spec"].get("nodeName")
    if node:
        detail = f'pod {call.target.name} is already assigned to node "{node}"'
        raise status.conflict(call.resource, call.target.name, detail)
    if pod["spec"].get("schedulingGates"):
        detail = f"pod {call.target.name} has non-empty .spec.schedulingGates"
        raise status.conflict(call.resource, call.target.name, detail)
