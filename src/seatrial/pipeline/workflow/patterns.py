"""GitHub's filter patterns for branches, tags and paths.

`*` is anything but a slash, `**` anything, `?` and `+` say how often the character before them comes, `[]` is a set,
`\\` takes the next character as it is. Of several patterns the last that matches decides; `!` turns one round.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST, _MOST_STARS = 256, 12
"""Beyond, a pattern could keep the process busy: it is taken literally."""


def selected(patterns: Sequence[str], text: str) -> bool:
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            found = found and not matches(pattern[1:], text)
        else:
            found = found or matches(pattern, text)
    return found


def matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    if len(pattern) > _LONGEST or pattern.count("*") > _MOST_STARS:
        return re.compile(re.escape(pattern))
    parts: list[str] = []
    place = 0
    while place < len(pattern):
        part, place = _next(pattern, place, bool(parts))
        parts.append(part)
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return re.compile(re.escape(pattern))


def _next(pattern: str, place: int, after_something: bool) -> tuple[str, int]:
    """The expression of what stands at `place`, and where the next begins."""
    char = pattern[place]
    if pattern.startswith("**/", place) and (place == 0 or pattern[place - 1] == "/"):
        return "(?:[^/]+/)*", place + 3
    if pattern.startswith("**", place):
        return ".*", place + 2
    if char == "*":
        return "[^/]*", place + 1
    if char in "?+" and after_something and pattern[place - 1] not in "*?+":
        return char, place + 1
    if char == "\\" and place + 1 < len(pattern):
        return re.escape(pattern[place + 1]), place + 2
    if char == "[" and (end := pattern.find("]", place + 1)) > place + 1:
        inside = pattern[place + 1 : end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
        return f"[{inside}]", end + 1
    return re.escape(char), place + 1
