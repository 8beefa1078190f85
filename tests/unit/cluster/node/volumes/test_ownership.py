"""fsGroup."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from seatrial.cluster.node.volumes import ownership

if TYPE_CHECKING:
    from pathlib import Path

GROUP = os.getgid() if os.geteuid() else 4321


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def pod(shared: dict[str, Any] | None = None, *own: dict[str, Any]) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "securityContext": found} for number, found in enumerate(own)]
    return {"spec": {"securityContext": shared or {}, "containers": containers}}


def test_a_volume_is_given_to_the_group(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    (volume / "d").mkdir(parents=True)
    (volume / "d" / "f").write_text("x")
    for path, before in ((volume, 0o755), (volume / "d", 0o700), (volume / "d" / "f", 0o600)):
        path.chmod(before)
    ownership.give(volume, GROUP)
    assert [mode(path) for path in (volume, volume / "d", volume / "d" / "f")] == [0o2775, 0o2770, 0o660]
    assert {path.stat().st_gid for path in (volume, volume / "d", volume / "d" / "f")} == {GROUP}


def test_what_nobody_writes_stays_so(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").chmod(0o600)
    ownership.give(tmp_path, GROUP, read_only=True)
    assert mode(tmp_path / "f") == 0o640


def test_what_a_link_leads_to_is_left_alone(tmp_path: Path) -> None:
    volume, outside = tmp_path / "v", tmp_path / "outside"
    volume.mkdir()
    outside.write_text("x")
    outside.chmod(0o600)
    (volume / "link").symlink_to(outside)
    (volume / "dangling").symlink_to("nowhere")
    ownership.give(volume, GROUP)
    assert mode(outside) == 0o600
    assert (volume / "link").lstat().st_gid == GROUP


def test_on_root_mismatch_only_the_directory_itself_is_looked_at(tmp_path: Path) -> None:
    ownership.give(tmp_path, GROUP)
    (tmp_path / "later").write_text("x")
    (tmp_path / "later").chmod(0o600)
    ownership.give(tmp_path, GROUP, only_on_mismatch=True)
    assert mode(tmp_path / "later") == 0o600
    tmp_path.chmod(0o700)
    ownership.give(tmp_path, GROUP, only_on_mismatch=True)
    assert mode(tmp_path / "later") == 0o660


def test_the_user_of_a_token_is_the_one_all_containers_run_as() -> None:
    assert ownership.user_of(pod({"runAsUser": 7}, {}, {})) == 7
    assert ownership.user_of(pod({"runAsUser": 7}, {"runAsUser": 8}, {})) is None
    assert ownership.user_of(pod({}, {"runAsUser": 8}, {"runAsUser": 8})) == 8
    assert ownership.user_of(pod({}, {})) is None
