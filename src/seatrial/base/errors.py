"""The one error family.

An error is either worth another try (`Retryable`) or not (`Terminal`). `reason` is a CamelCase word for machines,
`message` is for the person reading it and names the object, the field, what was expected and what to do;
`detail` may hold what only a log should see. Each error class is born beside the code that raises it and is
mapped to HTTP, a condition, an event or an exit code at exactly one place each.
"""

from __future__ import annotations


class SeatrialError(Exception):
    """Root of every error Seatrial raises on purpose."""

    reason = "InternalError"

    def __init__(self, message: str, *, reason: str | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        if reason is not None:
            self.reason = reason


class Retryable(SeatrialError):
    """The same call may succeed later; callers back off and try again."""


class Terminal(SeatrialError):
    """The same call will fail again until somebody changes something."""


class InvariantError(AssertionError):
    """The program contradicts itself: a bug of ours, never of the user."""


def invariant(condition: object, message: str) -> None:
    """Like `assert`, but kept under `python -O`."""
    if not condition:
        raise InvariantError(message)
