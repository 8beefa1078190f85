from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.gitserver.repositories import NO_COMMIT, Push, Repositories, UnknownRepository

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    "",
    ".",
    "..",
    "../up",
    "a/b",
    "-flag",
    ".hidden",
    "a..b",
    "x.git",
    "x.lock",
    "a b",
    "a\nb",
    "a\0b",
    "%2e%2e",
    "ä",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(tmp_path: Path, name: str) -> None:
    repositories = Repositories(tmp_path / "git")
    with pytest.raises(UnknownRepository):
        repositories.ensure(name)
    with pytest.raises(UnknownRepository):
        repositories.path(name)


def test_a_repository_is_made_once_and_listed(tmp_path: Path) -> None:
    repositories = Repositories(tmp_path / "git")
    assert repositories.names() == []
    place = repositories.ensure("shop")
    assert repositories.ensure("shop") == place == tmp_path / "git" / "shop.git"
    assert repositories.names() == ["shop"]
    assert repositories.refs("shop") == {}
    repositories.tidy("shop")


def test_what_was_told_is_remembered_across_starts(tmp_path: Path) -> None:
    Repositories(tmp_path / "git").ensure("shop")
    commit = "1" * 40
    Repositories(tmp_path / "git").told(Push("shop", "refs/heads/gone", NO_COMMIT, commit))
    assert Repositories(tmp_path / "git").untold("shop") == [Push("shop", "refs/heads/gone", commit, NO_COMMIT)]
    Repositories(tmp_path / "git").told(Push("shop", "refs/heads/gone", commit, NO_COMMIT))
    assert Repositories(tmp_path / "git").untold("shop") == []
