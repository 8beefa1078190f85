"""Fights: a field that somebody else sets back each time it was repaired.

Repairing it once a second helps nobody. After some rounds the field is left alone for a while and its other writer
named. What is known of it is kept in memory: a restarted controller begins to count anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.gitops.api import names
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.model.objects import Object, Ref

Path = tuple[str, ...]
"""Of a field: names of fields, and for items of lists their index or the text of their key."""


@dataclass(frozen=True, slots=True)
class Fight:
    ref: Ref
    field: str
    manager: str
    """Who else writes it; "" if the object does not say."""
    rounds: int
    until: float
    """When it is repaired again, to see whether it is over."""

    def __str__(self) -> str:
        who = f'"{self.manager}"' if self.manager else "another writer"
        return (
            f"{self.ref}: {self.field} was repaired {self.rounds} times and {who} set it back each time: "
            f"it is left alone for now. Stop the other writer, or add the field to spec.ignoreDifferences"
        )


class Fights:
    def __init__(self, rounds: int = 5, window: float = 300.0, truce: float = 300.0) -> None:
        """`rounds` repairs of one field within `window` seconds are a fight; then `truce` seconds of peace."""
        self._rounds = rounds
        self._window = window
        self._truce = truce
        self._repairs: dict[tuple[Ref, Path], deque[float]] = {}
        self._fights: dict[tuple[Ref, Path], Fight] = {}

    def repaired(self, ref: Ref, fields: Iterable[Path], live: Object, now: float) -> None:
        """These fields of the drifted `live` are about to be set as Git says."""
        for path in fields:
            key = (ref, path)
            times = self._repairs.setdefault(key, deque(maxlen=self._rounds))
            times.append(now)
            if len(times) == self._rounds and now - times[0] <= self._window:
                manager = manager_of(live, path)
                self._fights[key] = Fight(ref, ".".join(path), manager, self._rounds, now + self._truce)

    def going_on(self, now: float) -> list[Fight]:
        """x."""
        for key in [key for key, fight in self._fights.items() if fight.until <= now]:
            del self._fights[key]
        for key in [key for key, times in self._repairs.items() if now - times[-1] > self._window + self._truce]:
            del self._repairs[key]
        return sorted(self._fights.values(), key=lambda fight: (fight.ref, fight.field))

    def forget(self, ref: Ref) -> None:
        """Git says something new about it, or it is gone."""
        for known in (self._repairs, self._fights):
            for key in [key for key in known if key[0] == ref]:
                del known[key]


def manager_of(live: Object, path: Path) -> str:
    """Who other than this engine owns a field, the latest writer first; "" if managedFields names nobody."""
    entries = [
        entry
        for entry in objects.metadata(live).get("managedFields") or ()
        if entry.get("manager") != names.FIELD_MANAGER and _owns(entry.get("fieldsV1") or {}, path)
    ]
    latest = max(entries, key=lambda entry: entry.get("time") or "", default=None)
    return (latest or {}).get("manager") or ""


def _owns(fields: Object, path: Sequence[str]) -> bool:
    """An item of a list is named otherwise in managedFields: whoever has one of them counts."""
    node = fields
    for part in path:
        inner = node.get(f"f:{part}")
        if inner is None:
            return any(key.startswith(("k:", "v:", "i:")) for key in node)
        node = inner
    return True
