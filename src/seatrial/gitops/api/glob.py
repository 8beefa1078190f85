"""Argo CD's globs: `*`, `**`, `?`, `[a-z]`, `[!a]`, `{a,b}`.

With a separator `*` and `?` stop at it, and `**` does not.
"""

from __future__ import annotations

import re
from functools import lru_cache

DENY = "!"
_LONGEST = 1024
"""A pattern beyond this is taken for a mistake and matches nothing."""


def matches(pattern: str, text: str, separator: str = "") -> bool:
    """A malformed pattern matches nothing."""
    if pattern == "*" and not separator:
        return True
    compiled = _compiled(pattern, separator)
    return compiled is not None and compiled.fullmatch(text) is not None


def admits(pattern: str, text: str, separator: str = "") -> bool:
    """As `matches`; `!pattern` admits whatever `pattern` does not match."""
    if pattern == "*":
        return True
    if pattern.startswith(DENY):
        return not matches(pattern[1:], text, separator)
    return matches(pattern, text, separator)


@lru_cache(maxsize=1024)
def _compiled(pattern: str, separator: str) -> re.Pattern[str] | None:
    if len(pattern) > _LONGEST:
        return None
    try:
        return re.compile(_translated(pattern, separator), re.DOTALL)
    except (re.error, ValueError):
        return None


def _translated(pattern: str, separator: str) -> str:
    """The same as a regular expression. Raises ValueError for an open bracket or brace."""
    one = f"[^{re.escape(separator)}]" if separator else "."
    out: list[str] = []
    depth, at = 0, 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            stars = 1
            while pattern[at : at + 1] == "*":
                stars, at = stars + 1, at + 1
            out.append(".*" if stars > 1 else f"{one}*")
        elif char == "?":
            out.append(one)
        elif char == "[":
            end = pattern.index("]", at + 1)
            out.append(_set(pattern[at:end]))
            at = end + 1
        elif char == "{":
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        else:
            if char == "\\" and at < len(pattern):
                char, at = pattern[at], at + 1
            out.append(re.escape(char))
    if depth:
        raise ValueError(pattern)
    return "".join(out)


def _set(inside: str) -> str:
    negated = inside[:1] in ("!", "^")
    body = (inside[1:] if negated else inside).replace("\\", "\\\\").replace("[", "\\[")
    return f"[{'^' if negated else ''}{body}]"
