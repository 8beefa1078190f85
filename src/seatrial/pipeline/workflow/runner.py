"""Runs one assignment from clone to conclusion: act under its warden, heard line by line, stopped when it has to be."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.pipeline.api import names
from seatrial.pipeline.workflow import marked, warden
from seatrial.pipeline.workflow.act import Place
from seatrial.pipeline.workflow.mask import Masker
from seatrial.pipeline.workflow.validate import validate

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.pipeline.workflow.act import Assignment, Tools
    from seatrial.pipeline.workflow.progress import Progress

log = logging.getLogger(__name__)

_GRACE_SECONDS = 2.0
_LONGEST_LINE = 4 << 20
_LONGEST_COMPLAINT = 4000
_LOST = (-9, 137)
_BREATH = 64
"""Lines that are heard before others of the loop have their turn."""


@dataclass(frozen=True, slots=True)
class Ended:
    conclusion: str
    reason: str = ""
    message: str = ""


class Runner:
    def __init__(self, directory: Path, tools: Tools, clock: Clock) -> None:
        """`directory` has one entry for each run that is under way."""
        self.directory = directory
        self._tools = tools
        self._clock = clock

    def clear(self) -> int:
        """End and remove what an earlier process left. Blocks. Raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        ended = marked.end(self.directory)
        for entry in self.directory.iterdir():
            Place(entry, self._tools, entry).remove()
        return ended

    async def run(
        self, assignment: Assignment, repository: Path, artifacts: Path, progress: Progress, stop: asyncio.Event
    ) -> Ended:
        """`stop` cancels it. Raises WorkflowInvalid, PreparationFailed, OSError."""
        place = Place(self.directory / f"{assignment.run}.{assignment.attempt}", self._tools, artifacts)
        try:
            await asyncio.to_thread(place.prepare, assignment, repository)
            source = place.directory / "source"
            await validate(self._tools.act, source, assignment.workflow, place.environment())
            return await self._work(place, assignment, progress, stop)
        finally:
            await asyncio.shield(asyncio.to_thread(self._leave, place))

    def _leave(self, place: Place) -> None:
        marked.end(place.directory)
        place.remove()

    async def _work(self, place: Place, assignment: Assignment, progress: Progress, stop: asyncio.Event) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(Path(warden.__file__)), str(_GRACE_SECONDS), *place.command(assignment),
            cwd=place.directory, env=place.environment(), limit=_LONGEST_LINE, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        complaint = asyncio.create_task(_tail(process.stderr))
        hearing = asyncio.create_task(_hear(process, place, progress, self._clock))
        try:
            ended = await self._until_over(hearing, progress, stop)
            progress.stopped = ended is not None
            _let_go(process)
            await asyncio.gather(hearing, return_exceptions=True)
            code = await process.wait()
            return ended or _judge(code, progress, Masker(assignment.secrets.values()).mask(await complaint))
        finally:
            _let_go(process)
            await asyncio.shield(_gone(process))
            for task in (hearing, complaint):
                task.cancel()
            await asyncio.gather(hearing, complaint, return_exceptions=True)

    async def _until_over(
        self, hearing: asyncio.Task[None], progress: Progress, stop: asyncio.Event
    ) -> Ended | None:  # fmt: skip
        """None when act has ended by itself."""
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while True:
                due = progress.overdue()
                if due is not None and due[1] <= 0:
                    progress.time_out(due[0])
                    return Ended(names.TIMED_OUT, "JobTimeout", f"job '{due[0].name}' took too long")
                tick = asyncio.ensure_future(self._clock.sleep(min(due[1], 1.0) if due is not None else 1.0))
                await asyncio.wait({hearing, stopped, tick}, return_when=asyncio.FIRST_COMPLETED)
                tick.cancel()
                if hearing.done():
                    return None
                if stopped.done():
                    return Ended(names.CANCELLED, "Cancelled", "the run was cancelled")
        finally:
            stopped.cancel()


def _judge(code: int, progress: Progress, complaint: str) -> Ended:
    if code in _LOST:
        return Ended(names.FAILURE, names.RUNNER_LOST, "the runner was killed")
    if (code == 0 and not progress.failed()) or progress.forgiven():
        return Ended(names.SUCCESS)
    said = "" if progress.failed() else _telling(complaint)
    return Ended(names.FAILURE, "" if progress.failed() else "ActFailed", said)


def _telling(complaint: str) -> str:
    """What is not a line of act's own log."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip() and not line.startswith("{")]
    return "\n".join(line.removeprefix("Error:").strip() for line in lines) or "act failed and did not say why"


async def _hear(process: asyncio.subprocess.Process, place: Place, progress: Progress, clock: Clock) -> None:
    assert process.stdout is not None
    heard = False
    for number in itertools.count(1):
        if number % _BREATH == 0:
            await clock.sleep(0)
        try:
            line = await process.stdout.readline()
        except ValueError:  # longer than any line should be: it is passed over
            continue
        if not line:
            return
        progress.take(line)
        if not heard and b'"jobID"' in line:
            heard = True
            place.forget_secrets()


async def _tail(stream: asyncio.StreamReader | None) -> str:
    kept = b""
    while stream is not None and (piece := await stream.read(1 << 14)):
        kept = (kept + piece)[-_LONGEST_COMPLAINT:]
    return kept.decode(errors="replace")


def _let_go(process: asyncio.subprocess.Process) -> None:
    """The end of its input tells the warden to end everything."""
    if process.stdin is not None:
        process.stdin.close()


async def _gone(process: asyncio.subprocess.Process) -> None:
    await process.wait()
    if process.stdin is not None:
        with contextlib.suppress(ConnectionError):
            await process.stdin.wait_closed()
