"""dorny/paths-filter: which groups of files a push touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import yaml

from seatrial.base import yamldepth
from seatrial.pipeline.actions.step import StepFailed, within
from seatrial.pipeline.workflow import patterns

if TYPE_CHECKING:
    from seatrial.pipeline.actions.step import Step

_NO_COMMIT = "0" * 40
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_KINDS = {"A": "added", "M": "modified", "D": "deleted", "T": "modified", "R": "modified", "C": "added"}


def paths_filter_main(step: Step) -> None:
    filters = _filters(step)
    changed = _changed(step)
    hit: list[str] = []
    for name, rules in filters.items():
        files = [
            path for path, kind in changed.items() if _matches(rules, path, kind, step.text("predicate-quantifier"))
        ]
        step.output(name, str(bool(files)).lower())
        step.output(f"{name}_count", str(len(files)))
        if (form := step.text("list-files")) not in ("", "none"):
            step.output(f"{name}_files", orjson.dumps(files).decode() if form == "json" else " ".join(files))
        if files:
            hit.append(name)
        step.say(f"{name}: {len(files)} of {len(changed)} changed files")
    step.output("changes", orjson.dumps(hit).decode())


def _filters(step: Step) -> dict[str, list[tuple[str, str]]]:
    """For each name its patterns, each with the kind of change it wants ("": any). Raises StepFailed."""
    text = step.needed("filters")
    if "\n" not in text and (path := within(step.workspace, text)).is_file():
        text = path.read_text()
    try:
        yamldepth.check(text.encode())
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StepFailed(f"input `filters`: not YAML: {error}") from error
    if not isinstance(found, dict):
        raise StepFailed("input `filters`: expected a mapping of names to patterns")
    return {str(name): list(_rules(str(name), rules)) for name, rules in found.items()}


def _rules(name: str, given: Any) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    for rule in given if isinstance(given, list) else [given]:
        if isinstance(rule, str):
            made.append((rule, ""))
        elif isinstance(rule, list):
            made += _rules(name, rule)
        elif isinstance(rule, dict):
            made += [
                (str(pattern), str(kinds))
                for kinds, patterns_ in rule.items()
                for pattern in (patterns_ if isinstance(patterns_, list) else [patterns_])
            ]
        else:
            raise StepFailed(f"filter '{name}': expected patterns")
    return made


def _changed(step: Step) -> dict[str, str]:
    try:
        with open(step.variable("GITHUB_EVENT_PATH"), "rb") as file:
            event = orjson.loads(file.read())
    except (OSError, ValueError):
        event = {}
    base = step.text("base") or str(event.get("before") or "")
    if base in ("", _NO_COMMIT) or base == step.environment.get("GITHUB_REF_NAME"):
        base = str(event.get("before") or "")
    if base in ("", _NO_COMMIT):
        base = _EMPTY_TREE
    listed = step.run(
        "git", "-c", "safe.directory=*", "diff", "--name-status", "--no-renames", "-z", base, "HEAD", at=step.workspace
    )
    parts = listed.split("\0")
    return {path: _KINDS.get(kind[:1], "modified") for kind, path in zip(parts[::2], parts[1::2], strict=False)}


def _matches(rules: list[tuple[str, str]], path: str, kind: str, quantifier: str) -> bool:
    hits = [
        patterns.selected(["**", pattern], path) if pattern.startswith("!") else patterns.matches(pattern, path)
        for pattern, kinds in rules
        if not kinds or kind in kinds.split("|")
    ]
    return bool(hits) and (all(hits) if quantifier == "every" else any(hits))
