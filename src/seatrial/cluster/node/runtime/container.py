"""One container while the node lives: its first process, what it says, who listens, and how it ended."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from seatrial.cluster.node.runtime.logs import LogFile
from seatrial.cluster.node.runtime.sessions import AttachSession
from seatrial.cluster.node.runtime.streams import Reader, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.runtime.sessions import StreamName
    from seatrial.cluster.node.runtime.types import ContainerConfig, Exit


class Container:
    def __init__(self, config: ContainerConfig, bundle: Path, clock: Clock) -> None:
        self.config = config
        self.bundle = bundle
        self.pid = 0
        self.mount_namespace = 0
        self.process: dict[str, Any] = {}
        """Its first process as the OCI configuration has it."""
        self.running = False
        """Its first process has not been reaped."""
        self.started_at: float | None = None
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.log = LogFile(config.log_path, clock) if config.log_path is not None else None
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._readers: list[Reader] = []
        self._stdin: Writer | None = None
        self._terminal: Writer | None = None
        self._sessions: list[AttachSession] = []

    def command(self, arguments: Sequence[str], *, tty: bool = False) -> dict[str, Any]:
        """Another process with the rights of the first, no more."""
        environment = self.process["env"]
        if tty and not any(entry.startswith("TERM=") for entry in environment):
            environment = [*environment, "TERM=xterm"]
        return {**self.process, "args": list(arguments), "terminal": tty, "env": environment}

    def wire(self) -> Pipes:
        """Pipes for the OCI runtime to hand to the first process; none with a terminal."""
        return Pipes() if self.config.tty else Pipes.for_output(stdin=self.config.stdin)

    def connect(self, pipes: Pipes, terminal: int | None) -> None:
        """Start to read what it writes."""
        if terminal is not None:
            self._terminal = Writer(os.dup(terminal))
            self._stdin = self._terminal if self.config.stdin else None
            self._readers = [Reader(terminal, self._sink("stdout"))]
            return
        ours = pipes.take()
        self._readers = [Reader(ours[1], self._sink("stdout")), Reader(ours[2], self._sink("stderr"))]
        if 0 in ours:
            self._stdin = Writer(ours[0])

    def attach(self, *, stdin: bool) -> AttachSession:
        session = AttachSession(
            self._stdin if stdin else None, self._terminal, self._code, self._leave, self._release_stdin
        )
        self._sessions.append(session)
        for stream in self._ended_streams():
            session.outlet.put(stream, b"")
        return session

    def ended(self, code: int) -> None:
        """The first process is gone: take the rest of its output."""
        self.running = False
        for reader in self._readers:
            reader.finish()
        for session in self._sessions:
            session.outlet.end()
        for writer in (self._stdin, self._terminal):
            if writer is not None:
                writer.close()
        if self.log is not None:
            self.log.close()
        if not self._code.done():
            self._code.set_result(code)

    def _sink(self, stream: StreamName) -> Callable[[bytes], None]:
        def sink(block: bytes) -> None:
            if self.log is not None:
                if block:
                    self.log.write(stream, block)
                else:
                    self.log.end(stream)
            for session in list(self._sessions):
                session.outlet.put(stream, block)

        return sink

    def _ended_streams(self) -> list[StreamName]:
        names: tuple[StreamName, ...] = ("stdout", "stderr")
        return [name for name, reader in zip(names, self._readers, strict=False) if reader.ended]

    def _leave(self, session: AttachSession) -> None:
        if session in self._sessions:
            self._sessions.remove(session)

    def _release_stdin(self) -> None:
        if self.config.stdin_once and self._stdin is not None and self._stdin is not self._terminal:
            self._stdin.close()


class Pipes:
    """Both ends of a process's stdin, stdout and stderr."""

    def __init__(self, ours: dict[int, int] | None = None, theirs: dict[int, int] | None = None) -> None:
        self._ours = ours or {}
        self._theirs = theirs or {}

    @classmethod
    def for_output(cls, *, stdin: bool, joined: bool = False) -> Pipes:
        """`joined`: stdout and stderr are one."""
        pipes = cls()
        pipes._ours[1], pipes._theirs[1] = os.pipe()
        if joined:
            pipes._theirs[2] = os.dup(pipes._theirs[1])
        else:
            pipes._ours[2], pipes._theirs[2] = os.pipe()
        if stdin:
            pipes._theirs[0], pipes._ours[0] = os.pipe()
        return pipes

    @property
    def theirs(self) -> Mapping[int, int]:
        return self._theirs

    def take(self) -> dict[int, int]:
        """Our ends, to own."""
        taken, self._ours = self._ours, {}
        return taken

    def close(self) -> None:
        """What nobody took. Their ends are with them by now."""
        for descriptor in (*self._ours.values(), *self._theirs.values()):
            os.close(descriptor)
        self._ours, self._theirs = {}, {}
