"""actions/upload-artifact and download-artifact: files from one job to another of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.actions.artifacts import download_artifact_main, upload_artifact_main
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from tests.unit.pipeline.actions.conftest import Job, Said


def uploaded(job: Job, **inputs: str) -> Said:
    said = job.step(**inputs)
    upload_artifact_main(said.step)
    return said


def downloaded(job: Job, **inputs: str) -> list[str]:
    download_artifact_main(job.step(path="got", **inputs).step)
    got = job.workspace / "got"
    return sorted(str(path.relative_to(got)) for path in got.rglob("*") if path.is_file())


def test_files_keep_what_they_do_not_have_in_common(job: Job) -> None:
    for name in ("out/a/1.txt", "out/b/2.txt", "out/.hidden"):
        job.write(name)
    uploaded(job, name="site", path="out")
    assert downloaded(job, name="site") == ["a/1.txt", "b/2.txt"]


def test_one_file_is_at_the_top(job: Job) -> None:
    job.write("deep/down/coverage.xml")
    uploaded(job, name="coverage", path="deep/down/coverage.xml")
    assert downloaded(job, name="coverage") == ["coverage.xml"]


def test_patterns_take_and_leave_out(job: Job) -> None:
    for name in ("out/a.txt", "out/b.log", "out/c.txt"):
        job.write(name)
    uploaded(job, path="out/*\n!out/*.log")
    assert downloaded(job, name="artifact") == ["a.txt", "c.txt"]


def test_without_a_name_each_has_a_directory_unless_they_are_merged(job: Job) -> None:
    for name in ("one", "two"):
        uploaded(job, name=name, path=str(job.write(f"{name}.txt")))
    assert downloaded(job) == ["one/one.txt", "two/two.txt"]
    assert {"one.txt", "two.txt"} <= set(downloaded(job, merge_multiple="true"))


def test_an_artifact_is_not_replaced_by_accident(job: Job) -> None:
    job.write("a.txt", "1")
    uploaded(job, name="a", path="a.txt")
    with pytest.raises(StepFailed, match="artifact 'a' is there already: another name, or overwrite: true"):
        uploaded(job, name="a", path="a.txt")
    job.write("a.txt", "2")
    uploaded(job, name="a", path="a.txt", overwrite="true")
    downloaded(job, name="a")
    assert (job.workspace / "got/a.txt").read_text() == "2"


def test_no_file_is_a_warning_an_error_or_nothing(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    uploaded(job, path="none")
    assert capsys.readouterr().out == "::warning::no file matches none\n"
    uploaded(job, path="none", if_no_files_found="ignore")
    assert capsys.readouterr().out == ""
    with pytest.raises(StepFailed, match="no file matches none"):
        uploaded(job, path="none", if_no_files_found="error")


@pytest.mark.parametrize("name", ["../x", "a/b", "..", 'a"b'])
def test_a_name_is_a_file_name(job: Job, name: str) -> None:
    job.write("a.txt")
    with pytest.raises(StepFailed, match="expected a file name"):
        uploaded(job, name=name, path="a.txt")


def test_one_that_is_not_there_names_those_that_are(job: Job) -> None:
    uploaded(job, name="a", path=str(job.write("a.txt")))
    with pytest.raises(StepFailed, match="there is no artifact 'b' in this run; there are: a"):
        downloaded(job, name="b")
