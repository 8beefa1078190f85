"""dorny/paths-filter: which groups of files a push touches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.actions.changes import paths_filter_main
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from tests.unit.pipeline.actions.conftest import Job

FILTERS = """
web: ['web/**', 'common/**']
docs: ['**.md']
gone: [{deleted: '**'}]
both: [{'added|modified': 'web/**'}]
"""


@pytest.fixture
def pushed(job: Job) -> Job:
    """One commit before, and one with a change, an addition and a deletion."""
    job.git("init", "-q")
    for name in ("web/a.py", "old.txt", "consumer/b.py"):
        job.write(name, "1")
    job.git("add", "-A")
    job.git("commit", "-qm", "before")
    before = job.git("rev-parse", "HEAD")
    job.write("web/a.py", "2")
    job.write("docs/new.md")
    (job.workspace / "old.txt").unlink()
    job.git("add", "-A")
    job.git("commit", "-qm", "after")
    (job.directory / "event.json").write_text(json.dumps({"before": before}))
    return job


def filtered(job: Job, filters: str = FILTERS, **inputs: str) -> dict[str, str]:
    said = job.step(filters=filters, **inputs)
    paths_filter_main(said.step)
    return said.outputs


def test_groups_that_a_push_touches(pushed: Job) -> None:
    outputs = filtered(pushed)
    assert {name: outputs[name] for name in ("web", "docs", "gone", "both")} == {
        "web": "true",
        "docs": "true",
        "gone": "true",
        "both": "true",
    }
    assert outputs["gone_count"] == "1" and json.loads(outputs["changes"]) == ["web", "docs", "gone", "both"]


def test_what_is_not_touched_is_false(pushed: Job) -> None:
    outputs = filtered(pushed, "consumer: 'consumer/**'\n")
    assert (outputs["consumer"], outputs["changes"]) == ("false", "[]")


def test_files_are_listed_on_request(pushed: Job) -> None:
    assert json.loads(filtered(pushed, list_files="json")["docs_files"]) == ["docs/new.md"]
    assert filtered(pushed, list_files="shell")["web_files"] == "web/a.py"


def test_the_first_push_of_a_branch_touches_everything(pushed: Job) -> None:
    (pushed.directory / "event.json").write_text(json.dumps({"before": "0" * 40}))
    assert filtered(pushed, "consumer: 'consumer/**'\n")["consumer"] == "true"


def test_filters_may_be_a_file(pushed: Job) -> None:
    pushed.write(".github/filters.yml", FILTERS)
    assert filtered(pushed, ".github/filters.yml")["docs"] == "true"


@pytest.mark.parametrize("filters", ["a: [\n", "- a\n- b\n", "a:\n  - 7\n"])
def test_filters_of_another_shape_are_refused(pushed: Job, filters: str) -> None:
    with pytest.raises(StepFailed, match=r"filters|filter 'a'"):
        filtered(pushed, filters)
