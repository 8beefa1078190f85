"""Places inside a volume: nothing in there leads out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from seatrial.cluster.node.volumes.errors import NoSuchMount
from seatrial.cluster.node.volumes.subpath import expand, open_inside

if TYPE_CHECKING:
    from pathlib import Path


def found(volume: Path, path: str) -> str:
    opened = open_inside(volume, path)
    try:
        return os.readlink(f"/proc/self/fd/{opened}")
    finally:
        os.close(opened)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    made.mkdir()
    (tmp_path / "secret").write_text("of the machine")
    return made


def test_files_and_directories_are_found(volume: Path) -> None:
    (volume / "a" / "b").mkdir(parents=True)
    (volume / "a" / "f").write_text("x")
    assert found(volume, "a/b") == str(volume / "a" / "b")
    assert found(volume, "./a//f") == str(volume / "a" / "f")
    assert found(volume, ".") == str(volume)


def test_links_inside_the_volume_are_followed(volume: Path) -> None:
    (volume / "..x" / "d").mkdir(parents=True)
    (volume / "..x" / "key").write_text("v")
    (volume / "..data").symlink_to("..x")
    (volume / "key").symlink_to("..data/key")
    (volume / "..x" / "d" / "up").symlink_to("../key")
    assert found(volume, "key") == str(volume / "..x" / "key")
    assert found(volume, "..data/d/up") == str(volume / "..x" / "key")


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "a/../../secret", "/", ".."])
@pytest.mark.parametrize("path", ["link", "link/more"])
def test_links_out_of_the_volume_are_refused(volume: Path, target: str, path: str) -> None:
    (volume / "a").mkdir()
    (volume / "link").symlink_to(target)
    with pytest.raises(NoSuchMount, match="leads out of the volume"):
        found(volume, path)


@pytest.mark.parametrize("path", ["/etc", "../secret", "a/../..", "a\0b"])
def test_paths_out_of_the_volume_are_refused(volume: Path, path: str) -> None:
    with pytest.raises(NoSuchMount, match="relative to the volume"):
        found(volume, path)


def test_links_in_a_circle_end(volume: Path) -> None:
    (volume / "a").symlink_to("b")
    (volume / "b").symlink_to("a")
    with pytest.raises(NoSuchMount, match="too many symbolic links"):
        found(volume, "a")


def test_what_is_missing_becomes_a_directory_like_the_volume(volume: Path) -> None:
    volume.chmod(0o2770)
    assert found(volume, "new/deep") == str(volume / "new" / "deep")
    assert (volume / "new").stat().st_mode & 0o7777 == 0o2770
    assert (volume / "new" / "deep").stat().st_mode & 0o7777 == 0o2770


def test_a_file_is_no_way_to_go(volume: Path) -> None:
    (volume / "f").write_text("x")
    with pytest.raises(NoSuchMount, match="f is not a directory"):
        found(volume, "f/x")


def test_no_descriptor_is_left_open(volume: Path) -> None:
    (volume / "out").symlink_to("..")
    (volume / "a" / "b").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    found(volume, "a/b")
    with pytest.raises(NoSuchMount):
        found(volume, "out/x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_expression_takes_the_environment() -> None:
    assert expand("logs/$(POD)/$$(POD)", {"POD": "web-0"}) == "logs/web-0/$(POD)"
    with pytest.raises(NoSuchMount, match='missing value for "NOPE"'):
        expand("$(NOPE)", {})
