"""Unpacked layers: one directory each, ready to be a lower directory of an overlay mount.

A layer is named by its chain id ("this on top of those"), shortened to 26 letters: 128 lower directories relative to
`layers/` then fit into the one page that mount options have. The same archive on top of others is unpacked again,
because directories that it uses without describing them take after those below.

A layer is unpacked in `unpacking/`, locked, and renamed into place when it is whole.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import itertools
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.files import sync_directory
from seatrial.cluster.node.images import digest as digests
from seatrial.cluster.node.images.blobs import disk_error
from seatrial.cluster.node.images.errors import PullFailed
from seatrial.cluster.node.images.lock import try_lock, working_directory
from seatrial.cluster.node.images.stream import BadLayer
from seatrial.cluster.node.images.thread import finish
from seatrial.cluster.node.images.tree import is_whiteout
from seatrial.cluster.node.images.unpack import OPAQUE_TRUSTED, OPAQUE_USER, Unpacked, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.images.unpack import Rules

SMALL_BYTES = 1024 * 1024
"""A compressed layer up to here unpacks in a thread sooner than a process starts (about 60 ms)."""
PARALLEL = max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Layer:
    digest: str
    """Of the blob."""
    size: int
    diff_id: str
    chain_id: str


class LayerStore:
    def __init__(self, root: Path, clock: Clock, rules: Rules) -> None:
        self._layers = root / "layers"
        self._unpacking = root / "unpacking"
        self._clock = clock
        self._rules = rules
        self._turns = asyncio.Semaphore(PARALLEL)

    @property
    def directory(self) -> Path:
        return self._layers

    def prepare(self) -> None:
        for directory in (self._layers, self._unpacking):
            directory.mkdir(exist_ok=True)

    def path(self, chain_id: str) -> Path:
        return self._layers / directory_name(chain_id)

    def has(self, chain_id: str) -> bool:
        return self.path(chain_id).is_dir()

    async def ensure(self, layer: Layer, blob: Path, below: Sequence[str], parent: asyncio.Task[None] | None) -> None:
        """Unpack a layer unless it is here; `below` are the chain ids under it, the nearest first.

        `parent` makes the layer below and is awaited before attributes are taken from there. Raises BadLayer,
        PullFailed, StoreError.
        """
        final = self.path(layer.chain_id)
        if final.is_dir():
            return
        async with working_directory(self._unpacking / final.name, self._clock) as descriptor:
            if final.is_dir():
                return
            work = self._unpacking / final.name
            try:
                async with self._turns:
                    await finish(_empty, work)
                    done = await self._unpack(layer, blob, work, descriptor)
                if done.diff_id != layer.diff_id:
                    raise BadLayer(f"layer {layer.digest} unpacks to {done.diff_id}, the image says {layer.diff_id}")
                if parent is not None:
                    await asyncio.shield(parent)
                lower = [self.path(chain_id) for chain_id in below]
                await finish(_publish, work, final, done.implied, lower, self._rules.owners)
            except OSError as error:
                raise disk_error(error, self._unpacking) from error

    async def _unpack(self, layer: Layer, blob: Path, work: Path, lock: int) -> Unpacked:
        try:
            if layer.size <= SMALL_BYTES:
                return await finish(unpack, blob, work, self._rules)
            return await _unpack_apart(blob, work, self._rules, lock)
        except BadLayer as error:
            raise BadLayer(f"layer {layer.digest}: {error.message}") from error

    def names(self) -> Iterator[str]:
        return (entry.name for entry in os.scandir(self._layers))

    def remove(self, name: str) -> None:
        """Take a layer out of sight in one step, then delete it. Raises OSError."""
        doomed = self._unpacking / f"removed-{name}"
        os.rename(self._layers / name, doomed)
        remove_tree(doomed)

    def remove_remains(self) -> None:
        """Delete what killed processes left: half-unpacked and half-removed layers nobody holds."""
        for entry in list(os.scandir(self._unpacking)):
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if try_lock(descriptor):
                    remove_tree(self._unpacking / entry.name)
            finally:
                os.close(descriptor)


def directory_name(chain_id: str) -> str:
    """128 bits of the digest, in letters and digits that every file system tells apart."""
    return base64.b32encode(bytes.fromhex(digests.encoded(chain_id))[:16]).decode().rstrip("=").lower()


async def _unpack_apart(blob: Path, work: Path, rules: Rules, lock: int) -> Unpacked:
    """In a process of its own: it has its own interpreter lock, inherits ours on the directory, and can be killed.

    What it says counts, and not its exit code: on the node somebody else reaps it (see runtime/processes.py).
    """
    child = _unpacker(blob, work, rules, lock)
    talking = asyncio.create_task(asyncio.to_thread(child.communicate))
    try:
        output, complaint = await asyncio.shield(talking)
    except asyncio.CancelledError:
        child.kill()
        await talking
        raise
    if not output.endswith(b"\n"):
        raise PullFailed(f"unpacking {blob.name} ended before its time", detail=complaint.decode(errors="replace"))
    return _result(orjson.loads(output))


def _unpacker(blob: Path, work: Path, rules: Rules, lock: int) -> subprocess.Popen[bytes]:
    arguments = (str(blob), str(work), str(rules.owners), rules.opaque)
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "seatrial.cluster.node.images.unpack", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(lock,),
    )


def _result(answer: dict[str, Any]) -> Unpacked:
    if "error" in answer:
        raise BadLayer(answer["error"])
    if "errno" in answer:
        raise OSError(answer["errno"], answer["strerror"], answer["filename"])
    return Unpacked(**{**answer, "implied": tuple(answer["implied"])})


def _empty(directory: Path) -> None:
    """Drop what a killed process left here, but keep the directory: it is our lock."""
    os.chmod(directory, 0o755)
    for entry in list(os.scandir(directory)):
        path = directory / entry.name
        if entry.is_dir(follow_symlinks=False):
            remove_tree(path)
        else:
            path.unlink()
    for name in (OPAQUE_TRUSTED, OPAQUE_USER):
        with contextlib.suppress(OSError):
            os.removexattr(directory, name)


def _publish(work: Path, final: Path, implied: Sequence[str], lower: Sequence[Path], owners: bool) -> None:
    for name in sorted(implied, reverse=True):
        _take_after(work / name, name, lower, owners=owners)
    os.rename(work, final)
    sync_directory(final.parent)


def _take_after(directory: Path, name: str, lower: Sequence[Path], *, owners: bool) -> None:
    """A directory that the archive did not describe looks as it does in the layers below."""
    model = _visible_below(name, lower)
    if model is None:
        return
    found = model.stat()
    if owners:
        os.chown(directory, found.st_uid, found.st_gid)
    os.chmod(directory, stat.S_IMODE(found.st_mode))
    for attribute in os.listxattr(model):
        if ".overlay." not in attribute:
            with contextlib.suppress(OSError):
                os.setxattr(directory, attribute, os.getxattr(model, attribute))
    os.utime(directory, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _visible_below(name: str, lower: Sequence[Path]) -> Path | None:
    """The directory that a mount of the layers below would show under `name`, if it is one."""
    parts = [part for part in name.split("/") if part]
    for layer in lower:
        hidden = False
        for path in itertools.accumulate(parts, lambda above, part: above / part, initial=layer):
            try:
                found = path.lstat()
            except FileNotFoundError:
                break
            if is_whiteout(found) or not stat.S_ISDIR(found.st_mode):
                return None
            hidden = hidden or _is_opaque(path)
        else:
            return path
        if hidden:
            return None
    return None


def _is_opaque(directory: Path) -> bool:
    return any(_has_attribute(directory, name) for name in (OPAQUE_TRUSTED, OPAQUE_USER))


def _has_attribute(directory: Path, name: str) -> bool:
    try:
        return os.getxattr(directory, name) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EPERM):
            return False
        raise


def remove_tree(path: Path) -> None:
    """Also where the modes of directories forbid it: without root we may still change what is ours."""
    if os.geteuid() != 0:
        _open_up(path)
    shutil.rmtree(path)


def _open_up(directory: str | Path) -> None:
    os.chmod(directory, 0o700)
    for entry in list(os.scandir(directory)):
        if entry.is_dir(follow_symlinks=False):
            _open_up(entry.path)
