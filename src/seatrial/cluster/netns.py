"""Work in the network namespace of a pod: what node and network both need."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def inside(descriptor: int, work: Callable[[], None]) -> None:
    """Run `work` in another network namespace: in a thread that ends with it. Raises what it raises."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="pod network")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
