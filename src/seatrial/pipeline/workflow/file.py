"""A workflow file, read as far as it matters outside a run: when it runs, what jobs and steps it will have.

What is wrong with a file is told with its line. `act` reads the same file itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from seatrial.base import yamldepth
from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = ".github/workflows"
LARGEST = 1 << 20
DEFAULT_TIMEOUT = 360 * 60.0
_LONGEST_NAME = 100
_ACTION = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:/[^@]*)?@")


class WorkflowInvalid(Terminal):
    reason = "WorkflowInvalid"

    def __init__(self, path: str, message: str, line: int = 0, column: int = 0) -> None:
        place = f"{path}:{line}:{column}" if line else path
        super().__init__(f"{place}: {message}")
        self.path, self.said, self.line, self.column = path, message, line, column

    def to_json(self) -> dict[str, Any]:
        found = {"message": self.said, "path": self.path}
        return {**found, "line": self.line, "column": self.column} if self.line else found


@dataclass(frozen=True, slots=True)
class Step:
    key: str
    """As act names it: its id, or its place in the job."""
    name: str


@dataclass(frozen=True, slots=True)
class Job:
    key: str
    name: str
    steps: tuple[Step, ...]
    labels: tuple[str, ...]
    """Of `runs-on`."""
    timeout: float = DEFAULT_TIMEOUT
    line: int = 0
    may_fail: bool = False
    not_done: tuple[str, ...] = ()
    """What it asks for and this runner has not."""


@dataclass(frozen=True, slots=True)
class Workflow:
    path: str
    name: str
    events: Mapping[str, Mapping[str, Any]]
    jobs: tuple[Job, ...]
    concurrency: Any = None
    """As written: a group, or {group, cancel-in-progress}."""
    lines: Mapping[str, int] = field(default_factory=dict)
    actions: tuple[str, ...] = ()
    """`owner/repo` of the actions its steps use."""
    uses: tuple[str, ...] = ()
    """The same as they are written: `owner/repo/path@ref`."""


def parse(path: str, content: bytes) -> Workflow:
    """Raises WorkflowInvalid."""
    root, document = _load(path, content)
    if not isinstance(document, dict):
        raise WorkflowInvalid(path, "expected a mapping with `on` and `jobs`", 1, 1)
    lines = {key.value: key.start_mark.line + 1 for key, _ in root.value} if root is not None else {}
    events = _events(path, document.get("on", document.get(True)), lines.get("on", 1))
    jobs = document.get("jobs")
    if not isinstance(jobs, dict) or not jobs:
        raise WorkflowInvalid(path, "`jobs`: expected at least one job", lines.get("jobs", 1), 1)
    places = _job_lines(root)
    for key, job in jobs.items():
        _check_needs(path, str(key), job, jobs, places.get(str(key), 0))
    return Workflow(
        path,
        str(document.get("name") or path),
        events,
        tuple(_job(path, str(key), job, places.get(str(key), 0)) for key, job in jobs.items()),
        document.get("concurrency"),
        lines,
        *_actions(jobs),
    )


def _load(path: str, content: bytes) -> tuple[yaml.MappingNode | None, Any]:
    if len(content) > LARGEST:
        raise WorkflowInvalid(path, f"larger than {LARGEST >> 20} MiB")
    try:
        yamldepth.check(content)
        text = content.decode("utf-8-sig")
        root = yaml.compose(text, yaml.SafeLoader)
        document = yaml.safe_load(text)
    except UnicodeDecodeError:
        raise WorkflowInvalid(path, "it is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = "; ".join(part for part in (error.context, error.problem) if part) or "not YAML"
        raise WorkflowInvalid(path, said, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise WorkflowInvalid(path, f"not YAML: {str(error)[:200]}") from None
    return (root if isinstance(root, yaml.MappingNode) else None), document


def _job_lines(root: yaml.MappingNode | None) -> dict[str, int]:
    for key, value in root.value if root is not None else ():
        if key.value == "jobs" and isinstance(value, yaml.MappingNode):
            return {str(name.value): name.start_mark.line + 1 for name, _ in value.value}
    return {}


def _events(path: str, given: Any, line: int) -> dict[str, Mapping[str, Any]]:
    if isinstance(given, str):
        return {given: {}}
    if isinstance(given, list):
        return {str(event): {} for event in given}
    if isinstance(given, dict):
        return {str(event): found if isinstance(found, dict) else {} for event, found in given.items()}
    raise WorkflowInvalid(path, "`on`: expected an event, a list of events, or a mapping", line, 1)


def _job(path: str, key: str, given: Any, line: int) -> Job:
    if not isinstance(given, dict):
        raise WorkflowInvalid(path, f"job `{key}`: expected a mapping", line, 1)
    steps = given.get("steps")
    return Job(
        key,
        str(given.get("name") or key),
        tuple(_step(number, step) for number, step in enumerate(steps if isinstance(steps, list) else ())),
        _labels(given.get("runs-on")),
        _timeout(given.get("timeout-minutes")),
        line,
        given.get("continue-on-error") is True,
        tuple(word for word in ("services", "container", "environment") if given.get(word)),
    )


def _actions(jobs: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    steps = [step for job in jobs.values() if isinstance(job, dict) for step in job.get("steps") or ()]
    used = [_ACTION.match(str(step.get("uses") or "")) for step in steps if isinstance(step, dict)]
    known = [found for found in used if found is not None]
    return tuple(dict.fromkeys(found[1] for found in known)), tuple(dict.fromkeys(found.string for found in known))


def _check_needs(path: str, key: str, given: Any, jobs: Mapping[str, Any], line: int) -> None:
    needs = given.get("needs") if isinstance(given, dict) else None
    for other in needs if isinstance(needs, list) else [needs] if needs else []:
        if other not in jobs:
            raise WorkflowInvalid(path, f"job `{key}` needs job `{other}`, which does not exist", line, 1)


def _step(number: int, given: Any) -> Step:
    if not isinstance(given, dict):
        return Step(str(number), f"Step {number + 1}")
    return Step(str(given.get("id") or number), step_name(given))


def step_name(given: Mapping[str, Any]) -> str:
    """As GitHub shows a step."""
    if given.get("name"):
        return str(given["name"])[:_LONGEST_NAME]
    if given.get("uses"):
        return f"Run {given['uses']}"[:_LONGEST_NAME]
    lines = str(given.get("run") or "").strip().splitlines()
    return f"Run {lines[0] if lines else ''}"[:_LONGEST_NAME].strip()


def _labels(given: Any) -> tuple[str, ...]:
    if isinstance(given, dict):
        given = given.get("labels")
    found = given if isinstance(given, list) else [given]
    return tuple(label for label in found if isinstance(label, str))


def _timeout(given: Any) -> float:
    return given * 60.0 if isinstance(given, int | float) and not isinstance(given, bool) else DEFAULT_TIMEOUT
