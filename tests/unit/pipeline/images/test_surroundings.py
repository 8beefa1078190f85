"""Steps of a build know the machine's package index and certificates; nothing of that outlives the build."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.pipeline.images import surroundings

SECRET = "https://user:hush@index.example/simple"


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    (tmp_path / "bundle.pem").write_text("certificates")
    (tmp_path / "shm").mkdir()
    return str(tmp_path / "bundle.pem")


def test_pip_is_told_by_a_file_and_never_by_a_variable(tmp_path: Path, bundle: str) -> None:
    given = {"PIP_INDEX_URL": SECRET, "PIP_CERT": bundle}
    with surroundings.shared(tmp_path, given, tmp_path / "shm") as variables:
        assert "hush" not in str(variables)
        told = Path(variables["PIP_CONFIG_FILE"]).read_text()
        assert f"index-url = {SECRET}\n" in told
        assert Path(variables["SSL_CERT_FILE"]).read_text() == "certificates"


def test_nothing_is_left_behind(tmp_path: Path, bundle: str) -> None:
    with surroundings.shared(tmp_path, {"PIP_CERT": bundle}, tmp_path / "shm"):
        pass
    assert not [path for path in (tmp_path / "shm").rglob("*") if path.is_file()]


def test_the_last_of_two_builds_clears_up(tmp_path: Path, bundle: str) -> None:
    with surroundings.shared(tmp_path, {"PIP_CERT": bundle}, tmp_path / "shm") as variables:
        with surroundings.shared(tmp_path, {"PIP_CERT": bundle}, tmp_path / "shm"):
            pass
        assert Path(variables["PIP_CONFIG_FILE"]).exists()
    assert not Path(variables["PIP_CONFIG_FILE"]).exists()


def test_paths_stay_the_same_so_that_layers_are_found_again(tmp_path: Path, bundle: str) -> None:
    seen = []
    for index in ("https://a", "https://b"):
        given = {"PIP_INDEX_URL": index, "PIP_CERT": bundle}
        with surroundings.shared(tmp_path, given, tmp_path / "shm") as variables:
            seen.append(variables)
    assert seen[0] == seen[1]


def test_a_line_break_adds_no_setting(tmp_path: Path, bundle: str) -> None:
    given = {"PIP_INDEX_URL": "https://a\nproxy = http://evil", "PIP_CERT": bundle}
    with surroundings.shared(tmp_path, given, tmp_path / "shm") as variables:
        assert "\nproxy" not in Path(variables["PIP_CONFIG_FILE"]).read_text()


def test_a_directory_of_this_machine_is_no_place_for_a_step(tmp_path: Path, bundle: str) -> None:
    given = {"PIP_FIND_LINKS": "/opt/wheels https://a/links", "PIP_CERT": bundle}
    with surroundings.shared(tmp_path, given, tmp_path / "shm") as variables:
        told = Path(variables["PIP_CONFIG_FILE"]).read_text()
    assert "find-links = https://a/links\n" in told
