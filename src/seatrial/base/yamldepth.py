"""A bound on how deep YAML may be, to be checked before libyaml's composer sees it.

The composer recurses in C: some twenty thousand brackets overflow its stack and end the process, which no `except`
prevents. The check over-counts (brackets in texts count too) and is linear.
"""

from __future__ import annotations

import re

DEEPEST = 500

_BRACKETS = re.compile(rb"[\[\]{}]")
_ONE_LINE = re.compile(rb"(?:[-?:][ \t]+){%d}" % DEEPEST)
"""`- - - - ...`: a level each."""
_INDENTED = re.compile(rb"^ {%d}" % DEEPEST, re.MULTILINE)
"""A level by indentation costs at least a column."""


class TooDeep(ValueError):
    """Not worth parsing, whoever wrote it."""


def check(content: bytes | str) -> None:
    """Raises TooDeep."""
    data = content.encode() if isinstance(content, str) else content
    if data.count(b"[") + data.count(b"{") > DEEPEST:
        _check_flow(data)
    if _ONE_LINE.search(data) or _INDENTED.search(data):
        raise TooDeep(f"it is nested more than {DEEPEST} levels deep")


def _check_flow(data: bytes) -> None:
    depth = 0
    for bracket in _BRACKETS.finditer(data):
        depth = depth + 1 if bracket[0] in b"[{" else max(0, depth - 1)
        if depth > DEEPEST:
            raise TooDeep(f"it is nested more than {DEEPEST} levels deep")
