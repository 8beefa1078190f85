"""Zstandard decompression by the system's libzstd (Debian's dpkg needs it, so it is there)."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING

from seatrial.cluster.node.images.errors import PullRefused

if TYPE_CHECKING:
    from typing import BinaryIO

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE_MAGICS = tuple(bytes([low, 0x2A, 0x4D, 0x18]) for low in range(0x50, 0x60))
_LIBRARY = "libzstd.so.1"
_IN_BYTES = 256 * 1024
_OUT_BYTES = 1024 * 1024


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer have the same shape: where, how long, how far."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise PullRefused(f"the layer is compressed with zstd and {_LIBRARY} is missing: install libzstd1") from None
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = (ctypes.c_void_p,)
    library.ZSTD_decompressStream.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer))
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = (ctypes.c_size_t,)
    library.ZSTD_getErrorName.argtypes = (ctypes.c_size_t,)
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library


class ZstdStream:
    """`read()` gives the next decompressed piece, b"" at the end. Frames may follow one another."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._zstd = _library()
        self._stream = self._zstd.ZSTD_createDStream()
        self._input = b""
        self._in = _Buffer(None, 0, 0)
        self._output = ctypes.create_string_buffer(_OUT_BYTES)
        self._between_frames = True

    def read(self) -> bytes:
        while True:
            if self._in.position >= self._in.size and not self._refill():
                return b""
            out = _Buffer(ctypes.addressof(self._output), _OUT_BYTES, 0)
            answer = self._zstd.ZSTD_decompressStream(self._stream, ctypes.byref(out), ctypes.byref(self._in))
            if self._zstd.ZSTD_isError(answer):
                raise ValueError(f"zstd: {self._zstd.ZSTD_getErrorName(answer).decode()}")
            self._between_frames = answer == 0
            if out.position:
                return ctypes.string_at(self._output, out.position)

    def _refill(self) -> bool:
        self._input = self._file.read(_IN_BYTES)
        if not self._input:
            if not self._between_frames:
                raise ValueError("zstd: the data ends inside a frame")
            return False
        address = ctypes.cast(ctypes.c_char_p(self._input), ctypes.c_void_p)
        self._in = _Buffer(address, len(self._input), 0)
        return True

    def close(self) -> None:
        if self._stream is not None:
            self._zstd.ZSTD_freeDStream(self._stream)
            self._stream = None
