"""Objects in the form asked for: what is stored, what would have been stored, a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver import projection
from seatrial.cluster.apiserver.answer import Answer

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.cluster.store.entry import Entry
    from seatrial.kube.model.objects import Object


def shown(core: Core, call: Call, entry: Entry, code: int = 200) -> Answer:
    """A stored object in the version and form asked for."""
    form = projection.asked(call.request)
    if not form.name and call.kind.is_stored_as_served:
        return Answer(code, object=entry.object, data=entry.data, warnings=call.warnings)
    return unstored(core, call, entry.object, code)


def unstored(core: Core, call: Call, obj: Object, code: int = 200) -> Answer:
    """An object of the storage version that is not (or not yet) in the store."""
    form = projection.asked(call.request)
    served = projection.project(call.kind, call.kind.served(obj), form, core.clock.time())
    return Answer(code, object=served, warnings=call.warnings)


def listed(core: Core, call: Call, items: list[Object], meta: dict[str, Any]) -> Answer:
    """Objects of the served version."""
    form = projection.asked(call.request)
    resource = call.resource
    if form.name == "Table":
        made = projection.table(call.kind, items, form, core.clock.time(), meta)
    elif form.name:
        made = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{form.version}",
            "metadata": meta,
            "items": [projection.partial(item, form.version) for item in items],
        }
    else:
        made = {"kind": resource.list_name, "apiVersion": resource.api_version, "metadata": meta, "items": items}
    return Answer(object=made, warnings=call.warnings)
