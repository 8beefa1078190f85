"""The firewall of this network namespace through libnftables: text in, one transaction, all or nothing.

The library is spared the 15 ms of a process per change. It keeps state that is not for several threads at once, so
there is one thread, and the event loop never waits for the kernel.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
from concurrent.futures import ThreadPoolExecutor

from seatrial.base.errors import Terminal

_LIBRARY = "libnftables.so.1"


class FirewallMissing(Terminal):
    reason = "FirewallMissing"


class RulesRefused(Terminal):
    reason = "RulesRefused"


class Nft:
    def __init__(self) -> None:
        """Raises FirewallMissing."""
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise FirewallMissing(
                f"{_LIBRARY} cannot be loaded ({error}): install the package libnftables1, or run with simulated pods"
            ) from error
        lib = self._library
        lib.nft_ctx_new.restype = ctypes.c_void_p
        lib.nft_ctx_new.argtypes = [ctypes.c_uint32]
        lib.nft_ctx_free.argtypes = [ctypes.c_void_p]
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(lib, name).argtypes = [ctypes.c_void_p]
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(lib, name).argtypes = [ctypes.c_void_p]
            getattr(lib, name).restype = ctypes.c_char_p
        lib.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._context: int | None = None
        self._thread = ThreadPoolExecutor(1, "nft")

    async def run(self, commands: str) -> str:
        """What it printed. Raises RulesRefused; then nothing has changed."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.run_now, commands)

    def run_now(self, commands: str) -> str:
        """As `run`, in the calling thread: not while another call runs."""
        if self._context is None:
            self._context = self._library.nft_ctx_new(0)
            self._library.nft_ctx_buffer_output(self._context)
            self._library.nft_ctx_buffer_error(self._context)
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
        errors: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise RulesRefused(f"the kernel refused the rules: {errors.decode(errors='replace')[:2000]}")
        return output.decode(errors="replace")

    def close(self) -> None:
        self._thread.shutdown()
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None
