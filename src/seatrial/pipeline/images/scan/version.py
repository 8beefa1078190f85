"""Debian's order of versions (deb-version(7)): epoch, upstream version, revision; `~` sorts before the end."""

from __future__ import annotations

import re
from functools import total_ordering

_PART = re.compile(r"(\D*)(\d*)")


@total_ordering
class Version:
    def __init__(self, text: str) -> None:
        epoch, colon, rest = text.partition(":")
        if not colon or not epoch.isdigit():
            epoch, rest = "0", text
        upstream, dash, revision = rest.rpartition("-")
        self._key = (int(epoch), _key(upstream if dash else rest), _key(revision if dash else ""))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _key(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Words and numbers in turn; each word ends with what sorts after `~` and before everything else."""
    parts = [((*(_weight(mark) for mark in word), 0), int(number or 0)) for word, number in _PART.findall(text)]
    while parts and parts[-1] == ((0,), 0):
        parts.pop()
    return (*parts, ((0,), 0))


def _weight(mark: str) -> int:
    if mark == "~":
        return -1
    return ord(mark) if mark.isalpha() else ord(mark) + 256
