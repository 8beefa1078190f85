"""exec and attach over a WebSocket: the first byte of a message is its channel (KEP-4006).

0 stdin, 1 stdout, 2 stderr, 3 how it ended, 4 the terminal's size, 255 (v5) the end of another channel.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

if TYPE_CHECKING:
    from aiohttp import web

    from seatrial.base.errors import SeatrialError
    from seatrial.cluster.node.runtime.types import Session

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_OUTPUTS = {"stdout": _STDOUT, "stderr": _STDERR}
_PIECE = 32 * 1024


async def converse(socket: web.WebSocketResponse, session: Session) -> None:
    """Carry bytes both ways until the session has ended, and say how; or until the client leaves."""
    listening = asyncio.ensure_future(_listen(socket, session))
    speaking = asyncio.ensure_future(_speak(socket, session))
    try:
        await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_COMPLETED)
        if not speaking.done() and not listening.cancelled() and listening.exception() is None and listening.result():
            return  # the client has left
        await speaking
    finally:
        for task in (listening, speaking):
            task.cancel()
        await asyncio.gather(listening, speaking, return_exceptions=True)
        await session.close()


async def refuse(socket: web.WebSocketResponse, error: SeatrialError) -> None:
    """What was asked for could not be started."""
    await _send_status(socket, failure(error.message))


async def _speak(socket: web.WebSocketResponse, session: Session) -> None:
    async for stream, data in session.output():
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            await socket.send_bytes(bytes([_OUTPUTS[stream]]) + view[at : at + _PIECE])
    code = await session.wait()
    await _send_status(socket, {"metadata": {}, "status": "Success"} if code == 0 else _exited(code))


async def _send_status(socket: web.WebSocketResponse, status: dict[str, Any]) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.send_bytes(bytes([_ERROR]) + orjson.dumps(status))


async def _listen(socket: web.WebSocketResponse, session: Session) -> bool:
    """True when the client has gone."""
    async for message in socket:
        if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT) or not message.data:
            continue
        data = message.data if isinstance(message.data, bytes) else message.data.encode()
        channel, rest = data[0], data[1:]
        if channel == _STDIN and rest:
            with contextlib.suppress(BrokenPipeError):  # nobody reads there any more
                await session.write(rest)
        elif channel == _CLOSE and rest[:1] == bytes([_STDIN]):
            await session.close_stdin()
        elif channel == _RESIZE:
            _resize(session, rest)
    return True


def _resize(session: Session, data: bytes) -> None:
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        size = orjson.loads(data)
        session.resize(int(size["Width"]), int(size["Height"]))


def _exited(code: int) -> dict[str, Any]:
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure(message: str) -> dict[str, Any]:
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500}
