"""exec and attach over a WebSocket: the first byte of a message is its channel (KEP-4006).

0 stdin, 1 stdout, 2 stderr, 3 how it ended, 4 the terminal's size, 255 (v5) the end of another channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import orjson

from seatrial.cluster.node.server.conversation import resize, write

if TYPE_CHECKING:
    from aiohttp import web

    from seatrial.cluster.node.runtime.types import Session

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_OUTPUTS = {"stdout": _STDOUT, "stderr": _STDERR}
_PIECE = 32 * 1024


class WebSocketPeer:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def listen(self, session: Session) -> None:
        async for message in self._socket:
            if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT) or not message.data:
                continue
            data = message.data if isinstance(message.data, bytes) else message.data.encode()
            channel, rest = data[0], data[1:]
            if channel == _STDIN and rest:
                await write(session, rest)
            elif channel == _CLOSE and rest[:1] == bytes([_STDIN]):
                await session.close_stdin()
            elif channel == _RESIZE:
                resize(session, rest)

    async def output(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            await self._socket.send_bytes(bytes([_OUTPUTS[stream]]) + view[at : at + _PIECE])

    async def result(self, status: dict[str, Any]) -> None:
        await self._socket.send_bytes(bytes([_ERROR]) + orjson.dumps(status))
