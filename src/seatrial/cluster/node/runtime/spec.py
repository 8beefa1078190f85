"""From a container as the kubelet describes it to an OCI configuration (`config.json`). Data in, data out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from seatrial.cluster.node.runtime.seccomp import default_profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.cluster.node.runtime.types import ContainerConfig, Limits, Mount, Sandbox

MAX_OPEN_FILES = 1024 * 1024
CPU_PERIOD_MICROSECONDS = 100_000

_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))
"""null, zero, full, random, urandom, tty, ptmx."""
_TERMINALS = 136


@dataclass(frozen=True, slots=True)
class Machine:
    """What the node itself may do, and so can give."""

    capabilities: frozenset[str]
    open_files: int
    """Its own hard limit."""
    oom_score_adj: int
    """Its own; lower takes CAP_SYS_RESOURCE of the machine."""
    user_namespace: bool
    cgroups: bool
    swap_limits: bool = False
    """Whether the memory's control group counts swap."""


def container_spec(
    config: ContainerConfig,
    sandbox: Sandbox,
    *,
    files: Path,
    cgroups_path: str,
    machine: Machine,
    profile: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`files` holds hosts, resolv.conf, hostname and shm of the sandbox; `profile` is a seccomp profile of the user."""
    capabilities = _capabilities(config, machine)
    linux: dict[str, Any] = {
        "namespaces": _namespaces(sandbox, machine),
        "rootfsPropagation": "rslave" if _propagates(config) else "rprivate",
        "resources": _resources(config, machine),
    }
    if cgroups_path:
        linux["cgroupsPath"] = cgroups_path
    if not config.security.privileged and not config.security.unmasked_proc:
        linux |= {"maskedPaths": _MASKED, "readonlyPaths": _READ_ONLY}
    seccomp = _seccomp(config, capabilities, profile)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    return {
        "ociVersion": "1.0.2",
        "process": _process(config, capabilities, machine),
        "root": {"path": "rootfs", "readonly": config.security.read_only_root},
        "mounts": _mounts(config, sandbox, files, machine),
        "linux": linux,
    }


def _process(config: ContainerConfig, capabilities: list[str], machine: Machine) -> dict[str, Any]:
    security = config.security
    files = min(machine.open_files, MAX_OPEN_FILES)
    return {
        "terminal": config.tty,
        "user": {"uid": security.uid, "gid": security.gid, "additionalGids": sorted({security.gid, *security.groups})},
        "args": list(config.arguments),
        "env": [*config.environment, *(["TERM=xterm"] if config.tty and not _has(config, "TERM") else [])],
        "cwd": config.directory or "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": max(machine.oom_score_adj, min(1000, config.limits.oom_score_adj)),
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": files, "hard": files}],
    }


def _has(config: ContainerConfig, name: str) -> bool:
    return any(entry.startswith(name + "=") for entry in config.environment)


def _capabilities(config: ContainerConfig, machine: Machine) -> list[str]:
    """What is asked for, as far as the node has it. Inheritable and ambient sets stay empty: no user but root gets any
    by itself.
    """
    asked = machine.capabilities if config.security.privileged else frozenset(config.security.capabilities)
    given = asked & machine.capabilities
    if not machine.cgroups and not machine.user_namespace and not config.security.privileged:
        # Without the devices' control group nothing else keeps root from making the machine's disk.
        given -= {"CAP_MKNOD"}
    return sorted(given)


def _namespaces(sandbox: Sandbox, machine: Machine) -> list[dict[str, str]]:
    config = sandbox.config
    held = f"/proc/{sandbox.pid}/ns"
    spaces = [{"type": "mount"}, {"type": "uts", "path": f"{held}/uts"}]
    if not config.host_network:
        spaces.append({"type": "network", "path": sandbox.network_namespace})
    if not config.host_ipc:
        spaces.append({"type": "ipc", "path": f"{held}/ipc"})
    if not config.host_pid:
        shared = {"path": f"{held}/pid"} if config.share_process_namespace else {}
        spaces.append({"type": "pid", **shared})
    if machine.cgroups:
        spaces.append({"type": "cgroup"})
    return spaces


def _mounts(config: ContainerConfig, sandbox: Sandbox, files: Path, machine: Machine) -> list[dict[str, Any]]:
    """Ours first, unless the kubelet has its own for that place; then the kubelet's, outer before inner."""
    taken = {_normal(mount.target) for mount in config.mounts}
    ours = [mount for mount in _own_mounts(config, sandbox, files, machine) if mount["destination"] not in taken]
    theirs = sorted(config.mounts, key=lambda mount: len(PurePosixPath(mount.target).parts))
    return [*ours, *map(_bind, theirs)]


def _own_mounts(config: ContainerConfig, sandbox: Sandbox, files: Path, machine: Machine) -> list[dict[str, Any]]:
    privileged = config.security.privileged
    held = ["nosuid", "noexec", "nodev"]
    writable = ["rw"] if privileged else ["ro"]
    mounts = [
        _mount("proc", "/proc", "proc", held),
        _mount("tmpfs", "/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("devpts", "/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        _mount("sysfs", "/sys", "sysfs", [*held, *writable]),
    ]
    if machine.cgroups:
        mounts.append(_mount("cgroup", "/sys/fs/cgroup", "cgroup", [*held, "relatime", *writable]))
    if sandbox.config.host_ipc:
        mounts.append(_mount("/dev/shm", "/dev/shm", "bind", ["rbind", "rw"]))
    else:
        mounts.append(_mount("mqueue", "/dev/mqueue", "mqueue", held))
        mounts.append(_mount(str(files / "shm"), "/dev/shm", "bind", ["rbind", "rw", *held]))
    access = "ro" if config.security.read_only_root else "rw"
    mounts += [
        _mount(str(files / name), f"/etc/{name}", "bind", ["rbind", "rprivate", access])
        for name in ("hosts", "resolv.conf", "hostname")
    ]
    return mounts


def _bind(mount: Mount) -> dict[str, Any]:
    access = "rw" if not mount.read_only else "rro" if mount.recursive_read_only else "ro"
    return _mount(mount.source, _normal(mount.target), "bind", ["rbind", _PROPAGATION[mount.propagation], access])


def _mount(source: str, target: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": options}


def _normal(target: str) -> str:
    return str(PurePosixPath("/", target))


def _propagates(config: ContainerConfig) -> bool:
    return any(mount.propagation != "None" for mount in config.mounts)


def _resources(config: ContainerConfig, machine: Machine) -> dict[str, Any]:
    if not machine.cgroups:
        return {}
    limits = config.limits
    resources: dict[str, Any] = {"cpu": _cpu(limits)}
    if limits.memory_bytes is not None:
        resources["memory"] = {"limit": limits.memory_bytes}
        if machine.swap_limits:  # of both together: the same means no swap
            resources["memory"]["swap"] = limits.memory_bytes
    if limits.pids is not None:
        resources["pids"] = {"limit": limits.pids}
    if not machine.user_namespace:
        resources["devices"] = _devices(privileged=config.security.privileged)
    return {kind: value for kind, value in resources.items() if value}


def _cpu(limits: Limits) -> dict[str, int]:
    cpu: dict[str, int] = {}
    if limits.cpu_shares is not None:
        cpu["shares"] = max(2, limits.cpu_shares)
    if limits.cpu_quota_microseconds is not None:
        cpu |= {"quota": max(1000, limits.cpu_quota_microseconds), "period": CPU_PERIOD_MICROSECONDS}
    return cpu


def _devices(*, privileged: bool) -> list[dict[str, Any]]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    listed: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    listed += [
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"} for major, minor in _DEVICES
    ]
    listed.append({"allow": True, "type": "c", "major": 136, "access": "rwm"})  # terminals
    return listed


def _seccomp(
    config: ContainerConfig, capabilities: list[str], profile: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    if config.security.privileged or config.security.seccomp == "Unconfined":
        return None
    return default_profile(capabilities) if profile is None else profile
