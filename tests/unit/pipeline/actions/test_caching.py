"""actions/cache: what is kept under a key comes back, in another run and another workspace too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.pipeline.actions.conftest import Job

from seatrial.pipeline.actions.caching import cache_main, cache_post, cache_save
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.pipeline.actions.conftest import Said


def restored(job: Job, **inputs: str) -> Said:
    said = job.step(**inputs)
    cache_main(said.step)
    return said


def later(job: Job, tmp_path: Path) -> Job:
    """Another run: a workspace and a home of its own, the same cache."""
    directory = tmp_path / "later"
    for name in ("workspace", "home"):
        (directory / name).mkdir(parents=True)
    return Job(directory, {"SEATRIAL_CACHE": str(job.directory / "cache")})


def test_a_miss_is_saved_at_the_end_and_a_hit_later(job: Job, tmp_path: Path) -> None:
    first = restored(job, key="deps-1", path="deps\n~/.thing")
    assert first.outputs == {"cache-hit": "", "cache-primary-key": "deps-1", "cache-matched-key": ""}
    job.write("deps/a.txt", "a")
    cache_post(job.step(first.state, path="deps", key="deps-1").step)
    job = later(job, tmp_path)
    second = restored(job, key="deps-1", path="deps")
    assert second.outputs["cache-hit"] == "true"
    assert (job.workspace / "deps/a.txt").read_text() == "a"


def test_what_is_kept_stays_as_it_is(job: Job, tmp_path: Path) -> None:
    for text in ("first", "second"):
        job.write("deps/a.txt", text)
        cache_save(job.step(path="deps", key="k").step)
    job = later(job, tmp_path)
    restored(job, key="k", path="deps")
    assert (job.workspace / "deps/a.txt").read_text() == "first"


def test_a_prefix_finds_the_newest_that_begins_with_it(job: Job, tmp_path: Path) -> None:
    for key in ("deps-a", "other", "deps-b"):
        job.write("deps/a.txt", key)
        cache_save(job.step(path="deps", key=key).step)
    said = restored(later(job, tmp_path), key="deps-c", path="deps", restore_keys="nothing\ndeps-")
    assert (said.outputs["cache-hit"], said.outputs["cache-matched-key"]) == ("false", "deps-b")


def test_a_home_is_another_directory_in_each_run(job: Job, tmp_path: Path) -> None:
    (job.directory / "home/.thing").mkdir()
    (job.directory / "home/.thing/a").write_text("kept")
    step = job.step(path=str(job.directory / "home/.thing"), key="k").step
    cache_save(step)
    job = later(job, tmp_path)
    restored(job, key="k", path=str(job.directory / "home/.thing"))
    assert (job.directory / "home/.thing/a").read_text() == "kept"


def test_only_where_the_workflow_keeps_things_something_is_put(job: Job, tmp_path: Path) -> None:
    job.write("deps/a.txt", "a")
    job.write("src/main.py", "poisoned")
    cache_save(job.step(path="deps\nsrc", key="k").step)
    job = later(job, tmp_path)
    job.write("src/main.py", "good")
    restored(job, key="k", path="deps")
    assert (job.workspace / "src/main.py").read_text() == "good"
    assert (job.workspace / "deps/a.txt").read_text() == "a"


def test_another_repository_has_another_cache(job: Job, tmp_path: Path) -> None:
    job.write("deps/a.txt", "a")
    cache_save(job.step(path="deps", key="k").step)
    other = later(job, tmp_path)
    other.variables["GITHUB_REPOSITORY"] = "you/shop"
    assert restored(other, key="k", path="deps").outputs["cache-hit"] == ""


def test_looking_only_puts_nothing_back(job: Job, tmp_path: Path) -> None:
    job.write("deps/a.txt", "a")
    cache_save(job.step(path="deps", key="k").step)
    job = later(job, tmp_path)
    assert restored(job, key="k", path="deps", lookup_only="true").outputs["cache-hit"] == "true"
    assert not (job.workspace / "deps").exists()


def test_a_miss_may_be_a_failure(job: Job) -> None:
    with pytest.raises(StepFailed, match="no cache is kept under 'k', and fail-on-cache-miss is set"):
        restored(job, key="k", path="deps", fail_on_cache_miss="true")
    with pytest.raises(StepFailed, match="at most 512 characters and no comma"):
        restored(job, key="a,b", path="deps")
