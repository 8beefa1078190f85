"""Which capabilities this process can give away."""

from __future__ import annotations

from pathlib import Path

_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
"""In the order of their numbers."""


def available(status: Path = Path("/proc/self/status")) -> frozenset[str]:
    """As `CAP_CHOWN`: those both effective here and in the bounding set."""
    masks = {}
    for line in status.read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("CapEff", "CapBnd"):
            masks[key] = int(value, 16)
    mask = masks["CapEff"] & masks["CapBnd"]
    return frozenset(f"CAP_{name}" for number, name in enumerate(_NAMES.split()) if mask >> number & 1)
