"""Debian's order of versions (deb-version(7)): epoch, upstream version, revision; `~` sorts before the end."""

from __future__ import annotations

import re
from functools import total_ordering
from itertools import zip_longest

_PART = re.compile(r"(\D*)(\d*)")
_Part = tuple[tuple[int, ...], int]
_END: _Part = ((0,), 0)
"""The end sorts after `~` and before everything else."""


@total_ordering
class Version:
    def __init__(self, text: str) -> None:
        epoch, colon, rest = text.partition(":")
        if not colon or not epoch.isdigit():
            epoch, rest = "0", text
        upstream, dash, revision = rest.rpartition("-")
        self._key: tuple[int, tuple[_Part, ...], tuple[_Part, ...]] = (
            int(epoch),
            _key(upstream if dash else rest),
            _key(revision if dash else ""),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        if self._key[0] != other._key[0]:
            return self._key[0] < other._key[0]
        for one, another in zip(self._key[1:], other._key[1:], strict=True):
            for ours, its in zip_longest(one, another, fillvalue=_END):
                if ours != its:
                    return ours < its
        return False

    def __hash__(self) -> int:
        return hash(self._key)


def _key(text: str) -> tuple[_Part, ...]:
    """Words and numbers in turn, without what says nothing at the end."""
    parts: list[_Part] = [
        ((*(_weight(mark) for mark in word), 0), int(number or 0)) for word, number in _PART.findall(text)
    ]
    while parts and parts[-1] == _END:
        parts.pop()
    return tuple(parts)


def _weight(mark: str) -> int:
    if mark == "~":
        return -1
    return ord(mark) if mark.isalpha() else ord(mark) + 256
