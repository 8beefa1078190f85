"""What a write answers with: the stored object in the form asked for, or what would have been stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
