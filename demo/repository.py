"""The developer's working copy of AI TestOps: an ordinary Git repository, pushed to the instance's git server."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from demo.machine import ROOT, Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from demo.machine import Machine

APPLICATION = ROOT / "apps" / "ai-testops"
_NOT_OF_IT = shutil.ignore_patterns(
    ".venv", ".git", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis", ".coverage*", "static-collected"
)


class Repository:
    def __init__(self, machine: Machine, directory: Path) -> None:
        self._machine = machine
        self.directory = directory
        self.url = f"{machine.state()['git']['url']}ai-testops.git"

    def create(self) -> None:
        """As somebody who takes the application from where it is published and makes it their own."""
        shutil.copytree(APPLICATION, self.directory, ignore=_NOT_OF_IT)
        self.git("init", "--quiet", "-b", "main")
        self.git("config", "user.name", "Dana Developer")
        self.git("config", "user.email", "dana@example.com")
        self.git("remote", "add", "origin", self.url)

    def git(self, *arguments: str) -> str:
        return self._machine.run("git", *arguments, at=self.directory)

    def commit(self, message: str) -> str:
        """And push it, onto whatever the pipeline has pushed meanwhile; the commit."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", message)
        for _ in range(5):
            if self._machine.result("git", "push", "--quiet", "origin", "main", at=self.directory).returncode == 0:
                return self.head()
            self.pull()
        raise Failed(f"git push of '{message}' was refused five times")

    def pull(self) -> None:
        self.git("pull", "--quiet", "--rebase", "origin", "main")

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").strip()

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Raises Failed if nothing changed."""
        path = self.directory / name
        before = path.read_text()
        after = change(before)
        if after == before:
            raise Failed(f"{name}: the edit changed nothing")
        path.write_text(after)

    def replace(self, name: str, pattern: str, new: str) -> None:
        self.edit(name, lambda text: re.sub(pattern, new, text, count=1, flags=re.MULTILINE))
