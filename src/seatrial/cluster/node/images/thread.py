"""Blocking work in a thread that nobody abandons.

A cancelled `asyncio.to_thread` leaves its thread running: it would go on writing while the lock it relies on is
released and its descriptor is somebody else's. Here the caller waits for the thread, and is cancelled then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def finish(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **named))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # it is the cancellation that counts
        raise cancelled
    return running.result()
