"""Sets of completion indexes and how a status spells them: `0-2,5,7-9`. Pure.

A Job may have a hundred thousand indexes, so a set is kept as spans and never as single numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""First and last, both included."""


@dataclass(frozen=True, slots=True)
class IndexSet:
    """Spans in ascending order with at least one missing index between any two."""

    spans: tuple[Span, ...] = ()

    def __contains__(self, index: int) -> bool:
        place = bisect_right(self.spans, index, key=lambda span: span[0]) - 1
        return place >= 0 and index <= self.spans[place][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __iter__(self) -> Iterator[int]:
        return (index for first, last in self.spans for index in range(first, last + 1))

    def __or__(self, other: IndexSet) -> IndexSet:
        return _joined([*self.spans, *other.spans])

    def __and__(self, other: IndexSet) -> IndexSet:
        found: list[Span] = []
        mine, theirs = iter(self.spans), iter(other.spans)
        one, two = next(mine, None), next(theirs, None)
        while one and two:
            first, last = max(one[0], two[0]), min(one[1], two[1])
            if first <= last:
                found.append((first, last))
            if one[1] <= two[1]:
                one = next(mine, None)
            else:
                two = next(theirs, None)
        return IndexSet(tuple(found))

    def __str__(self) -> str:
        return ",".join(map(_spelled, self.spans))

    def absent(self, count: int, below: int) -> list[int]:
        """The `count` lowest indexes under `below` that are not in the set; fewer if there are no more."""
        return list(islice(self._gaps(below), count))

    def _gaps(self, below: int) -> Iterator[int]:
        start = 0
        for first, last in self.spans:
            yield from range(start, min(first, below))
            start = last + 1
        yield from range(start, below)


EMPTY = IndexSet()


def of(indexes: Iterable[int]) -> IndexSet:
    return _joined([(index, index) for index in indexes])


def parse(text: str, below: int) -> IndexSet:
    """The indexes under `below` that a status or a policy names; a part that makes no sense is passed over."""
    return _joined([span for part in text.split(",") if (span := _span(part, below))])


def _span(part: str, below: int) -> Span | None:
    low, dash, high = part.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()):
        return None
    first = int(low)
    last = min(int(high) if dash else first, below - 1)
    return (first, last) if first <= last else None


def _joined(spans: list[Span]) -> IndexSet:
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return IndexSet(tuple(joined))


def _spelled(span: Span) -> str:
    """Two neighbours are spelled `3,4`, longer spans `3-5`."""
    first, last = span
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"
