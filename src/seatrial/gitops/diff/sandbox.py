"""A Sandbox runs what strangers wrote (jq expressions, Lua scripts) in a process that may do nothing else.

In this process neither could be interrupted: both are C code that does not come back before it is done. The other
process is started at the first request, and ended by the kernel when a request takes more than a second of CPU.
What did that once is not run again.
"""

from __future__ import annotations

import contextlib
import select
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from seatrial.base.errors import Retryable, Terminal

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_PROGRAM = Path(__file__).with_name("sandboxed.py")
_WAIT_MILLISECONDS = 10_000
"""For an answer, of a process that has a second of CPU."""
MAX_REQUEST = 8 * 1024 * 1024
_REFUSED = 1000
"""Scripts remembered as too slow or too large."""
_TOO_SLOW = "it took more than a second of CPU and was stopped"
_TOO_MUCH = "the process that ran it ended: most likely it took too much memory"


class ScriptFailed(Terminal):
    """The expression or script is wrong, or asks for too much: says what."""

    reason = "ScriptFailed"


class SandboxFailed(Retryable):
    """The process could not be started."""

    reason = "SandboxFailed"


class Sandbox:
    """For any thread; one request at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._refused: dict[str, str] = {}

    def delete_by_jq(self, expression: str, obj: Object) -> Object:
        """`obj` without what the jq path expression names, as a new object. Raises ScriptFailed, SandboxFailed."""
        program = f"del({expression})"
        made: Object = self._ask(program, {"run": "jq", "expression": program, "object": obj})["object"]
        return made

    def assess_by_lua(self, script: str, obj: Object, *, open_libraries: bool) -> dict[str, Any]:
        """`{status, message}`, or empty. Raises ScriptFailed, SandboxFailed."""
        return self._ask(script, {"run": "lua", "script": script, "open": open_libraries, "object": obj})

    def close(self) -> None:
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _ask(self, script: str, request: dict[str, Any]) -> dict[str, Any]:
        if script in self._refused:
            raise ScriptFailed(self._refused[script])
        frame = orjson.dumps(request)
        if len(frame) > MAX_REQUEST:
            raise ScriptFailed(f"the object is too large for a script: more than {MAX_REQUEST} bytes")
        with self._lock:
            answer = self._exchange(script, frame)
        if "error" in answer:
            raise ScriptFailed(answer["error"])
        return answer

    def _exchange(self, script: str, frame: bytes) -> dict[str, Any]:
        for _ in range(2):  # a process that somebody else ended is no fault of the script
            answer = self._once(frame)
            if answer is not None:
                found: dict[str, Any] = orjson.loads(answer)
                return found
            if self._was_too_slow():
                break
        problem = _TOO_SLOW if self._was_too_slow() else _TOO_MUCH
        if len(self._refused) < _REFUSED:
            self._refused[script] = f"{problem}; it is not run again"
        raise ScriptFailed(problem)

    def _once(self, frame: bytes) -> bytes | None:
        """None: the process ended instead of answering."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(struct.pack("!I", len(frame)) + frame)
            process.stdin.flush()
            poll = select.poll()
            poll.register(process.stdout, select.POLLIN)
            if not poll.poll(_WAIT_MILLISECONDS):
                process.kill()
            head = process.stdout.read(4)
            body = process.stdout.read(struct.unpack("!I", head)[0]) if len(head) == 4 else b""
        except OSError:
            body = b""
        if not body:
            process.kill()
            process.wait()
        return body or None

    def _was_too_slow(self) -> bool:
        return self._process is not None and self._process.returncode == -signal.SIGPROF

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(_PROGRAM)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    env={}, cwd="/", start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise SandboxFailed(f"the process that runs scripts cannot be started: {error}") from error
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()
