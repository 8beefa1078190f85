"""Control groups of the node: where they can be made, what containers use, who ran out of memory, and their removal.

All are under one group named after the instance, so that the next start finds what a killed node left (`sweep`). The
OCI runtime makes a container's group and sets its limits; the group of a pod is made here. Three machines are known:
version 1 controllers (also beside version 2), version 2 alone, and no group that we may write.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seatrial.cluster.node.runtime.types import SandboxConfig

ROOT = Path("/sys/fs/cgroup")
PREFIX = "seatrial-"
NEEDED = ("cpu", "memory", "pids")
_V2_WANTED = ("cpu", "memory", "pids", "cpuset", "io")
_KILL_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Consumed:
    cpu_nanoseconds: int
    memory_working_set: int
    memory_rss: int


class Cgroups(Protocol):
    manager: str
    """What crun's --cgroup-manager is to be."""
    counts_swap: bool

    def path(self, pod: str, container: str) -> str:
        """`linux.cgroupsPath` of a container, "" without groups."""

    def create_pod(self, config: SandboxConfig) -> None:
        """With the pod's own limit. Idempotent. Raises OSError."""

    def remove_pod(self, pod: str) -> None: ...

    def remove_container(self, pod: str, container: str) -> None: ...

    def consumed(self, pod: str, container: str) -> Consumed | None: ...

    def out_of_memory(self, pod: str, container: str) -> bool:
        """Whether the kernel killed one of its processes for want of memory."""

    def kill(self, pod: str, container: str) -> bool:
        """SIGKILL to everything in it; False where there is no group to tell what that is."""

    def close(self) -> None:
        """Remove every group of this instance."""


class NoCgroups:
    manager = "disabled"
    counts_swap = False

    def path(self, pod: str, container: str) -> str:
        return ""

    def create_pod(self, config: SandboxConfig) -> None: ...

    def remove_pod(self, pod: str) -> None: ...

    def remove_container(self, pod: str, container: str) -> None: ...

    def consumed(self, pod: str, container: str) -> Consumed | None:
        return None

    def out_of_memory(self, pod: str, container: str) -> bool:
        return False

    def kill(self, pod: str, container: str) -> bool:
        return False

    def close(self) -> None: ...


class CgroupsV1:
    """One tree per controller, mounted at `root`/<controller> by the node's entry, relative to the node's own group."""

    manager = "cgroupfs"

    def __init__(self, instance: str, root: Path = ROOT) -> None:
        self._name = PREFIX + instance
        self._root = root
        self.counts_swap = (root / "memory" / "memory.memsw.limit_in_bytes").exists()

    def path(self, pod: str, container: str) -> str:
        return f"/{self._name}/{pod}/{container}"

    def create_pod(self, config: SandboxConfig) -> None:
        if config.memory_limit is None:
            return
        group = self._root / "memory" / self._name / config.uid
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(config.memory_limit))

    def remove_pod(self, pod: str) -> None:
        for tree in self._trees():
            remove_tree(tree / self._name / pod)

    def remove_container(self, pod: str, container: str) -> None:
        for tree in self._trees():
            remove_tree(tree / self._name / pod / container)

    def consumed(self, pod: str, container: str) -> Consumed | None:
        memory = self._group("memory", pod, container)
        try:
            cpu = int((self._group("cpuacct", pod, container) / "cpuacct.usage").read_text())
            used = int((memory / "memory.usage_in_bytes").read_text())
            stat = _pairs(memory / "memory.stat")
        except (OSError, ValueError):
            return None
        return Consumed(cpu, max(0, used - stat.get("total_inactive_file", 0)), stat.get("total_rss", 0))

    def out_of_memory(self, pod: str, container: str) -> bool:
        return _pairs(self._group("memory", pod, container) / "memory.oom_control").get("oom_kill", 0) > 0

    def kill(self, pod: str, container: str) -> bool:
        return _kill_members(self._group("pids", pod, container) / "cgroup.procs")

    def close(self) -> None:
        for tree in self._trees():
            remove_tree(tree / self._name)

    def _group(self, controller: str, pod: str, container: str) -> Path:
        return self._root / controller / self._name / pod / container

    def _trees(self) -> Iterator[Path]:
        for tree in self._root.iterdir():
            if tree.is_dir() and not tree.is_symlink():
                yield tree


class CgroupsV2:
    """`base` is a group we may write and that hands its controllers on: the machine's root, or what was delegated."""

    manager = "cgroupfs"

    def __init__(self, instance: str, base: Path, root: Path = ROOT) -> None:
        self._root = root
        self._own = base / (PREFIX + instance)
        self.counts_swap = False

    def open(self) -> None:
        """Raises OSError."""
        self._own.mkdir(exist_ok=True)
        _hand_on(self._own)
        self.counts_swap = (self._own / "memory.swap.max").exists()

    def path(self, pod: str, container: str) -> str:
        return f"/{(self._own / pod / container).relative_to(self._root)}"

    def create_pod(self, config: SandboxConfig) -> None:
        group = self._own / config.uid
        group.mkdir(exist_ok=True)
        _hand_on(group)
        if config.memory_limit is not None:
            (group / "memory.max").write_text(str(config.memory_limit))

    def remove_pod(self, pod: str) -> None:
        remove_tree(self._own / pod)

    def remove_container(self, pod: str, container: str) -> None:
        remove_tree(self._own / pod / container)

    def consumed(self, pod: str, container: str) -> Consumed | None:
        group = self._own / pod / container
        try:
            used = int((group / "memory.current").read_text())
        except (OSError, ValueError):
            return None
        memory, cpu = _pairs(group / "memory.stat"), _pairs(group / "cpu.stat")
        working_set = max(0, used - memory.get("inactive_file", 0))
        return Consumed(cpu.get("usage_usec", 0) * 1000, working_set, memory.get("anon", 0))

    def out_of_memory(self, pod: str, container: str) -> bool:
        return _pairs(self._own / pod / container / "memory.events").get("oom_kill", 0) > 0

    def kill(self, pod: str, container: str) -> bool:
        group = self._own / pod / container
        try:
            (group / "cgroup.kill").write_text("1")
        except OSError:
            return _kill_members(group / "cgroup.procs")
        return True

    def close(self) -> None:
        remove_tree(self._own)


def detect(instance: str, root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> tuple[Cgroups, str]:
    """What this machine lets us have, and what is missing ("" if nothing)."""
    if (root / "cgroup.controllers").exists():
        return _detect_v2(instance, root, own)
    missing = [name for name in NEEDED if not os.access(root / name / "cgroup.procs", os.W_OK)]
    if missing:
        return NoCgroups(), f"control groups ({', '.join(missing)}) are not writable"
    return CgroupsV1(instance, root), ""


def _detect_v2(instance: str, root: Path, own: Path) -> tuple[Cgroups, str]:
    base = _base(root, own.read_text())
    if base is None:
        return NoCgroups(), "no control group with cpu, memory and pids is delegated to this user"
    groups = CgroupsV2(instance, base, root)
    try:
        groups.open()
    except OSError as error:
        return NoCgroups(), f"control group {base} cannot be used: {error.strerror}"
    return groups, ""


def _base(root: Path, own: str) -> Path | None:
    """The nearest group upwards from our own that we may write and that has processes only in its children."""
    here = next((line[3:] for line in own.splitlines() if line.startswith("0::")), "/")
    group = root / here.lstrip("/")
    for candidate in (group, *group.parents):
        if not candidate.is_relative_to(root):
            return None
        files = ("cgroup.procs", "cgroup.subtree_control")
        if not os.access(candidate, os.W_OK) or not all(os.access(candidate / name, os.W_OK) for name in files):
            continue
        with contextlib.suppress(OSError):  # EBUSY: it has processes of its own
            _hand_on(candidate)
        if set(NEEDED) <= set(_words(candidate / "cgroup.subtree_control")):
            return candidate
    return None


def _hand_on(group: Path) -> None:
    """Let the group's children have what it has."""
    there = set(_words(group / "cgroup.controllers")) - set(_words(group / "cgroup.subtree_control"))
    wanted = [f"+{name}" for name in _V2_WANTED if name in there]
    if wanted:
        (group / "cgroup.subtree_control").write_text(" ".join(wanted))


def sweep(instance: str, mounts: Path = Path("/proc/self/mountinfo")) -> list[str]:
    """Remove the groups a killed node of this instance left, wherever it ran; call it in the machine's own namespaces.

    Returns those that could not be removed.
    """
    left = []
    for top in _cgroup_mounts(mounts.read_text()):
        for group in _named(Path(top), PREFIX + instance):
            remove_tree(group)
            if group.exists():
                left.append(str(group))
    return left


def _cgroup_mounts(mountinfo: str) -> Iterator[str]:
    for line in mountinfo.splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith(("cgroup ", "cgroup2 ")):
            yield fields.split(" ")[4]


def _named(top: Path, name: str) -> list[Path]:
    found = []
    for directory, children, _files in os.walk(top):
        if name in children:
            found.append(Path(directory, name))
        children[:] = [child for child in children if not child.startswith(PREFIX)]
    return found


def remove_tree(group: Path) -> None:
    """The groups under it first; what still has a process stays."""
    for directory, _children, _files in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _kill_members(listing: Path) -> bool:
    """Until nobody is left who could have forked meanwhile."""
    for _ in range(_KILL_ROUNDS):
        try:
            members = [int(word) for word in _words(listing)]
        except OSError as error:
            return error.errno == errno.ENODEV
        living = [pid for pid in members if pid > 0 and not _is_zombie(pid)]
        if not living:
            return True
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return True


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def _pairs(path: Path) -> Mapping[str, int]:
    """`name number` lines; nothing if the file is gone."""
    try:
        text = path.read_text()
    except OSError:
        return {}
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
