from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.clock import ManualClock
from seatrial.cluster.node.runtime.logs import MAX_LINE, LogFile

if TYPE_CHECKING:
    from pathlib import Path

NOW = "2023-11-14T22:13:20.250000000Z"


def opened(path: Path, **limits: int) -> LogFile:
    return LogFile(path / "pod" / "0.log", ManualClock(1_700_000_000.25), **limits)


def lines(path: Path) -> list[str]:
    return (path / "pod" / "0.log").read_text().splitlines()


def test_every_line_is_stamped(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write("stdout", b"one\n\ntwo\n")
    assert lines(tmp_path) == [f"{NOW} stdout F one", f"{NOW} stdout F ", f"{NOW} stdout F two"]


def test_what_has_no_end_yet_waits_for_it_each_stream_for_itself(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write("stdout", b"a")
    log.write("stderr", b"x\n")
    log.write("stdout", b"b\nc")
    assert lines(tmp_path) == [f"{NOW} stderr F x", f"{NOW} stdout F ab"]
    log.close()
    assert lines(tmp_path)[2] == f"{NOW} stdout P c"


def test_a_long_line_comes_in_parts_however_it_arrives(tmp_path: Path) -> None:
    text = b"x" * (2 * MAX_LINE + 5) + b"\nnext\n"
    for name, size in (("whole", len(text)), ("pieces", 1000)):
        log = opened(tmp_path / name)
        for at in range(0, len(text), size):
            log.write("stdout", text[at : at + size])
        found = [line.split(" ", 3)[2:] for line in lines(tmp_path / name)]
        assert [tag for tag, _ in found] == ["P", "P", "F", "F"]
        assert "".join(part for _, part in found[:3]) == "x" * (2 * MAX_LINE + 5)
        assert found[3][1] == "next"


def test_a_full_file_makes_room_and_only_so_many_are_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    log = LogFile(tmp_path / "0.log", clock, max_bytes=1000, max_files=3)
    for number in range(60):
        clock._now += 1
        log.write("stdout", b"%040d\n" % number)
    files = sorted(tmp_path.iterdir(), key=lambda path: (path.name == "0.log", path.name))
    assert len(files) == 3
    assert files[-1].name == "0.log"
    assert all(path.stat().st_size <= 1000 for path in files)
    numbers = [int(line.split()[-1]) for path in files for line in path.read_text().splitlines()]
    assert numbers == list(range(numbers[0], 60))


def test_a_log_goes_on_in_a_new_file_when_told_to(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write("stdout", b"old\n")
    (tmp_path / "pod" / "0.log").rename(tmp_path / "moved")
    log.reopen()
    log.write("stdout", b"new\n")
    assert lines(tmp_path) == [f"{NOW} stdout F new"]
    assert (tmp_path / "moved").read_text() == f"{NOW} stdout F old\n"


def test_a_log_is_continued_by_the_next_node(tmp_path: Path) -> None:
    opened(tmp_path).write("stdout", b"one\n")
    opened(tmp_path).write("stdout", b"two\n")
    assert len(lines(tmp_path)) == 2
