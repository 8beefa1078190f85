"""The mounts volumes need, in the node's own mount namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.node.runtime import kernel

if TYPE_CHECKING:
    from pathlib import Path


class Mounter:
    """Each raises OSError."""

    def memory(self, target: Path, *, mode: int, size: int | None = None) -> None:
        """A file system of memory, of so many bytes at most."""
        options = f"mode={mode:o}" + (f",size={size}" if size is not None else "")
        kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)

    def bind(self, opened: int, target: Path) -> None:
        """What the file descriptor stands for, wherever its name has gone since."""
        kernel.mount(f"/proc/self/fd/{opened}", target, flags=kernel.MS_BIND | kernel.MS_REC)

    def unmount(self, target: Path) -> None:
        kernel.unmount(target)
