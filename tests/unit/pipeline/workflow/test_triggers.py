from __future__ import annotations

import pytest

from seatrial.pipeline.workflow.file import parse
from seatrial.pipeline.workflow.skip import mark_in
from seatrial.pipeline.workflow.triggers import on_push

MAIN, TAG = "refs/heads/main", "refs/tags/v1.2"
CASES = [
    ("push", MAIN, ["a.py"], True),
    ("[push, pull_request]", MAIN, ["a.py"], True),
    ("{workflow_dispatch: }", MAIN, ["a.py"], False),
    ("{push: {branches: [main]}}", MAIN, ["a.py"], True),
    ("{push: {branches: ['releases/**']}}", MAIN, ["a.py"], False),
    ("{push: {branches: ['**', '!main']}}", MAIN, ["a.py"], False),
    ("{push: {branches-ignore: [main]}}", MAIN, ["a.py"], False),
    ("{push: {branches-ignore: [dev]}}", MAIN, ["a.py"], True),
    ("{push: {tags: ['v*']}}", MAIN, ["a.py"], False),
    ("{push: {tags: ['v*']}}", TAG, [], True),
    ("{push: {branches: [main]}}", TAG, [], False),
    ("{push: {tags-ignore: ['v*']}}", TAG, [], False),
    ("push", TAG, [], True),
    ("{push: {branches: [main], tags: ['v*']}}", TAG, [], True),
    ("{push: {paths: ['src/**']}}", MAIN, ["src/a/b.py"], True),
    ("{push: {paths: ['src/**']}}", MAIN, ["docs/b.md"], False),
    ("{push: {paths: ['src/**', '!src/docs/**']}}", MAIN, ["src/docs/b.md"], False),
    ("{push: {paths: ['src/**']}}", TAG, [], True),
    ("{push: {paths-ignore: ['docs/**', '**.md']}}", MAIN, ["docs/a", "b.md"], False),
    ("{push: {paths-ignore: ['docs/**']}}", MAIN, ["docs/a", "b.py"], True),
]


@pytest.mark.parametrize(("events", "ref", "paths", "expected"), CASES)
def test_a_push_starts_a_workflow_as_on_github(events: str, ref: str, paths: list[str], expected: bool) -> None:
    workflow = parse("ci.yml", f"on: {events}\njobs: {{a: {{}}}}".encode())
    assert on_push(workflow, ref, paths).starts is expected


@pytest.mark.parametrize(
    ("message", "mark"),
    [("fix [skip ci]", "[skip ci]"), ("[CI SKIP] x", "[ci skip]"), ("a\n\n[no ci]", "[no ci]"),
     ("[skip actions]", "[skip actions]"), ("[actions skip]", "[actions skip]"),
     ("x\n\nskip-checks: true\n", "skip-checks: true"),
     ("x\n\nSigned-off-by: a\nskip-checks:true", "skip-checks: true"),
     ("skip ci", ""), ("about skip-checks: true inside", "")],
)  # fmt: skip
def test_a_commit_may_ask_for_no_run(message: str, mark: str) -> None:
    assert mark_in(message) == mark
