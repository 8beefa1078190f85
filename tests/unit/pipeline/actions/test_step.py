"""What an action is given, and how it says what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from tests.unit.pipeline.actions.conftest import Job


def test_flags_are_true_or_false_and_nothing_else(job: Job) -> None:
    assert job.step(push="true").step.flag("push")
    assert not job.step(push="False").step.flag("push") and not job.step().step.flag("push")
    with pytest.raises(StepFailed, match="input `push`: expected true or false, not 'yes'"):
        job.step(push="yes").step.flag("push")


def test_a_needed_input_that_is_missing_is_named(job: Job) -> None:
    with pytest.raises(StepFailed, match="input `key`: expected a value"):
        job.step().step.needed("key")


def test_lines_are_taken_apart(job: Job) -> None:
    assert job.step(tags="a, b\n\n c").step.lines("tags", commas=True) == ["a", "b", "c"]
    assert job.step(tags="a, b\n c").step.lines("tags") == ["a, b", "c"]


def test_an_output_of_several_lines_ends_where_it_says(job: Job) -> None:
    said = job.step()
    said.step.output("tags", "one\ntwo=three\nEOF")
    said.step.output("more", "")
    assert said.outputs == {"tags": "one\ntwo=three\nEOF", "more": ""}


def test_a_command_of_a_message_cannot_begin_another(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.step().step.error("100 %\n::set-output name=a::b")
    assert capsys.readouterr().out == "::error::100 %25%0A::set-output name=a::b\n"


def test_a_command_that_fails_is_told_without_its_later_arguments(job: Job) -> None:
    with pytest.raises(StepFailed, match=r"^sh -c 'echo no >&2; exit 3' ended with 3: no$"):
        job.step().step.run("sh", "-c", "echo no >&2; exit 3")
