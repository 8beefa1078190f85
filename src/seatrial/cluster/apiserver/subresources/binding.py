"""pods/binding: the scheduler's decision. A pod is bound once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver import writing
from seatrial.cluster.apiserver.answer import Answer
from seatrial.kube.model import conditions, objects, resources, status

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

_PODS = resources.for_plural("pods")


async def create(core: Core, call: Call) -> Answer:
    """Also POST to the older `bindings` collection, where the body's name is the pod's."""
    binding = writing.typed_body(call.request, "v1", "Binding")
    target = binding.get("target") or {}
    name = call.target.name or objects.name(binding)
    writing.check_name(binding, "Binding", name)
    entry = core.store.get("pods", call.namespace, name)
    if entry is None:
        raise status.not_found(_PODS, name)
    pod = entry.object
    _check(name, binding, target, pod)
    bound = objects.clone(pod)
    bound["spec"]["nodeName"] = target["name"]
    for field in ("annotations", "labels"):
        if extra := objects.metadata(binding).get(field):
            bound["metadata"].setdefault(field, {}).update(extra)
    now = rfc3339(core.clock.time())
    found = bound.setdefault("status", {}).setdefault("conditions", [])
    conditions.set_condition(found, "PodScheduled", "True", "", "", now)
    if not call.dry_run:
        new = core.store.update("pods", call.namespace, name, bound, entry.revision)
        await core.store.settled(new.revision)
    return Answer(201, object={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _check(name: str, binding: Object, target: Object, pod: Object) -> None:
    if not target.get("name") or target.get("kind") not in (None, "", "Node"):
        cause = status.required("target.name", "the node to bind to")
        raise status.invalid("", "Binding", name, [cause])
    uid = objects.metadata(binding).get("uid")
    if uid and uid != objects.uid(pod):
        detail = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {objects.uid(pod)}"
        raise status.conflict(_PODS, name, detail)
    if objects.is_deleting(pod):
        detail = f"pod {name} is being deleted, cannot be assigned to a host"
        raise status.conflict(_PODS, name, detail)
    node = pod["spec"].get("nodeName")
    if node:
        detail = f'pod {name} is already assigned to node "{node}"'
        raise status.conflict(_PODS, name, detail)
    if pod["spec"].get("schedulingGates"):
        detail = f"pod {name} has non-empty .spec.schedulingGates"
        raise status.conflict(_PODS, name, detail)
