from __future__ import annotations

from typing import Any

import orjson

from seatrial.base.clock import ManualClock
from seatrial.pipeline.workflow.file import parse
from seatrial.pipeline.workflow.mask import Masker
from seatrial.pipeline.workflow.progress import Progress

WORKFLOW = b"""
on: push
jobs:
  first: {runs-on: ubuntu-latest, timeout-minutes: 1, steps: [{run: echo one}, {run: echo two}]}
  second: {runs-on: ubuntu-latest, steps: [{run: echo}]}
  third: {runs-on: ubuntu-latest, steps: [{run: echo}]}
"""


class Heard:
    def __init__(self, *secrets: str) -> None:
        self.lines: list[str] = []
        self.clock = ManualClock()
        self.progress = Progress(parse("ci.yml", WORKFLOW), Masker(secrets), self.clock, self.lines.append)

    def __call__(self, job: str, step: str = "0", **record: Any) -> None:
        keys = {"stepID": [step]} if step else {}
        self.progress.take(orjson.dumps({"jobID": job, "job": f"CI/{job}", "stage": "Main", **keys, **record}))

    def jobs(self) -> list[tuple[str, int, str, str]]:
        jobs = self.progress.to_status()["jobs"]
        return [(job["name"], job["id"], job["status"], job.get("conclusion", "")) for job in jobs]


def test_jobs_keep_their_places_whichever_begins_first() -> None:
    heard = Heard()
    heard("third", msg="⭐ Run Main echo")
    assert heard.jobs() == [("first", 1, "queued", ""), ("second", 2, "queued", ""), ("third", 3, "in_progress", "")]


def test_a_job_that_never_began_was_skipped() -> None:
    heard = Heard()
    heard("first", msg="⭐ Run Main echo one")
    heard("first", msg="x", stepResult="failure")
    heard("first", "", msg="Job failed", jobResult="failure")
    heard.progress.end("failure")
    assert [job[3] for job in heard.jobs()] == ["failure", "skipped", "skipped"]
    steps = heard.progress.to_status()["jobs"][0]["steps"]
    assert [step["conclusion"] for step in steps] == ["failure", "skipped"]
    assert heard.progress.failed()


def test_the_job_that_ends_its_time_first_is_known() -> None:
    heard = Heard()
    assert heard.progress.overdue() is None
    heard("second", msg="⭐ Run Main echo")
    heard("first", msg="⭐ Run Main echo one")
    due = heard.progress.overdue()
    assert due is not None
    assert (due[0].key, due[1]) == ("first", 60.0)
    heard.progress.time_out(due[0])
    heard.progress.end("timed_out")
    assert [job[3] for job in heard.jobs()] == ["timed_out", "cancelled", "cancelled"]
    assert "maximum execution time of 1 minutes" in heard.progress.annotations[0]["message"]


def test_what_is_no_record_is_passed_over() -> None:
    heard = Heard()
    for line in (b"", b"text\n", b"[]", b'{"msg": "no job"}', b"{", b'"x"'):
        heard.progress.take(line)
    assert [job[2] for job in heard.jobs()] == ["queued"] * 3


def test_colours_are_taken_off_and_commands_become_annotations() -> None:
    heard = Heard("hidden-value")
    heard("first", msg="\x1b[31mred hidden-value\x1b[0m\n", raw_output=True)
    heard("first", command="error", arg="bad hidden-value", kvPairs={"file": "a.py", "line": "7", "col": "x"})
    heard("first", "", msg="Job succeeded", jobResult="success")
    assert heard.lines[0] == "first\tRun echo one\t2023-11-14T22:13:20Z red ***\n"
    (annotation,) = heard.progress.annotations
    assert (annotation["message"], annotation["path"], annotation["line"]) == ("bad ***", "a.py", 7)
    assert "column" not in annotation
