"""Commit messages that ask for no run."""

from __future__ import annotations

import re

_MARKS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]")
_TRAILER = re.compile(r"\n\n(?:\S+:.*\n)*skip-checks:\s*true\s*(?:\n|$)", re.IGNORECASE)


def mark_in(message: str) -> str:
    """What in the message of a push's head commit asks for no run; "" if nothing does."""
    lower = message.lower()
    for mark in _MARKS:
        if mark in lower:
            return mark
    return "skip-checks: true" if _TRAILER.search(message) else ""
