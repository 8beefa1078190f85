"""Verified bytes by digest: `blobs/sha256/<hex>`. A name that exists holds what its digest says.

Bytes arrive in `ingest/<hex>`, locked by whoever writes; there a killed or broken transfer goes on later. Only after
size and digest fit is the file synced and renamed.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from seatrial.base.files import sync_directory
from seatrial.cluster.node.images import digest as digests
from seatrial.cluster.node.images.digest import is_digest
from seatrial.cluster.node.images.errors import ImageError, PullFailed, StoreError
from seatrial.cluster.node.images.lock import working_file
from seatrial.cluster.node.images.thread import finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from hashlib import _Hash
    from pathlib import Path

    from seatrial.base.clock import Clock

CHUNK_BYTES = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DigestMismatch(PullFailed):
    """The bytes that came are not those the digest names."""


class BlobStore:
    def __init__(self, root: Path, clock: Clock) -> None:
        self._blobs = root / "blobs"
        self._ingest = root / "ingest"
        self._clock = clock

    def prepare(self) -> None:
        self._blobs.mkdir(exist_ok=True)
        self._ingest.mkdir(exist_ok=True)
        for algorithm in ("sha256", "sha512"):
            (self._blobs / algorithm).mkdir(exist_ok=True)

    def path(self, digest: str) -> Path:
        if not is_digest(digest):
            raise StoreError(f"{digest[:100]!r} is no digest")
        algorithm, _, encoded = digest.partition(":")
        return self._blobs / algorithm / encoded

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def read(self, digest: str) -> bytes:
        """A small blob, checked again: the store outlives the disk's good days. Raises StoreError."""
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise StoreError(f"blob {digest} is missing in {self._blobs}: pull the image again") from None
        if not digests.matches(digest, content):
            raise StoreError(f"blob {digest} in {self._blobs} is damaged: remove the image and pull it again")
        return content

    async def put(self, content: bytes) -> str:
        """Store a small blob under its sha256."""
        digest = digests.of(content)
        async with self.writing(digest, len(content)) as writer:
            if writer is not None:
                await writer.restart()
                await writer.write(content)
                await writer.commit()
        return digest

    @asynccontextmanager
    async def writing(self, digest: str, size: int) -> AsyncIterator[BlobWriter | None]:
        """A writer to finish the blob with, or None once it is here; others who want it wait meanwhile."""
        final = self.path(digest)
        if final.is_file():
            yield None
            return
        partial = self._ingest / digest.replace(":", "-")
        async with working_file(partial, self._clock) as descriptor:
            if final.is_file():
                partial.unlink(missing_ok=True)
                yield None
                return
            yield BlobWriter(descriptor, partial, final, digest, size)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Digest and size of every blob."""
        for directory in self._blobs.iterdir():
            for blob in directory.iterdir():
                yield f"{directory.name}:{blob.name}", blob.stat().st_size

    def remove(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)

    def remove_partial(self) -> None:
        """Forget broken transfers. Only while nobody pulls."""
        for partial in self._ingest.iterdir():
            partial.unlink(missing_ok=True)


class BlobWriter:
    """Appends to a locked partial file while summing it."""

    def __init__(self, descriptor: int, partial: Path, final: Path, digest: str, size: int) -> None:
        self._descriptor = descriptor
        self._partial = partial
        self._final = final
        self._digest = digest
        self._size = size
        self._hash: _Hash = digests.hasher(digest)
        self._offset = 0

    @property
    def offset(self) -> int:
        return self._offset

    async def resume(self) -> None:
        """Take over what is there already."""
        await self._run(self._sum_existing)

    def _sum_existing(self) -> None:
        self._restart()
        while chunk := os.pread(self._descriptor, CHUNK_BYTES, self._offset):
            self._hash.update(chunk)
            self._offset += len(chunk)

    async def restart(self) -> None:
        await self._run(self._truncate)

    def _truncate(self) -> None:
        os.ftruncate(self._descriptor, 0)
        self._restart()

    def _restart(self) -> None:
        self._hash = digests.hasher(self._digest)
        self._offset = 0

    async def write(self, chunk: bytes) -> None:
        if self._offset + len(chunk) > self._size:
            await self.restart()
            raise DigestMismatch(f"blob {self._digest} is longer than the {self._size} bytes the manifest says")
        await self._run(self._append, chunk)

    def _append(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._descriptor, view, self._offset)
            self._offset += written
            view = view[written:]

    async def commit(self) -> None:
        """Verify and publish. Raises DigestMismatch, after which the next writer starts anew."""
        if self._offset < self._size:
            raise PullFailed(f"blob {self._digest} ended after {self._offset} of {self._size} bytes")
        if self._hash.hexdigest() != digests.encoded(self._digest):
            await self.restart()
            raise DigestMismatch(f"blob {self._digest}: other bytes came than its digest says")
        await self._run(self._publish)

    def _publish(self) -> None:
        os.fchmod(self._descriptor, 0o444)
        os.fsync(self._descriptor)
        os.rename(self._partial, self._final)
        sync_directory(self._final.parent)

    async def _run(self, work: Callable[..., None], *arguments: bytes) -> None:
        try:
            await finish(work, *arguments)
        except OSError as error:
            raise disk_error(error, self._partial.parent) from error


def disk_error(error: OSError, directory: Path) -> ImageError:
    """A failure of the local disk, in words."""
    if error.errno in _FULL:
        free = shutil.disk_usage(directory).free
        return StoreError(f"the disk of {directory} is full ({free // 2**20} MiB free): remove images or free space")
    return StoreError(f"{error.filename or directory}: {error.strerror or error}")
