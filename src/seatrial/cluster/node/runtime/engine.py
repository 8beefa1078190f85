"""The OCI runtime program: crun, or runc. One call of it per step; what it complains of becomes an error of ours."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.node.runtime.errors import RuntimeFailed
from seatrial.cluster.node.runtime.streams import ConsoleSocket

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.cluster.node.runtime.processes import Processes

PROGRAMS = ("crun", "runc")
STEP_SECONDS = 60.0
"""No step takes a tenth of a second by itself; a machine may be that busy."""


def find(path: str) -> str | None:
    """The OCI runtime in a search path."""
    return next((found for name in PROGRAMS if (found := shutil.which(name, path=path))), None)


@dataclass(frozen=True, slots=True)
class Launched:
    """A process in a container; nobody has waited for it since `mark`."""

    pid: int
    mark: int
    terminal: int | None


class Engine:
    def __init__(self, program: str, state: Path, processes: Processes, manager: str) -> None:
        self._state = state
        self._processes = processes
        self._base = [program, "--root", str(state / "containers"), "--log-format=json"]
        if os.path.basename(program) == "crun":
            self._base.append(f"--cgroup-manager={manager}")
        self._numbers = itertools.count()

    def open(self) -> None:
        (self._state / "containers").mkdir(parents=True, exist_ok=True)
        (self._state / "calls").mkdir(exist_ok=True)

    async def create(self, container: str, bundle: Path, *, terminal: bool, descriptors: Mapping[int, int]) -> Launched:
        arguments = ["create", "--bundle", str(bundle)]
        return await self._launch(arguments, [container], terminal, descriptors)

    async def execute(
        self, container: str, process: Mapping[str, Any], *, terminal: bool, descriptors: Mapping[int, int]
    ) -> Launched:
        """`process` as in an OCI configuration: what the container's own has, user and capabilities above all."""
        file = self._state / "calls" / f"{next(self._numbers)}.json"
        file.write_bytes(orjson.dumps(process))
        try:
            arguments = ["exec", "--detach", "--process", str(file), *(["--tty"] if terminal else [])]
            return await self._launch(arguments, [container], terminal, descriptors)
        finally:
            file.unlink(missing_ok=True)

    async def start(self, container: str) -> None:
        await self._call(["start", container])

    async def delete(self, container: str) -> None:
        await self._call(["delete", "--force", container])

    async def _launch(
        self, arguments: list[str], rest: list[str], terminal: bool, descriptors: Mapping[int, int]
    ) -> Launched:
        call = self._state / "calls" / str(next(self._numbers))
        pid_file = call.with_suffix(".pid")
        console = ConsoleSocket(call.with_suffix(".tty")) if terminal else None
        try:
            more = ["--console-socket", str(console.path)] if console else []
            mark = self._processes.mark()
            await self._call([*arguments, *more, "--pid-file", str(pid_file), *rest], descriptors)
            pid = int(pid_file.read_text())
            return Launched(pid, mark, console.take() if console else None)
        except (OSError, ValueError) as error:
            raise RuntimeFailed(f"container {rest[0]}: {arguments[0]}: {error}") from error
        finally:
            pid_file.unlink(missing_ok=True)
            if console is not None:
                console.close()

    async def _call(self, arguments: list[str], descriptors: Mapping[int, int] | None = None) -> None:
        log = self._state / "calls" / f"{next(self._numbers)}.log"
        given = {1: -1, 2: -1, **(descriptors or {})}
        try:
            done = await self._processes.run(
                [*self._base, "--log", str(log), *arguments], timeout=STEP_SECONDS, descriptors=given
            )
            if done.code != 0:
                raise RuntimeFailed(_complaint(log) or f"{self._base[0]} {arguments[0]} ended with {done.code}")
        except OSError as error:
            raise RuntimeFailed(f"{self._base[0]} cannot be started: {error}") from error
        except TimeoutError:
            raise RuntimeFailed(f"{self._base[0]} {arguments[0]} took more than {STEP_SECONDS:.0f} s") from None
        finally:
            log.unlink(missing_ok=True)


def _complaint(log: Path) -> str:
    """The last error it wrote to its log."""
    try:
        lines = log.read_bytes().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            entry = orjson.loads(line)
        except ValueError:
            return line.decode(errors="replace")
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal"):
            return str(entry.get("msg", ""))
    return ""
