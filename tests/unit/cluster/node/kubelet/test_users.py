"""Users by name and number, from images that are nobody's friend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from seatrial.cluster.node.kubelet.users import NoSuchUser, find

if TYPE_CHECKING:
    from pathlib import Path

PASSWD = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/srv:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:1001:\nextra:x:1002:web,other\n"


def layer(path: Path, passwd: str = PASSWD, group: str = GROUP) -> Path:
    (path / "etc").mkdir(parents=True)
    (path / "etc/passwd").write_text(passwd)
    (path / "etc/group").write_text(group)
    return path


@pytest.mark.parametrize(
    ("asked", "uid", "gid", "groups", "home"),
    [
        ("", 0, 0, (), "/root"),
        ("web", 1000, 1001, (1002,), "/srv"),
        ("1000", 1000, 1001, (1002,), "/srv"),
        ("web:extra", 1000, 1002, (1002,), "/srv"),
        ("web:7", 1000, 7, (1002,), "/srv"),
        ("4711", 4711, 0, (), "/"),
    ],
)
def test_users_as_an_image_names_them(
    tmp_path: Path, asked: str, uid: int, gid: int, groups: tuple[int, ...], home: str
) -> None:
    found = find([layer(tmp_path)], asked)
    assert (found.uid, found.gid, found.groups, found.home) == (uid, gid, groups, home)
    assert found.is_numeric == (asked in ("", "1000", "4711"))


def test_a_number_is_never_taken_for_a_name(tmp_path: Path) -> None:
    """Or an image could make root of `runAsUser: 1000`."""
    hostile = layer(tmp_path, "1000:x:0:0::/root:/bin/sh\n", "2000:x:0:\n")
    assert find([hostile], "1000").uid == 1000
    assert find([hostile], "5:2000").gid == 2000


@pytest.mark.parametrize("asked", ["nobody", "web:nogroup", "99999999999", "4294967295", "1" * 5000])
def test_who_is_not_there_is_refused(tmp_path: Path, asked: str) -> None:
    with pytest.raises(NoSuchUser):
        find([layer(tmp_path)], asked)


def test_numbers_in_the_image_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(NoSuchUser):
        find([layer(tmp_path, f"web:x:{'9' * 5000}:0::/:/bin/sh\n")], "web")


def test_the_topmost_layer_with_the_file_counts(tmp_path: Path) -> None:
    upper = layer(tmp_path / "upper", "web:x:5:6::/:/bin/sh\n")
    assert find([upper, layer(tmp_path / "lower")], "web").uid == 5
    (tmp_path / "empty").mkdir()
    assert find([tmp_path / "empty", upper], "web").uid == 5


def test_links_are_not_followed_and_hide_what_is_below(tmp_path: Path) -> None:
    lower = layer(tmp_path / "lower")
    outside = layer(tmp_path / "outside", "web:x:0:0::/:/bin/sh\n")
    by_file, by_directory = tmp_path / "file", tmp_path / "directory"
    (by_file / "etc").mkdir(parents=True)
    (by_file / "etc/passwd").symlink_to(outside / "etc/passwd")
    by_directory.mkdir()
    (by_directory / "etc").symlink_to(outside / "etc")
    for upper in (by_file, by_directory):
        with pytest.raises(NoSuchUser):
            find([upper, lower], "web")


def test_an_opaque_directory_hides_what_is_below(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    try:
        os.setxattr(upper / "etc", "user.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    with pytest.raises(NoSuchUser):
        find([upper, layer(tmp_path / "lower")], "web")
