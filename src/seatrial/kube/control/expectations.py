"""Expectations: a controller's own writes that its informers have not shown yet.

A controller that created three pods must not look at its cache and create three more. It notes what it is about to
do, its informer handlers note what they see, and it skips a pass until the two agree or the wait is over
(a lost event must not stop it for ever).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.base.clock import Clock
    from seatrial.kube.control.controller import Key

TIMEOUT = 300.0
"""Seconds; as long as upstream controllers wait."""


@dataclass(slots=True)
class _Pending:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[Key, _Pending] = {}

    def expect(self, key: Key, creations: int = 0, deletions: Iterable[str] = ()) -> None:
        """Note writes about to be made (deletions by uid); adds to what is still open for the key."""
        pending = self._pending.setdefault(key, _Pending(0.0))
        pending.since = self._clock.monotonic()
        pending.creations += creations
        pending.deletions.update(deletions)
        self._settle(key, pending)

    def observed_creation(self, key: Key) -> None:
        """Seen in the cache, or failed and so not to be waited for."""
        pending = self._pending.get(key)
        if pending is not None:
            pending.creations = max(0, pending.creations - 1)
            self._settle(key, pending)

    def observed_deletion(self, key: Key, uid: str) -> None:
        pending = self._pending.get(key)
        if pending is not None:
            pending.deletions.discard(uid)
            self._settle(key, pending)

    def satisfied(self, key: Key) -> bool:
        """Whether the cache has caught up with the key's own writes (or has had its time)."""
        pending = self._pending.get(key)
        if pending is None:
            return True
        if self._clock.monotonic() - pending.since < TIMEOUT:
            return False
        del self._pending[key]
        return True

    def forget(self, key: Key) -> None:
        self._pending.pop(key, None)

    def _settle(self, key: Key, pending: _Pending) -> None:
        if pending.creations <= 0 and not pending.deletions:
            del self._pending[key]
