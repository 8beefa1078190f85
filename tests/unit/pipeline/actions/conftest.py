"""A step as GitHub's runner gives it to an action: inputs in the environment, files for what it says."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.actions.step import Step

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Job:
    """One job of one run; `step` makes its steps."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    @property
    def workspace(self) -> Path:
        return self.directory / "workspace"

    def step(self, state: dict[str, str] | None = None, /, **inputs: str) -> Said:
        self._count += 1
        place = self.directory / f"step{self._count}"
        place.mkdir()
        files = {f"GITHUB_{name}": str(place / name) for name in ("OUTPUT", "ENV", "PATH", "STATE")}
        given = {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in inputs.items()}
        kept = {f"STATE_{name}": value for name, value in (state or {}).items()}
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory / "home"),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_REPOSITORY": "me/shop",
            "GITHUB_RUN_ID": "7",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REF_NAME": "main",
            "GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567",
            "GITHUB_EVENT_PATH": str(self.directory / "event.json"),
            "RUNNER_TEMP": str(self.directory / "temp"),
            "SEATRIAL_CACHE": str(self.directory / "cache"),
            "SEATRIAL_ARTIFACTS": str(self.directory / "artifacts"),
            **self.variables,
        }
        return Said(Step({**environment, **files, **given, **kept}), place)

    def write(self, name: str, text: str = "") -> Path:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.workspace, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Said:
    """A step, and what it has written."""

    step: Step
    place: Path

    @property
    def outputs(self) -> dict[str, str]:
        return self._read("OUTPUT")

    @property
    def state(self) -> dict[str, str]:
        return self._read("STATE")

    @property
    def exported(self) -> dict[str, str]:
        return self._read("ENV")

    @property
    def path(self) -> list[str]:
        file = self.place / "PATH"
        return file.read_text().splitlines() if file.exists() else []

    def _read(self, name: str) -> dict[str, str]:
        file = self.place / name
        text = file.read_text() if file.exists() else ""
        return dict(re.findall(r"^(\S+?)<<(?:\S+)\n(.*?)\nghadelimiter_\S+$", text, re.MULTILINE | re.DOTALL))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for name in ("workspace", "home"):
        (tmp_path / name).mkdir()
    return Job(tmp_path)
