"""docker/build-push-action, by `seatrial image build`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from seatrial.pipeline.actions.step import StepFailed, within

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.pipeline.actions.step import Step

_NOT_DONE = ("secrets", "secret-files", "ssh", "outputs", "platforms", "build-contexts", "network", "allow")
_PLATFORMS = ("linux/amd64", "")


def build_push_main(step: Step) -> int:
    asked_for = [name for name in _NOT_DONE if step.text(name) and not (name == "platforms" and _is_own(step))]
    if asked_for:
        raise StepFailed(f"input `{asked_for[0]}`: images are not built with it here: leave it out")
    context = step.text("context") or "."
    if "://" in context or context.startswith("git@"):
        raise StepFailed(f"context '{context}': expected a directory of the workspace")
    tags = step.lines("tags", commas=True)
    if step.flag("push") and not tags:
        raise StepFailed("push: true without `tags`: there is no name to push to")
    number, pushed = step.temporary / "image-id", step.temporary / "image-digest"
    number.unlink(missing_ok=True)
    pushed.unlink(missing_ok=True)
    told = ["--iidfile", str(number)]
    if step.flag("push"):
        told += ["--digestfile", str(pushed)]
    code = step.seatrial("image", "build", *_options(step, tags), *told, str(within(step.workspace, context)))
    if code:
        raise StepFailed(f"the image was not built (exit code {code}): see above")
    identity = number.read_text().strip()
    digest = _pushed(pushed) if step.flag("push") else identity
    step.output("imageid", identity)
    step.output("digest", digest)
    step.output("metadata", orjson.dumps({"containerimage.digest": digest, "image.name": ",".join(tags)}).decode())
    return 0


def _pushed(told: Path) -> str:
    """The registry's digest; docker and podman do not tell it."""
    return told.read_text() if told.exists() else ""


def _is_own(step: Step) -> bool:
    return all(re.sub(r"\s", "", platform) in _PLATFORMS for platform in step.lines("platforms", commas=True))


def _options(step: Step, tags: list[str]) -> list[str]:
    made = [part for tag in tags for part in ("-t", tag)]
    if name := step.text("file"):
        made += ["-f", str(within(step.workspace, name))]
    for argument in step.lines("build-args"):
        made += ["--build-arg", argument]
    for label in step.lines("labels"):
        made += ["--label", label]
    if target := step.text("target"):
        made += ["--target", target]
    if step.flag("no-cache"):
        made.append("--no-cache")
    if step.flag("push"):
        made.append("--push")
    return made
