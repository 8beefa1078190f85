from __future__ import annotations

import pytest

from seatrial.pipeline.workflow.file import WorkflowInvalid, parse

WHOLE = b"""name: CI
on:
  push: {branches: [main]}
  workflow_dispatch:
concurrency: {group: x, cancel-in-progress: true}
jobs:
  build:
    name: Build it
    runs-on: [self-hosted, linux]
    timeout-minutes: 5
    services: {db: {image: postgres}}
    steps:
      - uses: actions/checkout@v4
      - id: hello
        name: Say hello
        run: echo
      - run: |
          first line
          second
"""


def test_a_workflow_is_read_as_far_as_it_matters_outside() -> None:
    found = parse("ci.yml", WHOLE)
    (job,) = found.jobs
    assert (found.name, dict(found.events)) == ("CI", {"push": {"branches": ["main"]}, "workflow_dispatch": {}})
    assert (job.name, job.labels, job.timeout, job.line) == ("Build it", ("self-hosted", "linux"), 300.0, 7)
    assert job.not_done == ("services",)
    assert found.actions == ("actions/checkout",)
    assert [(step.key, step.name) for step in job.steps] == [
        ("0", "Run actions/checkout@v4"), ("hello", "Say hello"), ("2", "Run first line"),
    ]  # fmt: skip


BROKEN = [
    (b"on: push\njobs:\n  a: [", 3),
    (b"on: push\n\njobs: {}\n", 3),
    (b"on: 3\njobs: {a: {}}", 1),
    (b"- a list", 1),
    (b"on: push\njobs:\n  a: text", 3),
    (b"on: push\njobs:\n  a: {}\n  b: {needs: [a, c]}", 4),
    (b"\xff", 0),
    (b"[" * 10_000, 0),
    (b"on: push\njobs: {a: {}}\nx: !!python/object:os.system {}", 3),
    (b"x" * (2 << 20), 0),
]


@pytest.mark.parametrize(("content", "line"), BROKEN)
def test_what_is_wrong_is_told_with_its_line(content: bytes, line: int) -> None:
    with pytest.raises(WorkflowInvalid) as refused:
        parse(".github/workflows/ci.yml", content)
    assert refused.value.line == line
    assert refused.value.message.startswith(".github/workflows/ci.yml:")
