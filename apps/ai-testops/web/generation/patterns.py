"""Texts for a regular expression, written from its parts: no search, so neither time nor luck decides.

What is written is a proposal: expressions of JSON Schema are not quite Python's, and a validator proves the text.
"""

from __future__ import annotations

import re
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from generation.schemas import Unbuildable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PATTERN = 300
MAX_STEPS = 20_000  # an expression of a few letters can ask for millions
MAX_REPEATS = 4  # without an end, in an expression that is given to a backtracking matcher
_ALPHABET = "aA1-_." + "".join(map(chr, range(33, 127))) + " \t"
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_CATEGORIES = {
    sre.CATEGORY_DIGIT: str.isdigit,
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_WORD: lambda letter: letter.isalnum() or letter == "_",
    sre.CATEGORY_NOT_DIGIT: lambda letter: not letter.isdigit(),
    sre.CATEGORY_NOT_SPACE: lambda letter: not letter.isspace(),
    sre.CATEGORY_NOT_WORD: lambda letter: not (letter.isalnum() or letter == "_"),
}


def proposals(pattern: str, length: int) -> Iterator[str]:
    """Texts that may match, of that length as far as the expression allows it."""
    tree = _parsed(pattern)
    for branch in range(4):
        for backward in (False, True):
            try:
                text = _Writer(branch, backward).whole(tree, length)
            except (RecursionError, OverflowError):
                return
            yield text
            if len(text) < length:  # where nothing anchors the end
                yield text + (text[-1:] or "a") * (length - len(text))


def is_tame(pattern: str) -> bool:
    """Whether a backtracking matcher is done with it soon, whatever the text."""
    try:
        ends = list(_open_ends(_parsed(pattern), repeated=False))
    except (Unbuildable, RecursionError):
        return False
    return all(ends) and len(ends) <= MAX_REPEATS


def _parsed(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise Unbuildable(f"its pattern is longer than {MAX_PATTERN} characters")
    try:
        return _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        raise Unbuildable("its pattern is not one that values can be made of") from None


def _open_ends(tree: Any, *, repeated: bool) -> Iterator[bool]:
    """For every repetition of no or a high limit: is it outside every other one?"""
    for kind, value in tree:
        if kind in _REPEATS:
            least, most, inner = value
            many = most > 50 and most != least
            if many:
                yield not repeated
            yield from _open_ends(inner, repeated=repeated or most > 1)
        elif kind in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            yield False
        else:
            for inner in _inner(kind, value):
                yield from _open_ends(inner, repeated=repeated)


def _inner(kind: Any, value: Any) -> list[Any]:
    if kind is sre.SUBPATTERN:
        return [value[3]]
    if kind is sre.BRANCH:
        return list(value[1])
    if kind in (sre.ASSERT, sre.ASSERT_NOT):
        return [value[1]]
    return [value] if kind is sre.ATOMIC_GROUP else []


class _Writer:
    """One way through the alternatives; what may be longer gets the room that is left, from one end or the other."""

    def __init__(self, branch: int, backward: bool) -> None:
        self._branch, self._backward = branch, backward
        self._room = self._steps = 0
        self._groups: dict[int, str] = {}

    def whole(self, tree: Any, length: int) -> str:
        self._room = length - self._least(tree)
        return self._sequence(tree)

    def _least(self, tree: Any) -> int:
        total = 0
        for kind, value in tree:
            if kind in _REPEATS:
                total += value[0] * self._least(value[2])
            elif kind is sre.BRANCH:
                total += self._least(self._chosen(value))
            elif kind in (sre.SUBPATTERN, sre.ATOMIC_GROUP):
                total += self._least(_inner(kind, value)[0])
            elif kind in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY):
                total += 1
        return total

    def _chosen(self, value: Any) -> Any:
        return value[1][self._branch % len(value[1])]

    def _sequence(self, tree: Any) -> str:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise OverflowError
        items = list(tree)
        if not self._backward:
            return "".join(self._text(kind, value) for kind, value in items)
        return "".join(reversed([self._text(kind, value) for kind, value in reversed(items)]))

    def _text(self, kind: Any, value: Any) -> str:
        if kind in _REPEATS:
            return self._repeated(*value)
        if kind is sre.BRANCH:
            return self._sequence(self._chosen(value))
        if kind is sre.SUBPATTERN:
            self._groups[value[0]] = self._sequence(value[3])
            return self._groups[value[0]]
        if kind is sre.ATOMIC_GROUP:
            return self._sequence(value)
        if kind is sre.GROUPREF:
            return self._groups.get(value, "")
        if kind is sre.LITERAL:
            return chr(value)
        if kind in (sre.NOT_LITERAL, sre.IN, sre.ANY):
            return _letter(kind, value)
        return ""  # an anchor, or a look around, which the proof will be the judge of

    def _repeated(self, least: int, most: int, inner: Any) -> str:
        cost = self._least(inner)
        parts = [self._sequence(inner) for _ in range(least)]
        while cost and len(parts) < most and self._room >= cost:
            self._room -= cost
            parts.append(self._sequence(inner))
        return "".join(parts)


def _letter(kind: Any, value: Any) -> str:
    if kind is sre.ANY:
        return "a"
    if kind is sre.NOT_LITERAL:
        return next(letter for letter in _ALPHABET if letter != chr(value))
    negated = value[0][0] is sre.NEGATE
    entries = value[1:] if negated else value
    for letter in _ALPHABET:
        if any(_holds(entry, letter) for entry in entries) != negated:
            return letter
    first_kind, first = entries[0]
    if negated or first_kind is sre.CATEGORY:
        raise OverflowError
    return chr(first[0] if first_kind is sre.RANGE else first)


def _holds(entry: Any, letter: str) -> bool:
    kind, value = entry
    if kind is sre.LITERAL:
        return ord(letter) == value
    if kind is sre.RANGE:
        return value[0] <= ord(letter) <= value[1]
    return bool(_CATEGORIES[value](letter))
