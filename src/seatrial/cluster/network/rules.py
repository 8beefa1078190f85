"""A table of the firewall as fragments, one for each thing that needs rules, and the least change between two states.

A fragment owns sets and chains, and puts elements into sets, also shared ones. `Table` knows what the kernel has;
`apply` brings it to what is wanted, in one transaction. Knows nothing of Services or policies.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.network.nft import RulesRefused

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from seatrial.cluster.network.nft import Nft

log = logging.getLogger(__name__)


class Element(NamedTuple):
    set: str
    key: str
    value: str = ""
    """Only in a map."""

    def __str__(self) -> str:
        return f"{self.key} : {self.value}" if self.value else self.key


@dataclass(frozen=True, slots=True)
class Fragment:
    sets: Mapping[str, str] = field(default_factory=dict)
    """Name -> declaration: `set {type ipv4_addr;}`, or `map {...}`."""
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> rules. A chain may jump only to chains of its own or of the base."""
    elements: frozenset[Element] = frozenset()


NOTHING = Fragment()


class Table:
    """`base` declares what is always there: base chains and shared sets."""

    def __init__(self, nft: Nft, name: str, base: str) -> None:
        self._nft = nft
        self._name = name
        self._base = base
        self._applied: dict[Hashable, Fragment] = {}
        self._counts: Counter[Element] = Counter()
        """How many applied fragments put an element in."""
        self._is_whole = False

    async def apply(self, changes: Mapping[Hashable, Fragment | None]) -> None:
        """Replace fragments (None: remove them). One that the kernel refuses is left out, and the log says so."""
        if self._is_whole:
            commands, counts = self._difference(changes)
            try:
                if commands:
                    await self._nft.run(commands)
            except RulesRefused as error:
                log.warning("rules are made anew", extra={"table": self._name, "error": error})
                self._is_whole = False
            else:
                self._took(changes, counts)
                return
        await self._make_anew({**self._applied, **changes})

    async def _make_anew(self, wanted: Mapping[Hashable, Fragment | None]) -> None:
        self._applied, self._counts = {}, Counter()
        table = f"table ip {self._name}"
        reset = f"{table} {{}}\ndelete {table}\n{table} {{\n{self._base}\n}}\n"
        commands, counts = self._difference(wanted)
        try:
            await self._nft.run(reset + commands)
            self._took(wanted, counts)
        except RulesRefused:
            await self._nft.run(reset)
            await self._one_by_one(wanted)
        self._is_whole = True

    async def _one_by_one(self, wanted: Mapping[Hashable, Fragment | None]) -> None:
        for key, fragment in wanted.items():
            commands, counts = self._difference({key: fragment})
            try:
                if commands:
                    await self._nft.run(commands)
                self._took({key: fragment}, counts)
            except RulesRefused as error:
                log.error("rules refused", extra={"table": self._name, "key": key, "error": error})

    def _took(self, changes: Mapping[Hashable, Fragment | None], counts: Counter[Element]) -> None:
        self._counts = counts
        for key, fragment in changes.items():
            if fragment is None:
                self._applied.pop(key, None)
            else:
                self._applied[key] = fragment

    def _difference(self, changes: Mapping[Hashable, Fragment | None]) -> tuple[str, Counter[Element]]:
        """Commands in an order the kernel accepts: nothing is used before it is there or removed while in use."""
        made, filled, freed = _Lines(self._name), _Lines(self._name), _Lines(self._name)
        delta: Counter[Element] = Counter()
        for key, fragment in changes.items():
            old, new = self._applied.get(key, NOTHING), fragment or NOTHING
            if old is not new:
                _sets_and_chains(old, new, made, filled, freed)
                delta.update(new.elements)
                delta.subtract(old.elements)
        counts = self._counts.copy()
        for element, change in delta.items():
            counts[element] += change
            if counts[element] <= 0:
                del counts[element]
        removed = [item for item in delta if item in self._counts and item not in counts]
        added = [item for item in delta if item in counts and item not in self._counts]
        declared = {name for fragment in changes.values() for name in (fragment or NOTHING).sets}
        gone = {name for key in changes for name in self._applied.get(key, NOTHING).sets} - declared
        filled.elements("delete", [item for item in removed if item.set not in gone])
        filled.elements("add", added)
        return "\n".join(made.lines + filled.lines + freed.lines), counts


def _sets_and_chains(old: Fragment, new: Fragment, made: _Lines, filled: _Lines, freed: _Lines) -> None:
    for name, declaration in new.sets.items():
        if name not in old.sets:
            kind, _, body = declaration.partition(" ")
            made.add(f"add {kind}", name, body)
    for name, rules in new.chains.items():
        if name not in old.chains:
            made.add("add chain", name)
        if rules != old.chains.get(name):
            if name in old.chains:
                filled.add("flush chain", name)
            for rule in rules:
                filled.add("add rule", name, rule)
    gone = [name for name in old.chains if name not in new.chains]
    for name in gone:
        filled.add("flush chain", name)
    for name in gone:
        freed.add("delete chain", name)
    for name, declaration in old.sets.items():
        if name not in new.sets:
            freed.add(f"delete {declaration.partition(' ')[0]}", name)


class _Lines:
    def __init__(self, table: str) -> None:
        self._table = table
        self.lines: list[str] = []

    def add(self, verb: str, name: str, rest: str = "") -> None:
        self.lines.append(f"{verb} ip {self._table} {name} {rest}".rstrip())

    def elements(self, verb: str, items: Iterable[Element]) -> None:
        by_set: dict[str, list[str]] = {}
        for item in items:
            by_set.setdefault(item.set, []).append(item.key if verb == "delete" else str(item))
        for name, keys in by_set.items():
            self.add(f"{verb} element", name, "{ " + ", ".join(keys) + " }")
