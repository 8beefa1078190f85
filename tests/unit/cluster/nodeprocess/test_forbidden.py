from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.nodeprocess.forbidden import can_run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_machine_without_an_oci_runtime_is_told_what_to_install(tmp_path: Path) -> None:
    assert can_run(str(tmp_path)) == "there is no OCI runtime: install crun (or runc)"
