"""What is in an image is what its last layer leaves."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.images.scan import contents
from seatrial.pipeline.images.scan.contents import Package, UnreadableImage

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
STATUS = "Package: {0}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1-1\nDescription: a\n b\n\n"
METADATA = "Metadata-Version: 2.1\nName: {0}\nVersion: 1.0\n\ntext"
SITE = "opt/venv/lib/python3.11/site-packages"


def image(directory: Path, *layers: dict[str, str]) -> Path:
    """As skopeo's `dir:` has it."""
    digests = []
    for files in layers:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        digest = hashlib.sha256(stream.getvalue()).hexdigest()
        (directory / digest).write_bytes(stream.getvalue())
        digests.append({"digest": f"sha256:{digest}"})
    (directory / "manifest.json").write_text(json.dumps({"layers": digests}))
    return directory


def test_packages_of_both_kinds_are_found(tmp_path: Path) -> None:
    files = {
        "./etc/os-release": RELEASE,
        "./var/lib/dpkg/status": STATUS.format("openssl"),
        f"./{SITE}/six-1.0.dist-info/METADATA": METADATA.format("six"),
    }
    found = contents.of_image(image(tmp_path, files))
    assert (found.family, found.codename, found.architecture) == ("debian", "bookworm", "amd64")
    assert found.debian == (Package("openssl", "1-1"),)
    assert [package.name for package in found.python] == ["six"]


def test_a_later_layer_replaces_and_removes(tmp_path: Path) -> None:
    first = {
        "var/lib/dpkg/status": STATUS.format("old"),
        f"{SITE}/a-1.0.dist-info/METADATA": METADATA.format("a"),
        f"{SITE}/b-1.0.dist-info/METADATA": METADATA.format("b"),
        "app/c-1.0.dist-info/METADATA": METADATA.format("c"),
    }
    second = {
        "var/lib/dpkg/status": STATUS.format("new"),
        f"{SITE}/.wh.a-1.0.dist-info": "",
        "app/.wh..wh..opq": "",
        "app/d-1.0.dist-info/METADATA": METADATA.format("d"),
    }
    found = contents.of_image(image(tmp_path, first, second))
    assert [package.name for package in found.debian] == ["new"]
    assert [package.name for package in found.python] == ["b", "d"]


def test_what_was_removed_from_dpkg_is_not_there(tmp_path: Path) -> None:
    status = STATUS.format("gone").replace("install ok installed", "deinstall ok config-files")
    assert contents.of_image(image(tmp_path, {"var/lib/dpkg/status": status})).debian == ()


def test_what_debian_packages_is_not_counted_twice(tmp_path: Path) -> None:
    files = {"usr/lib/python3/dist-packages/six-1.0.egg-info": METADATA.format("six")}
    assert contents.of_image(image(tmp_path, files)).python == ()


def test_a_layer_that_is_no_archive_is_an_error_and_no_clean_image(tmp_path: Path) -> None:
    image(tmp_path, {"a": "b"})
    for path in tmp_path.iterdir():
        if path.name != "manifest.json":
            path.write_bytes(b"no tar")
    with pytest.raises(UnreadableImage, match="cannot be read"):
        contents.of_image(tmp_path)


def test_a_directory_is_read_without_following_links_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text(METADATA.format("secret"))
    inside = tmp_path / "root" / "x-1.0.dist-info"
    inside.mkdir(parents=True)
    (inside / "METADATA").symlink_to(outside)
    assert contents.of_directory(tmp_path / "root").python == ()
