"""A step as a JavaScript action sees it: inputs in the environment, outputs and state through files.

Source: GitHub's "Workflow commands" (environment files, annotations) and "Metadata syntax" (INPUT_ variables).
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE", "")


class StepFailed(Terminal):
    reason = "StepFailed"


@dataclass
class Step:
    environment: Mapping[str, str]

    # what it is given

    def text(self, name: str) -> str:
        """An input; "" where there is none."""
        return self.environment.get(f"INPUT_{name.replace(' ', '_').upper()}", "").strip()

    def needed(self, name: str) -> str:
        """Raises StepFailed."""
        if not (value := self.text(name)):
            raise StepFailed(f"input `{name}`: expected a value, there is none")
        return value

    def flag(self, name: str) -> bool:
        """Raises StepFailed."""
        value = self.text(name)
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise StepFailed(f"input `{name}`: expected true or false, not '{value}'")

    def lines(self, name: str, *, commas: bool = False) -> list[str]:
        """An input of several values, one a line (or also by commas)."""
        text = self.text(name)
        parts = text.replace(",", "\n").splitlines() if commas else text.splitlines()
        return [part.strip() for part in parts if part.strip()]

    def state(self, name: str) -> str:
        """What the main phase left for the post phase."""
        return self.environment.get(f"STATE_{name}", "")

    def variable(self, name: str) -> str:
        """Raises StepFailed."""
        if not (value := self.environment.get(name)):
            raise StepFailed(f"{name} is not set: this step runs in a workflow only")
        return value

    @property
    def workspace(self) -> Path:
        return Path(self.variable("GITHUB_WORKSPACE"))

    @property
    def temporary(self) -> Path:
        place = Path(self.environment.get("RUNNER_TEMP") or self.environment.get("TMPDIR") or "/tmp")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def kept(self, name: str) -> Path:
        """A directory that outlives runs and instances, for this repository alone."""
        cache = self.environment.get("SEATRIAL_CACHE") or str(Path.home() / ".cache" / "seatrial")
        repository = self.environment.get("GITHUB_REPOSITORY", "none").replace("/", "_")
        place = Path(cache) / name / repository
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return place

    # what it says

    def output(self, name: str, value: str) -> None:
        self._append("GITHUB_OUTPUT", name, value)

    def export(self, name: str, value: str) -> None:
        """A variable of the steps that follow."""
        self._append("GITHUB_ENV", name, value)

    def save(self, name: str, value: str) -> None:
        self._append("GITHUB_STATE", name, value)

    def add_path(self, directory: Path) -> None:
        with Path(self.variable("GITHUB_PATH")).open("a", encoding="utf-8") as file:
            file.write(f"{directory}\n")

    def _append(self, variable: str, name: str, value: str) -> None:
        delimiter = f"ghadelimiter_{secrets.token_hex(8)}"
        with Path(self.variable(variable)).open("a", encoding="utf-8") as file:
            file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")

    def say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def notice(self, text: str) -> None:
        self.say(f"::notice::{_escaped(text)}")

    def warning(self, text: str) -> None:
        self.say(f"::warning::{_escaped(text)}")

    def error(self, text: str) -> None:
        self.say(f"::error::{_escaped(text)}")

    # what it does

    def run(self, *command: str, at: Path | None = None, given: str | None = None) -> str:
        """What it prints. Raises StepFailed."""
        done = subprocess.run(
            command, cwd=at, env=dict(self.environment), input=given, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StepFailed(f"{shlex.join(command[:4])} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
        return done.stdout

    def seatrial(self, *arguments: str) -> int:
        """Our own command line, its output in the step's log; the exit code."""
        command = [sys.executable, "-I", "-m", "seatrial", *arguments]
        return subprocess.run(command, cwd=self.workspace, env=dict(self.environment), check=False).returncode


def within(workspace: Path, name: str) -> Path:
    """A path that a workflow names, below its workspace unless it is absolute."""
    return workspace / os.path.expanduser(name)


def shown(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
