"""actions/upload-artifact and download-artifact: files of a run, kept beside its log."""

from __future__ import annotations

import glob
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.pipeline.actions.step import StepFailed, shown, within
from seatrial.pipeline.workflow import patterns

if TYPE_CHECKING:
    from seatrial.pipeline.actions.step import Step

_NAME = re.compile(r'[^":<>|*?\r\n\\/]{1,200}')


def upload_artifact_main(step: Step) -> None:
    name = step.text("name") or "artifact"
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise StepFailed(f"artifact name '{name}': expected a file name")
    files = _files(step)
    if not files:
        return _nothing(step)
    place = _shelf(step) / name
    if place.exists():
        if not step.flag("overwrite"):
            raise StepFailed(f"artifact '{name}' is there already: another name, or overwrite: true")
        shutil.rmtree(place)
    root = _common(files)
    for path in files:
        target = place / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    size = sum(path.stat().st_size for path in files)
    step.output("artifact-id", name)
    step.say(f"artifact '{name}': {len(files)} files, {size} bytes")
    return None


def _nothing(step: Step) -> None:
    said = f"no file matches {shown(step.lines('path'))}"
    wish = step.text("if-no-files-found") or "warn"
    if wish == "error":
        raise StepFailed(said)
    if wish == "warn":
        step.warning(said)


def download_artifact_main(step: Step) -> None:
    target = within(step.workspace, step.text("path") or ".")
    shelf, name, pattern = _shelf(step), step.text("name"), step.text("pattern")
    here = sorted(entry.name for entry in shelf.iterdir()) if shelf.is_dir() else []
    if name:
        if name not in here:
            raise StepFailed(f"there is no artifact '{name}' in this run; there are: {shown(here)}")
        _copy(shelf / name, target)
    else:
        for each in here:
            if not pattern or patterns.matches(pattern, each):
                _copy(shelf / each, target if step.flag("merge-multiple") else target / each)
    step.output("download-path", str(target))


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _shelf(step: Step) -> Path:
    """Where act's own server would put those of this run."""
    return Path(step.variable("SEATRIAL_ARTIFACTS")) / step.variable("GITHUB_RUN_ID")


def _files(step: Step) -> list[Path]:
    wanted: dict[Path, None] = {}
    for pattern in step.lines("path"):
        if pattern.startswith("!"):
            for path in _matching(step, pattern[1:]):
                wanted.pop(path, None)
        else:
            wanted |= dict.fromkeys(_matching(step, pattern))
    hidden = step.flag("include-hidden-files")
    workspace = step.workspace
    return [path for path in wanted if hidden or not _is_hidden(path, workspace)]


def _is_hidden(path: Path, workspace: Path) -> bool:
    parts = path.relative_to(workspace).parts if path.is_relative_to(workspace) else (path.name,)
    return any(part.startswith(".") for part in parts)


def _matching(step: Step, pattern: str) -> list[Path]:
    found = []
    for name in sorted(glob.glob(str(within(step.workspace, pattern)), recursive=True, include_hidden=True)):
        path = Path(name)
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [each for each in inside if each.is_file()]
    return found


def _common(files: list[Path]) -> Path:
    """One file is at the top; several keep what they do not have in common."""
    return files[0].parent if len(files) == 1 else Path(os.path.commonpath([str(path.parent) for path in files]))
