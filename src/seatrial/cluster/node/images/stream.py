"""A layer's bytes on their way from a blob to the unpacker: decompressed, summed and bounded.

Media types are not trusted: the first bytes say what it is. `TarStream` is what `tarfile` reads from: it only goes
forward, and while a header is read it gives out no more than a header may have.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Protocol

from seatrial.cluster.node.images import zstd
from seatrial.cluster.node.images.errors import PullRefused
from seatrial.cluster.node.images.zstd import ZstdStream

if TYPE_CHECKING:
    from typing import BinaryIO

GZIP_MAGIC = b"\x1f\x8b"
HEADER_BYTES = 1024 * 1024
"""For one entry: name, link target, extended attributes, sparse map."""
_IN_BYTES = 256 * 1024
_OUT_BYTES = 1024 * 1024


class BadLayer(PullRefused):
    """A layer that cannot be unpacked, or tries what no layer may."""


class Pieces(Protocol):
    def read(self) -> bytes:
        """The next piece, b"" at the end."""

    def close(self) -> None: ...


class PlainStream:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self) -> bytes:
        return self._file.read(_OUT_BYTES)

    def close(self) -> None:
        """The file is closed by who opened it."""


class GzipStream:
    """Members may follow one another; what follows them and is no member is padding, as `gzip` itself holds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = b""
        self._member: zlib._Decompress | None = None

    def read(self) -> bytes:
        while True:
            if len(self._left) < len(GZIP_MAGIC):
                self._left += self._file.read(_IN_BYTES)
            if self._member is None:
                if not self._left.startswith(GZIP_MAGIC):
                    return b""
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            elif not self._left:
                raise ValueError("gzip: the data ends inside a member")
            piece = self._member.decompress(self._left, _OUT_BYTES)
            self._left = self._member.unconsumed_tail
            if self._member.eof:
                self._left = self._member.unused_data
                self._member = None
            if piece:
                return piece

    def close(self) -> None:
        """Nothing to give back."""


def decompress(file: BinaryIO) -> Pieces:
    start = file.read(4)
    file.seek(0)
    if start.startswith(GZIP_MAGIC):
        return GzipStream(file)
    if start == zstd.MAGIC or start in zstd.SKIPPABLE_MAGICS:
        return ZstdStream(file)
    return PlainStream(file)


class TarStream:
    """A file for `tarfile.TarFile(fileobj=...)`, read once from front to back."""

    def __init__(self, pieces: Pieces, limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._hash = hashlib.sha256()
        self._buffer = b""
        self._position = 0
        self._passed = 0
        """Bytes before the buffer."""
        self._budget = HEADER_BYTES
        self.last = b""
        """What was read last: at the end of an archive a block of zeros."""

    def tell(self) -> int:
        return self._passed + self._position

    def header(self) -> None:
        """An entry begins: the reads that follow are of its header. Content is taken by `piece`."""
        self._budget = HEADER_BYTES

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        self._budget -= size
        if size < 0 or self._budget < 0:
            raise BadLayer(f"an entry's header has more than {HEADER_BYTES} bytes")
        end = self._position + size
        if end <= len(self._buffer):
            self.last = self._buffer[self._position : end]
            self._position = end
            return self.last
        self.last = self._read_across(size)
        return self.last

    def _read_across(self, size: int) -> bytes:
        parts = []
        while size > 0:
            part = self.piece(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def piece(self, size: int) -> bytes:
        """Between 1 and `size` bytes, b"" at the end."""
        if self._position >= len(self._buffer) and not self._refill():
            return b""
        part = self._buffer[self._position : self._position + size]
        self._position += len(part)
        return part

    def seek(self, target: int) -> None:
        """Forward only: an archive that points back would be read for ever."""
        distance = target - self.tell()
        if distance < 0:
            raise BadLayer("an entry's header points backwards")
        while distance > 0:
            part = self.piece(distance)
            if not part:
                raise BadLayer("the archive ends inside an entry")
            distance -= len(part)

    def drain(self) -> str:
        """Read what follows the last entry; the sha256 of everything."""
        while self._refill():
            pass
        return f"sha256:{self._hash.hexdigest()}"

    def _refill(self) -> bool:
        self._passed += len(self._buffer)
        self._position = 0
        self._buffer = self._pieces.read()
        self._hash.update(self._buffer)
        if self._passed + len(self._buffer) > self._limit:
            raise BadLayer(f"the layer unpacks to more than {self._limit} bytes")
        return bool(self._buffer)
