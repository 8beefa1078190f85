"""What is promised, what was measured, and the table of both."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

from contextlib import contextmanager


@dataclass(frozen=True, slots=True)
class Promise:
    row: str
    """Of the workflow's table."""
    text: str
    measured: str
    kept: bool


class Board:
    """Steps as they go, on standard error; promises at the end, on standard output."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self.promises: list[Promise] = []

    @property
    def seconds(self) -> float:
        return self._clock() - self._begun

    def say(self, text: str) -> None:
        print(f"[{self.seconds:6.1f} s] {text}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.say(title)
        begun = self._clock()
        yield
        self.say(f"    done in {self._clock() - begun:.1f} s")

    def promise(self, row: str, text: str, measured: str, *, kept: bool) -> None:
        self.promises.append(Promise(row, text, measured, kept))
        self.say(f"    {'kept' if kept else 'MISSED'}: {text}: {measured}")

    @property
    def missed(self) -> list[Promise]:
        return [promise for promise in self.promises if not promise.kept]

    def table(self) -> str:
        ordered = sorted(self.promises, key=lambda promise: int(promise.row))
        rows = [("", "row", "promise", "measured")]
        rows += [("ok" if each.kept else "MISSED", each.row, each.text, each.measured) for each in ordered]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}".rstrip() for row in rows
        )
