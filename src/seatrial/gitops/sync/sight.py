"""What is live: the watch's copy, put right by what this operation itself just did and the watch has not shown yet.

Without it a step could take the object from before its own change for healthy and go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.gitops.sync.calls import call, is_gone
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.gitops.sync.context import Context
    from seatrial.kube.model.objects import Object, Ref

SETTLING = 2.0
"""Seconds a watch may be behind before a missing object is asked for directly."""


class _Written(NamedTuple):
    obj: Object
    at: float


class Sight:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._written: dict[Ref, _Written] = {}
        self._deleted: dict[Ref, str] = {}

    def get(self, ref: Ref, api_version: str) -> Object | None:
        seen = self._context.live.get(ref, api_version)
        if seen is not None and self._deleted.get(ref) == objects.uid(seen):
            return None
        written = self._written.get(ref)
        if written is None:
            return seen
        if seen is None:
            return written.obj if self.is_settling(ref) else None
        if _is_older(seen, written.obj):
            return written.obj
        del self._written[ref]
        return seen

    def wrote(self, obj: Object) -> None:
        ref = objects.ref(obj)
        self._deleted.pop(ref, None)
        self._written[ref] = _Written(obj, self._context.clock.monotonic())

    def gone(self, ref: Ref, uid: str) -> None:
        """It was deleted and nothing held it."""
        self._written.pop(ref, None)
        self._deleted[ref] = uid

    def is_settling(self, ref: Ref) -> bool:
        written = self._written.get(ref)
        return written is not None and self._context.clock.monotonic() - written.at < SETTLING

    async def confirm(self, ref: Ref, api_version: str) -> Object | None:
        """The object, asked for directly if the watch shows none although there should be one. Raises StatusError."""
        seen = self._context.live.get(ref, api_version)
        if seen is not None and self._deleted.get(ref) != objects.uid(seen):
            return self.get(ref, api_version)
        if self.is_settling(ref):
            return self._written[ref].obj
        return await self.ask(ref, api_version)

    async def ask(self, ref: Ref, api_version: str) -> Object | None:
        """The object as the server has it. Raises StatusError."""
        resource = await self._context.resource(api_version, ref.kind)
        try:
            found = await call(self._context.clock, lambda: self._context.client.get(resource, ref.name, ref.namespace))
        except StatusError as error:
            if not is_gone(error):
                raise
            self._written.pop(ref, None)
            return None
        self.wrote(found)
        return found


def _is_older(seen: Object, written: Object) -> bool:
    """Whether the watch is behind our own write; versions that are not numbers cannot be compared."""
    versions = [objects.metadata(obj).get("resourceVersion") or "" for obj in (seen, written)]
    if not all(version.isdigit() for version in versions):
        return False
    return int(versions[0]) < int(versions[1])
