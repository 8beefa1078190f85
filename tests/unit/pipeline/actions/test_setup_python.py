"""actions/setup-python: which Python, and what is kept of its packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.actions.setup_python import choose, fits, setup_python_main, setup_python_post
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from tests.unit.pipeline.actions.conftest import Job

HERE = ".".join(map(str, sys.version_info[:2]))


@pytest.mark.parametrize(
    ("wanted", "version", "fitting"),
    [
        ("3.11", (3, 11, 2), True),
        ("3.11", (3, 12, 0), False),
        ("3.x", (3, 13, 1), True),
        ("3.1", (3, 11, 2), False),
        (">=3.9 <3.12", (3, 11, 2), True),
        (">=3.9 <3.12", (3, 12, 0), False),
        ("3.9 || 3.11", (3, 11, 2), True),
        ("~3.11.1", (3, 11, 2), True),
        ("^3.9", (3, 11, 2), True),
        ("==3.11.2", (3, 11, 3), False),
    ],
)
def test_versions_as_setup_python_reads_them(wanted: str, version: tuple[int, int, int], fitting: bool) -> None:
    assert fits(wanted, version) is fitting


def test_the_newest_that_fits_is_taken() -> None:
    found = {(3, 9, 1): "old", (3, 11, 2): "new", (3, 13, 0): "newest"}
    assert choose(">=3.9 <3.12", found) == ("new", "3.11.2")
    with pytest.raises(StepFailed, match=r"python-version '2.7': this machine has 3.9.1, 3.11.2, 3.13.0"):
        choose("2.7", found)
    with pytest.raises(StepFailed, match="expected a version such as"):
        choose("pypy", found)


def test_packages_come_back_without_being_installed_again(job: Job) -> None:
    job.write("requirements.txt", "none\n")
    first = job.step(python_version=HERE, cache="pip")
    setup_python_main(first.step)
    place = Path(first.exported["pythonLocation"])
    assert first.outputs["cache-hit"] == "false" and first.path == [str(place / "bin")]
    (place / "bin/tool").write_text(f"#!{place}/bin/python\nprint('a tool')\n")
    (place / "bin/tool").chmod(0o755)
    setup_python_post(job.step(first.state).step)
    second = job.step(python_version=HERE, cache="pip")
    second.step.temporary.joinpath(place.name).rename(second.step.temporary / "gone")
    setup_python_main(second.step)
    assert second.outputs["cache-hit"] == "true"
    tool = Path(second.exported["pythonLocation"]) / "bin/tool"
    assert subprocess.run([tool], capture_output=True, text=True, check=True).stdout == "a tool\n"
    job.write("requirements.txt", "other\n")
    third = job.step(python_version=HERE, cache="pip")
    third.step.temporary.joinpath(place.name).rename(third.step.temporary / "gone too")
    setup_python_main(third.step)
    assert third.outputs["cache-hit"] == "false"


def test_the_version_may_be_in_a_file(job: Job) -> None:
    job.write("pyproject.toml", f'[project]\nrequires-python = ">={HERE}"\n')
    said = job.step(python_version_file="pyproject.toml")
    setup_python_main(said.step)
    assert said.outputs["python-version"].startswith("3.")
    with pytest.raises(StepFailed, match="python-version-file 'none'"):
        setup_python_main(job.step(python_version_file="none").step)


def test_only_pip_is_cached(job: Job) -> None:
    with pytest.raises(StepFailed, match="cache 'poetry': only pip is cached here"):
        setup_python_main(job.step(python_version=HERE, cache="poetry").step)
