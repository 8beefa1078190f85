"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def facts() -> dict[str, object]:
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memoryMiB": int(memory) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadAverage": os.getloadavg()[0],
    }


def rss_mib(pid: int) -> float:
    """Resident memory of a process and its children."""
    total = 0
    for found in tree(pid):
        status = _lines(f"/proc/{found}/status")
        total += next((int(line.split()[1]) for line in status if line.startswith("VmRSS")), 0)
    return round(total / 1024, 1)


def tree(pid: int) -> list[int]:
    children = [int(child) for line in _lines(f"/proc/{pid}/task/{pid}/children") for child in line.split()]
    return [pid, *(found for child in children for found in tree(child))]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
