"""exec and attach: bytes go both ways between a session and a client until it has ended, and the client hears how."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson

from seatrial.base.errors import SeatrialError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from seatrial.cluster.node.runtime.types import Session

SUCCESS: dict[str, Any] = {"metadata": {}, "status": "Success"}
_ATTACH_END_SECONDS = 5.0
"""An attached container's output has ended: it ends now, too, or has closed its output, or the client was too slow."""


class Peer(Protocol):
    """The client, in the protocol it speaks."""

    async def listen(self, session: Session) -> None:
        """Apply what the client says, until it leaves."""

    async def output(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """Waits while the client reads too slowly. Raises ConnectionError."""

    async def result(self, status: dict[str, Any]) -> None:
        """How it ended, and that it ended. Raises ConnectionError."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the request wants to see."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool
    attach: bool
    """To what runs already, whose end is not the command's."""


async def converse(peer: Peer, beginning: Awaitable[Session], asked: Asked) -> None:
    begun = asyncio.ensure_future(beginning)
    try:
        session = await asyncio.shield(begun)
    except asyncio.CancelledError:  # the client has left: what begins is not left behind
        with contextlib.suppress(SeatrialError):
            await (await begun).close()
        raise
    except SeatrialError as error:
        with contextlib.suppress(ConnectionError):
            await peer.result(failure(error.message))
        return
    listening = asyncio.create_task(peer.listen(session))
    speaking = asyncio.create_task(_speak(peer, session, asked))
    try:
        await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_COMPLETED)
        if speaking.done():
            await speaking
    except ConnectionError:  # the client has left
        pass
    finally:
        for task in (listening, speaking):
            task.cancel()
        await asyncio.gather(listening, speaking, return_exceptions=True)
        await session.close()


async def _speak(peer: Peer, session: Session, asked: Asked) -> None:
    async for stream, data in session.output():
        if asked.stdout if stream == "stdout" else asked.stderr:
            await peer.output(stream, data)
    if not asked.attach:
        await peer.result(exited(await session.wait()))
        return
    try:
        await asyncio.wait_for(session.wait(), _ATTACH_END_SECONDS)
    except TimeoutError:
        await peer.result(failure("the container runs on, but its output has ended here: it was not read fast enough"))
    else:
        await peer.result(SUCCESS)


def resize(session: Session, data: bytes) -> None:
    """`data`: a size of the terminal; what cannot be read is not heeded."""
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        size = orjson.loads(data)
        session.resize(int(size["Width"]), int(size["Height"]))


async def write(session: Session, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody reads there any more
        await session.write(data)


def exited(code: int) -> dict[str, Any]:
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure(message: str) -> dict[str, Any]:
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500}
