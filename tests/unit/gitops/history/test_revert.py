"""`rollback --revert`: a commit that takes back what came after a good one, on real repositories."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from seatrial.gitops.history.revert import Identity, Revert, RevertRefused, revert

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {
    **{f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "PATH": "/usr/bin:/bin",
}


def git(path: Path, *arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=path, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return found.stdout.strip()


class Remote:
    """A bare repository, its mirror, and somebody's clone."""

    def __init__(self, path: Path) -> None:
        self.bare, self.mirror, self.clone = path / "bare", path / "mirror", path / "clone"
        for name in ("bare", "clone"):
            (path / name).mkdir()
        git(self.bare, "init", "-q", "--bare", "-b", "main")
        git(self.clone, "init", "-q", "-b", "main")
        git(self.clone, "remote", "add", "origin", str(self.bare))

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.clone / name).write_text(text)
        git(self.clone, "add", ".")
        git(self.clone, "commit", "-q", "-m", "change")
        git(self.clone, "push", "-q", "origin", "main")
        return git(self.clone, "rev-parse", "HEAD")

    def asked(self, good: str, bad: str) -> Revert:
        if not self.mirror.exists():
            git(self.bare, "clone", "-q", "--mirror", str(self.bare), str(self.mirror))
        return Revert(
            str(self.bare), "main", good, bad, Identity("Seatrial", "seatrial@example.com"), self.mirror,
            reason="it did not become healthy",
        )  # fmt: skip

    def file(self, name: str) -> str:
        return git(self.bare, "show", f"main:{name}")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


async def test_one_commit_takes_all_of_them_back(remote: Remote) -> None:
    good = remote.commit(a="1", other="x")
    remote.commit(a="2")
    bad = remote.commit(a="3", b="new")
    made = await revert(remote.asked(good, bad))
    assert git(remote.bare, "rev-parse", "main") == made
    assert remote.file("a") == "1"
    assert git(remote.bare, "rev-parse", "main~1") == bad
    message = git(remote.bare, "log", "-1", "--format=%an %B", "main")
    assert message.startswith("Seatrial Revert 2 commits")
    assert f"This reverts commit {bad}." in message
    assert "it did not become healthy" in message


async def test_what_came_after_the_bad_commit_stays(remote: Remote) -> None:
    good = remote.commit(a="1")
    bad = remote.commit(a="2")
    remote.commit(other="mine")
    await revert(remote.asked(good, bad))
    assert (remote.file("a"), remote.file("other")) == ("1", "mine")


async def test_merges_are_taken_back_whole(remote: Remote) -> None:
    good = remote.commit(a="1")
    git(remote.clone, "checkout", "-q", "-b", "side")
    (remote.clone / "b").write_text("side")
    git(remote.clone, "add", ".")
    git(remote.clone, "commit", "-q", "-m", "side")
    git(remote.clone, "checkout", "-q", "main")
    git(remote.clone, "merge", "-q", "--no-ff", "-m", "merge", "side")
    bad = remote.commit(c="3")
    await revert(remote.asked(good, bad))
    assert git(remote.bare, "ls-tree", "--name-only", "main") == "a"


async def test_a_conflict_is_refused_and_nothing_is_pushed(remote: Remote) -> None:
    good = remote.commit(a="1")
    bad = remote.commit(a="2")
    tip = remote.commit(a="3")
    with pytest.raises(RevertRefused, match="later commits changed a too"):
        await revert(remote.asked(good, bad))
    assert git(remote.bare, "rev-parse", "main") == tip


async def test_what_is_reverted_already_is_refused(remote: Remote) -> None:
    good = remote.commit(a="1")
    bad = remote.commit(a="2")
    await revert(remote.asked(good, bad))
    with pytest.raises(RevertRefused, match="already is as before"):
        await revert(remote.asked(good, bad))


async def test_commits_that_are_not_on_the_branch_are_refused(remote: Remote) -> None:
    good = remote.commit(a="1")
    bad = remote.commit(a="2")
    with pytest.raises(RevertRefused, match="not an ancestor"):
        await revert(remote.asked(bad, good))


@pytest.mark.parametrize("revision", ["1.2.3", "main", "--upload-pack=x"])
async def test_only_full_commit_ids_are_taken(remote: Remote, revision: str) -> None:
    with pytest.raises(RevertRefused, match="full commit id"):
        await revert(remote.asked(remote.commit(a="1"), revision))


async def test_the_mirror_is_left_as_it_was(remote: Remote) -> None:
    good = remote.commit(a="1")
    asked = remote.asked(good, remote.commit(a="2"))
    before = git(remote.mirror, "for-each-ref")
    await revert(asked)
    assert git(remote.mirror, "for-each-ref") == before
