"""A Dockerfile read as far as a build needs it here: its bases, and where its stages begin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)
_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+[Aa][Ss]\s+(\S+))?\s*")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?[-+]([^}]*))?\}|(\w+))")


def bases(text: str, arguments: Mapping[str, str]) -> list[str]:
    """The images that its stages begin from, `scratch` and other stages left out, with ARGs filled in."""
    known: dict[str, str] = {}
    stages: set[str] = set()
    found: list[str] = []
    for keyword, rest, _end in _instructions(text):
        if keyword == "ARG" and not found and not stages:
            for word in rest.split():
                name, _, value = word.partition("=")
                known[name] = arguments.get(name, value.strip("\"'"))
        elif keyword == "FROM" and (match := _FROM.fullmatch(rest)):
            base = _filled(match[1], known)
            if base.lower() not in stages and base != "scratch":
                found.append(base)
            stages.add((match[2] or "").lower())
    return list(dict.fromkeys(found))


def with_arguments(text: str, names: list[str]) -> str:
    """Each stage declares these ARGs at its beginning."""
    if not names:
        return text
    lines = text.splitlines()
    after = {end for keyword, _, end in _instructions(text) if keyword == "FROM"}
    told = []
    for number, line in enumerate(lines, 1):
        told.append(line)
        if number in after:
            told.extend(f"ARG {name}" for name in names)
    return "\n".join(told) + "\n"


def _filled(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return known.get(match[1] or match[3]) or match[2] or ""

    return _VARIABLE.sub(value, text)


def _instructions(text: str) -> Iterator[tuple[str, str, int]]:
    """Keyword, rest and the number of the last line."""
    joined = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        stripped = line.rstrip()
        joined += stripped.removesuffix("\\")
        if stripped.endswith("\\"):
            joined += " "
            continue
        if match := _INSTRUCTION.fullmatch(joined):
            yield match[1].upper(), match[2].strip(), number
        joined = ""
