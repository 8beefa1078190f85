from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.nodeprocess.subids import Range, mapping, ranges

if TYPE_CHECKING:
    from pathlib import Path


def test_ranges_are_found_by_name_and_by_number(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("root:100:10\n0:500:20\nother:1:1\nnonsense\nroot:x:1\n")
    assert ranges(file, 0) == [Range(100, 10), Range(500, 20)]


def test_root_inside_is_the_user_and_the_rest_follows_without_gaps() -> None:
    assert mapping(1000, [Range(100000, 65536), Range(300000, 10)]) == [
        "0", "1000", "1", "1", "100000", "65536", "65537", "300000", "10"
    ]  # fmt: skip
