"""Root file systems: an overlay of an image's layers and a directory of the container's own.

Mounting needs relative names of the layers (their absolute names would not fit in the one page mount(2) reads), so it
happens in one thread that has a working directory to itself.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from seatrial.cluster.node.runtime import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_LAYERS = 500
"""What the kernel allows."""
_OWN = ("lower", "upper", "work", "rootfs")


class Roots:
    def __init__(self, *, user_namespace: bool) -> None:
        self._options = ",userxattr" if user_namespace else ""
        self._volatile = ",volatile"
        self._thread = ThreadPoolExecutor(1, "overlay", initializer=kernel.unshare, initargs=(kernel.CLONE_FS,))

    async def probe(self, directory: Path) -> bool:
        """Whether overlays can lie in `directory` (not where it is an overlay itself)."""
        trial = directory / ".trial"
        shutil.rmtree(trial, ignore_errors=True)
        trial.mkdir(parents=True)
        layer = trial / "layer"
        layer.mkdir()
        try:
            await self.mount(trial, [layer])
        except OSError:
            return False
        else:
            await self.unmount(trial)
            return True
        finally:
            shutil.rmtree(trial, ignore_errors=True)

    async def mount(self, bundle: Path, layers: Sequence[Path]) -> Path:
        """The container's root; `layers` has the top one first. Raises OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._mount, bundle, layers)

    async def unmount(self, bundle: Path) -> None:
        """The root is gone, and what was written to it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, _unmount, bundle)

    def close(self) -> None:
        self._thread.shutdown()

    def _mount(self, bundle: Path, layers: Sequence[Path]) -> Path:
        if len(layers) > MAX_LAYERS:
            raise OSError(errno.E2BIG, f"an image of {len(layers)} layers; the kernel takes {MAX_LAYERS}")
        for name in _OWN:
            (bundle / name).mkdir(exist_ok=True)
        for number, layer in enumerate(layers):
            os.symlink(layer, bundle / "lower" / str(number))
        lower = ":".join(str(number) for number in range(len(layers)))
        os.chdir(bundle / "lower")
        options = f"lowerdir={lower},upperdir=../upper,workdir=../work{self._options}"
        root = bundle / "rootfs"
        try:
            self._overlay(root, options)
        finally:
            os.chdir("/")
        return root

    def _overlay(self, root: Path, options: str) -> None:
        try:
            kernel.mount("overlay", root, "overlay", kernel.MS_NODEV, options + self._volatile)
        except OSError as error:
            if not self._volatile or error.errno != errno.EINVAL:
                raise
            # Linux before 5.10 does not know it; what it spares is a sync of files that nobody wants to keep.
            kernel.mount("overlay", root, "overlay", kernel.MS_NODEV, options)
            self._volatile = ""


def _unmount(bundle: Path) -> None:
    root = bundle / "rootfs"
    try:
        kernel.unmount(root)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # it was not mounted
            raise
    if not os.path.ismount(root):  # never delete what shines through
        shutil.rmtree(bundle, ignore_errors=True)
