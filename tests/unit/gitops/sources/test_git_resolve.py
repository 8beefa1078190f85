"""A targetRevision becomes a commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import ManualClock
from seatrial.gitops.api.source import Source
from seatrial.gitops.sources.files import SourceFailed
from seatrial.gitops.sources.repositories import Repositories

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from .conftest import Upstream


@pytest.fixture
async def repositories(tmp_path: Path) -> AsyncIterator[Repositories]:
    made = Repositories(tmp_path / "data", ManualClock())
    yield made
    await made.close()


async def test_names_of_every_form_are_resolved(upstream: Upstream, repositories: Repositories) -> None:
    first = upstream.sha()
    upstream.git("tag", "-a", "v1.0.0", "-m", "annotated")
    second = upstream.commit({"README": "2"})
    upstream.git("tag", "v1.1.0")
    upstream.git("tag", "v2.0.0-rc.1")
    upstream.git("branch", "side")
    third = upstream.commit({"README": "3"})
    upstream.git("update-ref", "refs/pull/7/head", first)
    cases = {
        "": third, "HEAD": third, "main": third, "refs/heads/main": third, "side": second,
        "v1.0.0": first, "refs/tags/v1.0.0": first, "1.x": second, "^1.0": second, "~1.0.0": first,
        ">=1.0.0-0": upstream.sha("v2.0.0-rc.1"), first: first, first[:8]: first,
        "refs/pull/7/head": first, upstream.sha("v1.0.0"): first,
    }  # fmt: skip
    for revision, commit in cases.items():
        assert await repositories.resolve(Source(upstream.url, target_revision=revision)) == commit, revision


async def test_a_tag_is_meant_before_a_branch_of_its_name(upstream: Upstream, repositories: Repositories) -> None:
    first = upstream.sha()
    upstream.git("tag", "both")
    upstream.commit({"README": "2"})
    upstream.git("branch", "both")
    assert await repositories.resolve(Source(upstream.url, target_revision="both")) == first


async def test_a_tag_prefix_scopes_a_range(upstream: Upstream, repositories: Repositories) -> None:
    first = upstream.sha()
    upstream.git("tag", "shop/v1.2.0")
    upstream.commit({"README": "2"})
    upstream.git("tag", "cart/v1.3.0")
    source = Source.of({"repoURL": upstream.url, "targetRevision": "1.x", "tagPrefix": "shop/"})
    assert await repositories.resolve(source) == first


@pytest.mark.parametrize("revision", ["nothing", "0123abc", "f" * 40, "9.x", "refs/heads/nothing"])
async def test_an_unknown_revision_is_named(upstream: Upstream, repositories: Repositories, revision: str) -> None:
    with pytest.raises(SourceFailed, match="there is no revision") as error:
        await repositories.resolve(Source(upstream.url, target_revision=revision))
    assert revision in error.value.message
    assert upstream.url in error.value.message


async def test_an_empty_repository_says_so(tmp_path: Path, repositories: Repositories) -> None:
    from .conftest import Upstream

    empty = Upstream(tmp_path / "empty")
    with pytest.raises(SourceFailed, match="the repository is empty"):
        await repositories.resolve(Source(empty.url))


async def test_a_missing_repository_says_so(tmp_path: Path, repositories: Repositories) -> None:
    with pytest.raises(SourceFailed, match=r"nowhere.*does not"):
        await repositories.resolve(Source(str(tmp_path / "nowhere")))


async def test_a_thousand_applications_ask_once(upstream: Upstream, repositories: Repositories) -> None:
    sources = [Source(upstream.url, path=f"app-{number}", target_revision="main") for number in range(1000)]
    found = await asyncio.gather(*(repositories.resolve(source) for source in sources))
    assert set(found) == {upstream.sha()}
    assert repositories.git.runs == 1


async def test_a_thousand_forced_questions_at_once_are_one(upstream: Upstream, repositories: Repositories) -> None:
    source = Source(upstream.url, target_revision="main")
    await asyncio.gather(*(repositories.resolve(source, force=True) for _ in range(1000)))
    assert repositories.git.runs == 1


async def test_a_forced_question_sees_a_push_that_came_before_it(
    upstream: Upstream, repositories: Repositories
) -> None:
    source = Source(upstream.url, target_revision="main")
    early = asyncio.create_task(repositories.resolve(source))
    while repositories.git.runs == 0:
        await asyncio.sleep(0)
    pushed = upstream.commit({"README": "2"})
    assert await repositories.resolve(source, force=True) == pushed
    await early


async def test_nothing_is_fetched_while_nothing_moved(upstream: Upstream, repositories: Repositories) -> None:
    source = Source(upstream.url, target_revision="main")
    await repositories.open(source, await repositories.resolve(source))
    runs = repositories.git.runs
    await repositories.open(source, await repositories.resolve(source, force=True))
    assert repositories.git.runs == runs + 1


@pytest.mark.parametrize("change", ["force-push", "replaced"])
async def test_a_rewritten_history_is_followed(
    upstream: Upstream, repositories: Repositories, change: str, tmp_path: Path
) -> None:
    source = Source(upstream.url, target_revision="main")
    old = await repositories.resolve(source)
    await repositories.open(source, old)
    if change == "force-push":
        upstream.git("commit", "--amend", "-q", "-m", "other")
    else:
        upstream.path.rename(tmp_path / "old")
        type(upstream)(upstream.path).commit({"other": "x"})
    new = await repositories.resolve(source, force=True)
    assert new == upstream.sha() != old
    assert (await repositories.open(source, new)).revision == new
    assert (await repositories.open(source, old)).read("README") == b"hello"  # what is deployed can still be read


async def test_a_deleted_branch_is_unknown_and_a_name_may_become_a_directory(
    upstream: Upstream, repositories: Repositories
) -> None:
    upstream.git("branch", "side")
    await repositories.open(Source(upstream.url), await repositories.resolve(Source(upstream.url)))
    upstream.git("branch", "-D", "side")
    upstream.git("checkout", "-q", "-b", "side/deeper")
    sha = upstream.commit({"README": "deeper"})
    with pytest.raises(SourceFailed, match="'side'"):
        await repositories.resolve(Source(upstream.url, target_revision="side"), force=True)
    deeper = Source(upstream.url, target_revision="side/deeper")
    assert await repositories.resolve(deeper) == sha
    assert (await repositories.open(deeper, sha)).read("README") == b"deeper"


async def test_last_known_commits_stand_in_for_three_minutes(
    upstream: Upstream, tmp_path: Path, mirrored: Callable[[Path], Repositories]
) -> None:
    clock = ManualClock()
    repositories = Repositories(tmp_path / "other", clock)
    source = Source(upstream.url, target_revision="main")
    known = await repositories.resolve(source)
    upstream.path.rename(tmp_path / "away")
    assert await repositories.resolve(source, force=True) == known
    await clock.advance(170)
    assert await repositories.resolve(source, force=True) == known
    await clock.advance(20)
    with pytest.raises(SourceFailed):
        await repositories.resolve(source, force=True)
    (tmp_path / "away").rename(upstream.path)
    assert await repositories.resolve(source, force=True) == known
    await repositories.close()


async def test_after_a_restart_the_mirror_stands_in(
    upstream: Upstream, tmp_path: Path, mirrored: Callable[[Path], Repositories]
) -> None:
    source = Source(upstream.url)
    before = mirrored(tmp_path / "data")
    sha = await before.resolve(source)
    await before.open(source, sha)
    await before.close()
    upstream.path.rename(tmp_path / "away")
    after = mirrored(tmp_path / "data")
    assert await after.resolve(source) == sha
    assert (await after.open(source, sha)).read("README") == b"hello"
    await after.close()


@pytest.fixture
def mirrored() -> Callable[[Path], Repositories]:
    return lambda directory: Repositories(directory, ManualClock())
