"""How long to wait before the next try: doubling delays with a cap, spread so that waiters do not march in step.

The spread comes from the seed and the attempt, not from a random source: the same run waits the same again.
"""

from __future__ import annotations

import zlib


def doubling(failures: int, base: float, cap: float) -> float:
    """`base` after the first failure (0), then twice as long each time, `cap` at most."""
    return min(cap, base * 2.0 ** min(failures, 62))


class Backoff:
    """One waiter's delays; `reset` after a success."""

    def __init__(self, seed: str, *, base: float = 0.5, cap: float = 30.0) -> None:
        self._seed = seed
        self._base = base
        self._cap = cap
        self._failures = 0
        self._drawn = 0

    def next(self) -> float:
        """Between half and all of the doubled delay."""
        delay = doubling(self._failures, self._base, self._cap)
        self._failures += 1
        self._drawn += 1
        spread = zlib.crc32(f"{self._seed}:{self._drawn}".encode()) / 2**32
        return delay * (0.5 + spread / 2)

    def reset(self) -> None:
        self._failures = 0
