"""One change of one object, and the line of a watch stream that tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from seatrial.cluster.store.entry import Entry
    from seatrial.kube.model.objects import Object

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"

_OPENING = {kind: f'{{"type":"{kind}","object":'.encode() for kind in (ADDED, MODIFIED, DELETED)}


class Event:
    """`entry` is the new state (for DELETED the last one, at the deletion's revision); `previous` the old one."""

    __slots__ = ("_frame", "entry", "previous", "revision", "type")

    def __init__(self, kind: str, entry: Entry, previous: Entry | None) -> None:
        self.type = kind
        self.revision = entry.revision
        self.entry = entry
        self.previous = previous
        self._frame: bytes | None = None

    @property
    def object(self) -> Object:
        return self.entry.object

    @property
    def frame(self) -> bytes:
        """The event as one line of a JSON watch stream; encoded once for all watchers."""
        frame = self._frame
        if frame is None:
            frame = self._frame = _OPENING[self.type] + self.entry.data + b"}\n"
        return frame

    def cool(self) -> None:
        """Give back what can be made again: most watchers have passed."""
        self._frame = None
        if self.previous is not None:
            self.previous.cool()
        if self.type == DELETED:
            self.entry.cool()

    def __repr__(self) -> str:
        return f"<Event {self.type} {self.entry} @{self.revision}>"
