"""The same content gives the same image, and skopeo and buildah can read it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.images import layer
from seatrial.pipeline.images.recipe import ALL, File, find

if TYPE_CHECKING:
    from pathlib import Path

FILES = (File("usr/bin/x", b"x", 0o755), File("usr/bin/y", target="x"), File("run/z", mode=0o3777, directory=True))


def archive(directory: Path) -> Path:
    directory.mkdir()
    made = layer.write(layer.of_files(FILES, 1_700_000_000), directory, "test")
    path = directory / "image.oci.tar"
    layer.write_archive(path, directory, [made], {"Cmd": ["x"]}, "amd64", 1_700_000_000, "docker.io/library/x:1")
    return path


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    assert archive(tmp_path / "a").read_bytes() == archive(tmp_path / "b").read_bytes()


def test_an_archive_describes_itself_and_gives_its_layers_back(tmp_path: Path) -> None:
    path = archive(tmp_path / "a")
    (tmp_path / "blobs").mkdir()
    (found,) = layer.take_layers(path, tmp_path / "blobs")
    assert layer.describe(path).name == "docker.io/library/x:1"
    assert layer.write(layer.of_files(FILES, 1_700_000_000), tmp_path / "blobs", "test") == found


def test_a_broken_stream_leaves_no_blob(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        layer.write(Broken(), tmp_path, "test")
    assert [path.name for path in tmp_path.iterdir()] == ["partial"]


def test_every_recipe_has_a_key_of_its_own() -> None:
    keys = {recipe.key("amd64") for recipe in ALL} | {recipe.key("arm64") for recipe in ALL}
    assert len(keys) == 2 * len(ALL)


def test_names_are_found_as_people_write_them() -> None:
    assert find("python:3.11-slim-bookworm").name == "docker.io/library/python:3.11-slim-bookworm"
