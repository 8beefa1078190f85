"""On directories that look like control groups: what the machine of the tests does not have, above all version 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.node.runtime.cgroups import CgroupsV1, CgroupsV2, NoCgroups, detect, sweep
from seatrial.cluster.node.runtime.types import SandboxConfig

if TYPE_CHECKING:
    from pathlib import Path


def v2(root: Path, *groups: str, hands_on: str = "cpu io memory pids") -> Path:
    for group in ("", *groups):
        directory = root / group
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.controllers").write_text("cpu io memory pids\n")
        (directory / "cgroup.subtree_control").write_text(hands_on + "\n")
        (directory / "cgroup.procs").touch()
    return root


def own(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_version_2_is_used_below_the_nearest_group_that_hands_its_controllers_on(tmp_path: Path) -> None:
    root = v2(tmp_path / "cgroup", "user.slice", "user.slice/app")
    (root / "user.slice" / "app" / "cgroup.procs").unlink()  # not ours to move processes in
    made = v2(root / "user.slice" / "seatrial-one", "pod")
    found, missing = detect("one", root, own(tmp_path / "own", "0::/user.slice/app\n"))
    assert isinstance(found, CgroupsV2)
    assert missing == ""
    assert found.path("pod", "c") == "/user.slice/seatrial-one/pod/c"
    found.create_pod(SandboxConfig("pod", "default", "web", "web", memory_limit=5))
    assert (made / "pod" / "memory.max").read_text() == "5"


def test_version_2_counts_and_tells_of_want_of_memory(tmp_path: Path) -> None:
    group = tmp_path / "seatrial-one" / "pod" / "c"
    group.mkdir(parents=True)
    for name, text in {
        "memory.current": "1000\n",
        "memory.stat": "anon 700\ninactive_file 200\n",
        "cpu.stat": "usage_usec 12\nuser_usec 3\n",
        "memory.events": "low 0\noom 1\noom_kill 1\n",
    }.items():
        (group / name).write_text(text)
    groups = CgroupsV2("one", tmp_path, tmp_path)
    consumed = groups.consumed("pod", "c")
    assert consumed is not None
    assert (consumed.cpu_nanoseconds, consumed.memory_working_set, consumed.memory_rss) == (12_000, 800, 700)
    assert groups.out_of_memory("pod", "c")
    assert not groups.out_of_memory("pod", "gone")
    assert groups.consumed("pod", "gone") is None


def test_version_2_without_delegation_is_none_and_says_why(tmp_path: Path) -> None:
    root = v2(tmp_path / "cgroup", hands_on="")
    (root / "cgroup.subtree_control").unlink()
    found, missing = detect("one", root, own(tmp_path / "own", "0::/\n"))
    assert isinstance(found, NoCgroups)
    assert "delegated" in missing


def test_version_1_is_used_where_its_controllers_are(tmp_path: Path) -> None:
    for name in ("cpu", "memory", "pids"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    found, missing = detect("one", tmp_path)
    assert isinstance(found, CgroupsV1)
    assert (found.path("pod", "c"), missing) == ("/seatrial-one/pod/c", "")


def test_no_controller_is_named_as_missing(tmp_path: Path) -> None:
    found, missing = detect("one", tmp_path)
    assert isinstance(found, NoCgroups)
    assert missing == "control groups (cpu, memory, pids) are not writable"


def test_a_sweep_removes_the_groups_of_one_instance_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "a" / "seatrial-one" / "pod" / "c").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "seatrial-one").mkdir(parents=True)
    (tmp_path / "a" / "seatrial-two" / "pod").mkdir(parents=True)
    mounts = own(
        tmp_path / "mounts", f"30 24 0:26 / {tmp_path}/a rw - cgroup2 cgroup2 rw\n31 24 0:9 / /x rw - tmpfs t rw\n"
    )
    assert sweep("one", mounts) == []
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["deep", "seatrial-two"]


def test_a_sweep_says_what_is_still_in_use(tmp_path: Path) -> None:
    (tmp_path / "seatrial-one").mkdir()
    (tmp_path / "seatrial-one" / "busy").touch()
    mounts = own(tmp_path / "mounts", f"30 24 0:26 / {tmp_path} rw - cgroup cgroup rw,memory\n")
    assert sweep("one", mounts) == [f"{tmp_path}/seatrial-one"]
