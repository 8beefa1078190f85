"""Secrets do not reach the log: not as they are, not encoded, not spread over lines.

A `Stream` is what one step prints. A line is held back while its end may be the beginning of a secret; what a secret
that was printed in pieces shows is less than `_HELD_FROM` characters.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
_HELD_FROM = 3
_SHORTEST_LINE = 4
_SHORTEST_ENCODED = 6
_HEAD = 4
_CHUNK = 128
"""Longer needles are cut: each piece is looked for."""
_MOST_HELD = 200


class Masker:
    def __init__(self, values: Iterable[str] = ()) -> None:
        self._needles: set[str] = set()
        self._short: list[str] = []
        self._by_head: dict[str, list[str]] = defaultdict(list)
        """Needles by their first characters: a line has few of all these, mostly none."""
        self._prefixes: dict[str, set[str]] = defaultdict(set)
        """Proper beginnings of needles, by their last character."""
        self.longest = 0
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        for needle in _forms(value):
            if needle not in self._needles:
                self._needles.add(needle)
                if len(needle) < _HEAD:
                    self._short.append(needle)
                else:
                    self._by_head[needle[:_HEAD]].append(needle)
                    self.longest = max(self.longest, len(needle))
                for length in range(_HELD_FROM, len(needle)):
                    self._prefixes[needle[length - 1]].add(needle[:length])

    def mask(self, text: str) -> str:
        """A text that stands alone; lines of it may be pieces of a secret."""
        if not self._needles:
            return text
        stream = Stream(self)
        lines = [masked for line in text.split("\n") for masked in stream.push(line)]
        return "\n".join([*lines, *stream.end()])

    def ranges(self, text: str, *, spread: bool = False) -> list[tuple[int, int]]:
        """Where secrets are, in order, joined where they touch; `spread`: without those too short for that."""
        if not self._needles:
            return []
        heads = {text[place : place + _HEAD] for place in range(len(text) - _HEAD + 1)} & self._by_head.keys()
        needles = [needle for head in heads for needle in self._by_head[head]]
        if not spread:
            needles += self._short
        return _joined([(place, place + len(needle)) for needle in needles for place in _places(needle, text)])

    def unfinished(self, text: str) -> int:
        """Where the longest end of the text begins that a secret may go on from; its length if there is none."""
        fitting = self._prefixes.get(text[-1:], ())
        return len(text) - max((len(prefix) for prefix in fitting if text.endswith(prefix)), default=0)


class Stream:
    """Lines in, masked lines out, in order."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._context = ""
        """The end of what was let go, without blanks around lines."""
        self._held: list[str] = []

    def push(self, line: str) -> list[str]:
        if not self._masker.longest and not self._held:
            return [_masked(line, self._masker.ranges(line))]
        self._held.append(line)
        return self._release(final=len(self._held) > _MOST_HELD)

    def end(self) -> list[str]:
        return self._release(final=True)

    def _release(self, *, final: bool) -> list[str]:
        texts = [line.strip() for line in self._held]
        joined = self._context + "".join(texts)
        ranges = self._masker.ranges(joined, spread=True)
        bound = len(joined) if final else self._masker.unfinished(joined)
        released: list[str] = []
        place = len(self._context)
        for line, text in zip(self._held, texts, strict=True):
            if place + len(text) > bound or (bound < place and not final):
                break
            released.append(self._masked(line, text, place, ranges))
            place += len(text)
        del self._held[: len(released)]
        self._context = joined[:place][-self._masker.longest :] if self._masker.longest else ""
        return released

    def _masked(self, line: str, text: str, place: int, ranges: list[tuple[int, int]]) -> str:
        lead = len(line) - len(line.lstrip()) if text else 0
        inside = [
            (max(start, place) - place + lead, min(end, place + len(text)) - place + lead)
            for start, end in ranges
            if start < place + len(text) and end > place
        ]
        return _masked(line, _joined([*inside, *self._masker.ranges(line)]))


def _forms(value: str) -> set[str]:
    """What a secret may look like in an output."""
    whole = value.strip()
    if not whole:
        return set()
    lines = [line.strip() for line in whole.splitlines()]
    found = {whole, *(line for line in lines if len(line) >= _SHORTEST_LINE)}
    if "\n" in whole:
        found.discard(whole)
        found.add("".join(lines))
    if len(whole) >= _SHORTEST_LINE:
        found |= {quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], value.encode().hex()}
        for each in {value, whole, f"{whole}\n"}:
            found |= _base64_forms(each.encode())
    return {form[start : start + _CHUNK] for form in found for start in range(0, len(form), _CHUNK) if form}


def _base64_forms(value: bytes) -> set[str]:
    """The part of an encoding that is the same whatever stands before and after, for each of the three places."""
    found = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode().rstrip("=")
        fixed = encoded[(0, 2, 3)[before] : (before + len(value)) * 8 // 6]
        if len(fixed) >= _SHORTEST_ENCODED:
            found |= {fixed, fixed.replace("+", "-").replace("/", "_")}
    return found


def _places(needle: str, text: str) -> Iterable[int]:
    place = text.find(needle)
    while place >= 0:
        yield place
        place = text.find(needle, place + 1)


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _masked(line: str, ranges: list[tuple[int, int]]) -> str:
    for start, end in reversed(ranges):
        line = line[:start] + MASK + line[end:]
    return line
