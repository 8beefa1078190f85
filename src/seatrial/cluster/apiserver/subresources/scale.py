"""scale: replicas and selector of anything scalable, in one shape (autoscaling/v1 Scale)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver import projection, writing
from seatrial.cluster.apiserver.answer import Answer
from seatrial.cluster.apiserver.catalog import Kind
from seatrial.cluster.apiserver.customresources import definition
from seatrial.cluster.apiserver.verbs import patch as patches
from seatrial.cluster.apiserver.verbs import update as whole
from seatrial.cluster.store.entry import Entry
from seatrial.kube.model import objects, selectors, status
from seatrial.kube.model.resources import Resource

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object


_RESOURCE = Resource("autoscaling", "v1", "Scale", "scales", namespaced=True)
_SCALE = Kind(_RESOURCE, _RESOURCE)
"""Not a kind of its own under any path: what tables need to know."""


async def get(core: Core, call: Call) -> Answer:
    entry = _entry(core, call)
    await core.store.settled(entry.revision)
    return _shown(core, call, call.kind.served(entry.object))


def _shown(core: Core, call: Call, obj: Object) -> Answer:
    """The scale of an object in the form asked for."""
    form = projection.asked(call.request)
    shown = projection.project(_SCALE, scale_of(call, obj), form, core.clock.time())
    return Answer(object=shown, warnings=call.warnings)


async def update(core: Core, call: Call) -> Answer:
    scale, _duplicates = writing.body_object(call.request)
    return await _store(core, call, _entry(core, call), scale)


async def patch(core: Core, call: Call) -> Answer:
    entry = _entry(core, call)
    kind = writing.media_type(call.request)
    if kind == patches.STRATEGIC_PATCH:
        kind = patches.MERGE_PATCH  # a Scale has no lists: the two say the same
    if kind not in (patches.JSON_PATCH, patches.MERGE_PATCH):
        raise status.unsupported_media_type(kind, [patches.JSON_PATCH, patches.MERGE_PATCH])
    scale = patches.patched(call, scale_of(call, call.kind.served(entry.object)), kind)
    return await _store(core, call, entry, scale)


def _entry(core: Core, call: Call) -> Entry:
    entry = core.store.get(call.kind.key, call.namespace, call.target.name)
    if entry is None:
        raise status.not_found(call.resource, call.target.name)
    return entry


async def _store(core: Core, call: Call, entry: Entry, scale: Object) -> Answer:
    writing.check_types(scale, "autoscaling/v1", "Scale")
    replicas = _wanted(call, scale)
    metadata = objects.metadata(scale)
    if metadata.get("name") not in (None, "", call.target.name):
        raise status.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({call.target.name})"
        )
    live = call.kind.served(entry.object)
    whole.check_preconditions(call, live, metadata)
    changed = objects.clone(live)
    set_path(changed, _paths(call)[0], replicas)
    result = await whole.put(core, call, entry, changed)
    return _shown(core, call, call.kind.served(result.object if isinstance(result, Entry) else result))


def _wanted(call: Call, scale: Object) -> int:
    replicas: int = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        cause = status.invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise status.invalid("autoscaling", "Scale", call.target.name, [cause])
    return replicas


def _paths(call: Call) -> tuple[str, str, str]:
    """Where spec replicas, status replicas and the label selector are."""
    if call.kind.custom is not None:
        return definition.scale_paths(call.kind.custom.definition, call.resource.version)
    return ".spec.replicas", ".status.replicas", ".spec.selector"


def scale_of(call: Call, obj: Object) -> Object:
    spec_path, status_path, selector_path = _paths(call)
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    shown: dict[str, Any] = {"replicas": at_path(obj, status_path) or 0}
    selector = at_path(obj, selector_path) if selector_path else None
    if selector:
        shown["selector"] = _selector_text(call, selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": at_path(obj, spec_path) or 0},
        "status": shown,
    }


def _selector_text(call: Call, selector: Any) -> str:
    """As `-l` takes it; a ReplicationController's selector is a plain map of labels."""
    if isinstance(selector, str):
        return selector
    if call.kind.custom is not None:
        return ""  # whatever is at the path its definition names
    is_map = call.kind.key == "replicationcontrollers"
    return str(selectors.from_map(selector) if is_map else selectors.from_object(selector))


def at_path(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in path.strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def set_path(obj: Object, path: str, value: object) -> None:
    """Raises 400 if something else than an object is on the way."""
    *parents, last = path.strip(".").split(".")
    for part in parents:
        obj = obj.setdefault(part, {})
        if not isinstance(obj, dict):
            raise status.bad_request(f"{path} cannot be set: {part} is not an object")
    obj[last] = value
