"""buildah with a storage of its own below the cache directory: the same for root and for a normal user.

The storage driver is tried once and written down: `overlay` where the kernel lets this user mount it, else
`fuse-overlayfs`, else `vfs`, which works everywhere and is slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic
from seatrial.pipeline.images import tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROGRAM = "buildah"


class StorageUnusable(Terminal):
    reason = "StorageUnusable"


class Buildah:
    """`cache`: the directory that outlives instances."""

    def __init__(self, cache: Path, environment: Mapping[str, str]) -> None:
        self._directory = cache / "images" / "storage"
        self._program = tool.require(PROGRAM, environment)
        self.environment = dict(environment)

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """Raises StorageUnusable."""
        return [self._program, *self._places(), *self._driver(), *arguments]

    def output(self, *arguments: str | Path) -> str:
        """Raises ToolFailed, StorageUnusable."""
        return tool.output(self.command(*arguments), self.environment)

    def tags(self, repository: str) -> list[str]:
        """The names here that are tags of a repository."""
        images = orjson.loads(self.output("images", "--json") or "[]")
        names = [name for image in images or [] for name in image.get("names") or []]
        return sorted(name for name in names if name.startswith(f"{repository}:"))

    def has(self, name: str) -> bool:
        try:
            self.output("inspect", "--type", "image", "--format", "{{.FromImageID}}", name)
        except tool.ToolFailed:
            return False
        return True

    def _places(self) -> list[str]:
        return ["--root", str(self._directory / "root"), "--runroot", str(self._directory / "run")]

    def _driver(self) -> list[str]:
        chosen = self._directory / "driver"
        try:
            return chosen.read_text().split()
        except FileNotFoundError:
            pass
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        options = self._choose()
        write_atomic(chosen, " ".join(options) + "\n")
        return options

    def _choose(self) -> list[str]:
        candidates = [["--storage-driver", "overlay"]]
        if fuse := tool.find("fuse-overlayfs", self.environment):
            candidates.append([*candidates[0], "--storage-opt", f"overlay.mount_program={fuse}"])
        candidates.append(["--storage-driver", "vfs"])
        said = ""
        for options in candidates:
            try:
                tool.output([self._program, *self._places(), *options, "info"], self.environment)
            except tool.ToolFailed as error:
                said = error.message
            else:
                return options
        raise StorageUnusable(
            f"buildah cannot use a storage in {self._directory}: {said}. "
            "A normal user needs the package uidmap and lines of their own in /etc/subuid and /etc/subgid"
        )
