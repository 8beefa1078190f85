"""Users of the application while it changes: a steady stream of requests through the Ingress."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from demo.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = ROOT / "tests" / "pods" / "programs" / "load.py"
_END_SECONDS = 30


@dataclass
class Seen:
    """Filled in when the stream has ended."""

    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return int(self.figures["failed"])

    def __str__(self) -> str:
        found = self.figures
        first = f", first {found['failures'][0]}" if found["failures"] else ""
        return f"{found['failed']} of {found['asked']} requests failed{first} (p99 {found['p99'] * 1000:.0f} ms)"


@contextmanager
def traffic(url: str, host: str, path: str, *, rate: float) -> Iterator[Seen]:
    """`rate` requests a second, half over kept connections, until the block is left."""
    address, seen = urlsplit(url), Seen()
    command = [sys.executable, str(_PROGRAM), str(address.hostname), str(address.port), str(rate), host, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield seen
        finally:
            program.terminate()
            said, _ = program.communicate(timeout=_END_SECONDS)
    seen.figures = json.loads(said.splitlines()[-1])
