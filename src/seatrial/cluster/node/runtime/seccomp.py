"""The `RuntimeDefault` seccomp profile: what a container has no business calling unless a capability says so.

It names what is refused: calls that reach outside the container's namespaces or load code into the kernel, each with
the capability that makes it legitimate. Foreign system call tables (x32 on x86-64) are refused as a whole, because
their architecture is not listed.
"""

from __future__ import annotations

import errno
import platform
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

_NEVER = """
    add_key request_key keyctl kexec_load kexec_file_load userfaultfd nfsservctl uselib ustat sysfs _sysctl
    create_module get_kernel_syms query_module vm86 vm86old io_uring_setup io_uring_enter io_uring_register
"""
_UNLESS = {
    "CAP_SYS_ADMIN": """
        mount umount umount2 pivot_root unshare setns fsopen fsconfig fsmount fspick move_mount open_tree
        open_tree_attr mount_setattr quotactl quotactl_fd swapon swapoff lookup_dcookie fanotify_init
        sethostname setdomainname
    """,
    "CAP_SYS_MODULE": "init_module finit_module delete_module",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_NICE": "mbind move_pages migrate_pages set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PTRACE": "kcmp process_madvise",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
_INCLUDED = {"CAP_BPF": "CAP_SYS_ADMIN", "CAP_PERFMON": "CAP_SYS_ADMIN", "CAP_SYSLOG": "CAP_SYS_ADMIN"}
"""The older capability that means the newer one, too."""

_NEW_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_AF_VSOCK = 40

_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}


def default_profile(capabilities: Collection[str], machine: str = platform.machine()) -> dict[str, Any]:
    """For a container with these capabilities, as `linux.seccomp` of an OCI configuration."""
    refused = _NEVER.split()
    for capability, calls in _UNLESS.items():
        if capability not in capabilities and _INCLUDED.get(capability) not in capabilities:
            refused += calls.split()
    rules = [_refuse(refused), *_arguments(capabilities)]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": _ARCHITECTURES.get(machine, []),
        "syscalls": rules,
    }


def _arguments(capabilities: Collection[str]) -> list[dict[str, Any]]:
    rules = [_refuse(["socket"], index=0, value=_AF_VSOCK)]
    if "CAP_SYS_ADMIN" in capabilities:
        return rules
    # New namespaces by clone(2). The flags of clone3 are in memory, out of a filter's sight: without it, libraries
    # fall back to clone.
    rules += [_refuse(["clone"], index=0, value=flag, mask=flag) for flag in _NEW_NAMESPACES]
    rules.append(_refuse(["clone3"], error=errno.ENOSYS))
    return rules


def _refuse(
    names: list[str], *, error: int = errno.EPERM, index: int | None = None, value: int = 0, mask: int | None = None
) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": error}
    if index is not None and mask is None:
        rule["args"] = [{"index": index, "value": value, "op": "SCMP_CMP_EQ"}]
    elif index is not None:
        rule["args"] = [{"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}]
    return rule
