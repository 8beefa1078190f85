"""One API call, tried again inside its step when the server is busy, restarting or was not heard."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

from seatrial.base.errors import Retryable
from seatrial.kube.control.backoff import doubling
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.base.clock import Clock

T = TypeVar("T")

TRIES = 6
_FIRST, _LONGEST = 0.1, 5.0
_PATIENCE = 30.0
"""The longest Retry-After that is waited for here; a longer one is the operation's retry."""


async def call(clock: Clock, attempt: Callable[[], Awaitable[T]], *, conflicts: bool = True) -> T:
    """`conflicts=False`: a 409 is the caller's, who has to look at the object again. Raises as `attempt`."""
    for failures in range(TRIES - 1):
        try:
            return await attempt()
        except (StatusError, Retryable, TimeoutError) as error:
            if not is_transient(error, conflicts=conflicts):
                raise
            delay = retry_after(error)
            if delay > _PATIENCE:
                raise
        await clock.sleep(delay or doubling(failures, _FIRST, _LONGEST))
    return await attempt()


def is_transient(error: BaseException, *, conflicts: bool = True) -> bool:
    """Whether the same call may succeed within seconds."""
    if isinstance(error, StatusError):
        if error.reason == "Conflict":
            return conflicts
        return error.code in (429, 503, 504) or bool(error.code == 500 and retry_after(error))
    return isinstance(error, TimeoutError | Retryable) and getattr(error, "reason", "") != "NoMatch"


def is_retryable(error: BaseException) -> bool:
    """Whether the same sync may succeed later with nothing changed in Git: who is away may come back."""
    if isinstance(error, StatusError):
        if error.code == 403:
            return "is being terminated" in error.message or "exceeded quota" in error.message
        return error.code not in (400, 401, 405, 409, 413, 415, 422) or error.reason == "Conflict"
    return isinstance(error, TimeoutError | Retryable)


def retry_after(error: BaseException) -> float:
    """Seconds the server asked to wait, 0 if it did not."""
    if not isinstance(error, StatusError):
        return 0.0
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, float(error.details.get("retryAfterSeconds") or error.headers.get("retry-after") or 0))
    return 0.0


def is_gone(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.code == 404


def text_of(error: BaseException) -> str:
    return getattr(error, "message", "") or str(error) or type(error).__name__
