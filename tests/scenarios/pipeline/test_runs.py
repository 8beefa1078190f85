from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from tests.scenarios.pipeline.conftest import Yard


async def test_a_push_becomes_a_run_that_succeeds(yard: Yard) -> None:
    commit = await yard.workflow(
        """
        - uses: actions/checkout@v4
        - name: Greet
          run: |
            echo "hello from $(git rev-parse HEAD)"
            echo "::warning file=app.py,line=3::mind the gap"
            echo "## It went well" >> "$GITHUB_STEP_SUMMARY"
        - run: "false"
          continue-on-error: true
        - run: echo never
          if: ${{ false }}
        """
    )
    run = await yard.ended()
    assert (run.conclusion, run.commit, run.branch, run.event) == ("success", commit, "main", "push")
    assert run.recorded["decision"]["kind"] == "code"
    (job,) = run.jobs
    assert [(step["name"], step["conclusion"]) for step in job["steps"]] == [
        ("Set up job", "success"),
        ("Run actions/checkout@v4", "success"),
        ("Greet", "success"),
        ("Run false", "success"),
        ("Run echo never", "skipped"),
        ("Complete job", "success"),
    ]
    assert run.recorded["annotations"][0] == {
        "level": "warning", "message": "mind the gap", "path": "app.py", "line": 3, "job": "build", "step": "Greet",
    }  # fmt: skip
    assert run.recorded["summary"] == "## It went well\n"
    assert "build\tGreet\t" in await yard.log()
    assert f"hello from {commit}" in await yard.log()
    assert run.status == names.COMPLETED
