"""One instance of Seatrial and the commands a user gives: seatrial, kubectl, git, skopeo, curl."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


class Failed(Exception):
    """A step did not do what the next one needs."""


class Machine:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SEATRIAL_DATA_DIR": str(directory)}

    def up(self) -> None:
        self.run("seatrial", "up", "--detach", "--runtime", "oci", seconds=60)
        for line in self.run("seatrial", "env").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.environment[name] = shlex.split(value)[0]

    def delete(self) -> None:
        """What runs there, if anything, and what it stored."""
        self.run("seatrial", "down", "--delete", seconds=60)

    def state(self) -> dict[str, Any]:
        done = self.result("seatrial", "status", "-o", "json")
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        return found

    def result(
        self, *command: str, at: Path | None = None, given: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command, cwd=at, env=self.environment, input=given, capture_output=True, text=True,
                timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{shlex.join(command)}: not done within {seconds:.0f} s") from error

    def run(self, *command: str, at: Path | None = None, given: str | None = None, seconds: float = 120) -> str:
        """What it printed. Raises Failed with what it said."""
        done = self.result(*command, at=at, given=given, seconds=seconds)
        if done.returncode:
            raise Failed(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.run("kubectl", *arguments, given=given)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def until(self, check: Callable[[], Any], what: str, seconds: float, pause: float = 0.05) -> float:
        """How long it took. Raises Failed."""
        begun = time.monotonic()
        while not check():
            if time.monotonic() - begun > seconds:
                raise Failed(f"not within {seconds:.0f} s: {what}")
            time.sleep(pause)
        return time.monotonic() - begun
