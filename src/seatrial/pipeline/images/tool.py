"""Running other people's programs: what they said is kept for the one who has to explain a failure."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_TOLD = 2000


class ToolMissing(Terminal):
    reason = "ToolMissing"


class ToolFailed(Terminal):
    """`said` is the end of its standard error."""

    reason = "ToolFailed"

    def __init__(self, program: str, code: int, said: str) -> None:
        super().__init__(f"{program} failed with exit code {code}{': ' + _last(said) if said.strip() else ''}")
        self.said = said


def find(program: str, environment: Mapping[str, str]) -> str | None:
    return shutil.which(program, path=environment.get("PATH", "/usr/local/bin:/usr/bin:/bin"))


def require(program: str, environment: Mapping[str, str], package: str = "") -> str:
    """Raises ToolMissing."""
    found = find(program, environment)
    if found is None:
        raise ToolMissing(f"there is no {program} on PATH: install it, on Debian by `apt install {package or program}`")
    return found


def output(command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path | None = None) -> str:
    """What it wrote to standard output. Raises ToolFailed."""
    done = subprocess.run(
        [str(part) for part in command], env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True
    )
    if done.returncode:
        raise ToolFailed(_name(command), done.returncode, done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def show(command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
    """Let its output through as it comes. Raises ToolFailed."""
    done = subprocess.run([str(part) for part in command], env=dict(environment), stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ToolFailed(_name(command), done.returncode, "")


def _name(command: Sequence[str | Path]) -> str:
    return str(command[0]).rpartition("/")[2]


def _last(said: str) -> str:
    """Programs end with the reason; lines before it are how they got there."""
    return said.strip()[-_TOLD:].splitlines()[-1]
