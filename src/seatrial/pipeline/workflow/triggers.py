"""Whether an event starts a workflow, and why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.pipeline.workflow.patterns import selected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seatrial.pipeline.workflow.file import Workflow

_BRANCH, _TAG = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class Answer:
    starts: bool
    reason: str
    by_paths: bool = False
    """The workflow says itself which paths matter."""


def on_push(workflow: Workflow, ref: str, paths: Sequence[str]) -> Answer:
    """`paths` are those the push changed; nobody asks for those of a tag."""
    if "push" not in workflow.events:
        return Answer(False, f"{workflow.name} does not run on push")
    wanted = workflow.events["push"]
    if ref.startswith(_TAG):
        return _on_tag(workflow.name, wanted, ref.removeprefix(_TAG))
    branch = ref.removeprefix(_BRANCH)
    if not _branch_wanted(wanted, branch):
        return Answer(False, f"{workflow.name} does not run on branch {branch}")
    if "paths" in wanted:
        found = next((path for path in paths if selected(_patterns(wanted["paths"]), path)), None)
        if found is None:
            return Answer(False, f"{workflow.name}: no changed path matches its `paths`", by_paths=True)
        return Answer(True, f"{found} matches `paths` of {workflow.name}", by_paths=True)
    if "paths-ignore" in wanted and paths:
        ignored = _patterns(wanted["paths-ignore"])
        found = next((path for path in paths if not selected(ignored, path)), None)
        if found is None:
            return Answer(False, f"{workflow.name}: its `paths-ignore` leaves out all that changed", by_paths=True)
        return Answer(True, f"{found} is not in `paths-ignore` of {workflow.name}", by_paths=True)
    return Answer(True, f"{workflow.name} runs on push to {branch}")


def _on_tag(name: str, wanted: Mapping[str, Any], tag: str) -> Answer:
    if "tags" in wanted:
        starts = selected(_patterns(wanted["tags"]), tag)
    elif "tags-ignore" in wanted:
        starts = not selected(_patterns(wanted["tags-ignore"]), tag)
    else:
        starts = "branches" not in wanted and "branches-ignore" not in wanted
    return Answer(starts, f"{name} {'runs' if starts else 'does not run'} on tag {tag}", by_paths=True)


def _branch_wanted(wanted: Mapping[str, Any], branch: str) -> bool:
    if "branches" in wanted:
        return selected(_patterns(wanted["branches"]), branch)
    if "branches-ignore" in wanted:
        return not selected(_patterns(wanted["branches-ignore"]), branch)
    return "tags" not in wanted and "tags-ignore" not in wanted


def _patterns(given: Any) -> list[str]:
    return [str(item) for item in given] if isinstance(given, list) else [str(given)]
