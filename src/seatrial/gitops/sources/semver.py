"""Versions and ranges of versions, as the Semver library of Helm and Argo CD reads them.

    ^1.2  ~1.2.3  1.x  >=1, <2  1.2 - 2.0  1.x || 3.x

Versions are read loosely (`v1`, `1.2`). A pre-release fits only a list of comparisons of which one names a pre-release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_VERSION, _LONGEST_RANGE, _MOST_ALTERNATIVES = 256, 512, 32
_LARGEST_NUMBER = 2**64 - 1

_SUFFIX = r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+(?P<meta>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_VERSION = re.compile(rf"v?(?P<major>[0-9]+)(?:\.(?P<minor>[0-9]+))?(?:\.(?P<patch>[0-9]+))?{_SUFFIX}", re.ASCII)

_PLACE = r"(?:[0-9]+|[xX*])"
_BARE_SUFFIX = r"(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_BARE = rf"v?{_PLACE}(?:\.{_PLACE})?(?:\.{_PLACE})?{_BARE_SUFFIX}"
_HYPHEN = re.compile(rf"\s*({_BARE})\s+-\s+({_BARE})\s*", re.ASCII)
_OPERATOR = r"(?:=>|>=|=<|<=|!=|~>|=|>|<|~|\^)?"
_LIST = re.compile(rf"\s*{_OPERATOR}\s*{_BARE}\s*(?:(?:\s+|,\s*){_OPERATOR}\s*{_BARE}\s*)*", re.ASCII)
_ITEM = re.compile(rf"(?:^|(?<=[\s,]))({_OPERATOR})\s*({_BARE})", re.ASCII)
_PARTIAL = re.compile(rf"v?(?P<major>{_PLACE})(?:\.(?P<minor>{_PLACE}))?(?:\.(?P<patch>{_PLACE}))?{_SUFFIX}", re.ASCII)
_ANY = ("x", "X", "*", None)


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """Ordered by precedence: what comes after `+` does not count, neither for equality."""

    text: str
    numbers: tuple[int, int, int]
    pre: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError."""
        match = _VERSION.fullmatch(text) if len(text) <= _LONGEST_VERSION else None
        if match is None:
            raise ValueError(f"{text[:80]!r} is not a version: expected for example 1.2.3")
        numbers = int(match["major"]), int(match["minor"] or 0), int(match["patch"] or 0)
        pre = match["pre"] or ""
        if max(numbers) > _LARGEST_NUMBER or any(_is_padded(part) for part in pre.split(".")):
            raise ValueError(f"{text[:80]!r} is not a version: a number is too large or begins with 0")
        return cls(text, numbers, pre)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.numbers == other.numbers and self.pre == other.pre

    def __hash__(self) -> int:
        return hash((self.numbers, self.pre))

    def __lt__(self, other: Version) -> bool:
        return self._rank() < other._rank()

    def _rank(self) -> tuple[tuple[int, int, int], bool, list[tuple[bool, int, str]]]:
        """A release is above its pre-releases; numbers are below words, fewer parts below more."""
        parts = self.pre.split(".") if self.pre else []
        ranks = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
        return self.numbers, not self.pre, ranks


@dataclass(frozen=True, slots=True)
class _Comparison:
    operator: str
    version: Version
    places: int
    """How many of the three numbers were given."""

    def holds(self, version: Version) -> bool:
        match self.operator:
            case "" | "=":
                return self._is_near(version) if self.places < 3 else version == self.version
            case "!=":
                return self._differs(version)
            case ">":
                return version > self.version if self.places in (0, 3) else version.numbers > self._last(version)
            case "<":
                return version < self.version
            case ">=" | "=>":
                return version >= self.version
            case "<=" | "=<":
                return (
                    version <= self.version if self.places == 3 else self._first(version) <= self._first(self.version)
                )
            case "~" | "~>":
                return self._is_near(version)
            case _:
                return self._is_compatible(version)

    def _first(self, version: Version) -> tuple[int, ...]:
        """The numbers that are compared when some are left open. `<=*` is read as `<=0.0`."""
        return version.numbers[: self.places or 2]

    def _last(self, version: Version) -> tuple[int, ...]:
        """The greatest numbers that still begin as this does: `>1.2` begins at 1.3.0."""
        return (*self.version.numbers[: self.places], *version.numbers[self.places :])

    def _is_near(self, version: Version) -> bool:
        """`~1.2.3` is >=1.2.3 and 1.2; `~1` is 1; `~0.0.0` and `~*` are anything."""
        if version < self.version:
            return False
        if self.version.numbers == (0, 0, 0) and self.places in (0, 3):
            return True
        return version.numbers[: min(self.places, 2)] == self.version.numbers[: min(self.places, 2)]

    def _is_compatible(self, version: Version) -> bool:
        """`^1.2.3` is >=1.2.3 and 1; below 1 the first number that is not 0 must stay."""
        if version < self.version:
            return False
        if self.version.numbers[0] > 0 or self.places == 1:
            kept = 1
        elif self.version.numbers[1] > 0 or self.places == 2:
            kept = 2
        else:
            kept = 3
        return version.numbers[:kept] == self.version.numbers[:kept]

    def _differs(self, version: Version) -> bool:
        if self.places in (0, 3):
            return version != self.version
        if version.numbers[: self.places] != self.version.numbers[: self.places]:
            return True
        return self.places == 2 and version.pre != self.version.pre


class Range:
    """Raises ValueError for what is not a range."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > _LONGEST_RANGE:
            raise ValueError(f"the version range is longer than {_LONGEST_RANGE} characters")
        alternatives = _HYPHEN.sub(r">= \1, <= \2 ", text).split("||")
        if len(alternatives) > _MOST_ALTERNATIVES:
            raise ValueError(f"the version range has more than {_MOST_ALTERNATIVES} alternatives")
        self._alternatives = [_comparisons(part) for part in alternatives]

    def matches(self, version: Version) -> bool:
        return any(
            (not version.pre or any(one.version.pre for one in all_of)) and all(one.holds(version) for one in all_of)
            for all_of in self._alternatives
        )

    def highest(self, texts: Iterable[str]) -> str | None:
        """The text of the highest version within; what is no version is passed over."""
        best: Version | None = None
        for text in texts:
            version = parsed(text)
            if version is not None and self.matches(version) and (best is None or version > best):
                best = version
        return best.text if best else None


def parsed(text: str) -> Version | None:
    try:
        return Version.parse(text)
    except ValueError:
        return None


def range_of(text: str) -> Range | None:
    """None for an exact version (a name like any other), and for what is no range."""
    if parsed(text) is not None:
        return None
    try:
        return Range(text)
    except ValueError:
        return None


def _comparisons(text: str) -> list[_Comparison]:
    if _LIST.fullmatch(text) is None:
        raise ValueError(f"{text.strip()[:80]!r} is not a version range: expected for example ^1.2 or >=1.2, <2")
    return [_comparison(match[1], match[2]) for match in _ITEM.finditer(text)]


def _comparison(operator: str, text: str) -> _Comparison:
    match = _PARTIAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a version")
    given: list[str] = []
    for place in (match["major"], match["minor"], match["patch"]):
        if place in _ANY:
            break
        given.append(place)
    suffix = f"-{match['pre']}" if match["pre"] else ""
    version = Version.parse(".".join([*given, *["0"] * (3 - len(given))]) + suffix)
    return _Comparison(operator, version, len(given))


def _is_padded(part: str) -> bool:
    return len(part) > 1 and part[0] == "0" and part.isdigit()
