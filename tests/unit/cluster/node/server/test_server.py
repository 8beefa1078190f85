"""The routes as the API server uses them, without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.node.runtime.errors import RuntimeFailed
from seatrial.cluster.node.server.pods import Found
from seatrial.cluster.node.server.server import NodeServer
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from seatrial.kube.model.objects import Object


class Talk:
    """A session that says back what it hears, until told otherwise."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self.heard = b""
        self.size = (0, 0)
        self.code = 0
        self.closed = False

    async def write(self, data: bytes) -> None:
        self.heard += data
        await self.said.put(("stdout", data))
        await self.said.put(("stderr", b"!"))

    async def close_stdin(self) -> None:
        await self.said.put(None)

    def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        while (found := await self.said.get()) is not None:
            yield found

    async def wait(self) -> int:
        return self.code

    async def close(self) -> None:
        self.closed = True


class Kubelet:
    """Pods and runtime in one: pod a has container main, which runs, and container over, which does not."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "0.log"
        self.talk = Talk()
        self.commands: list[tuple[list[str], bool, bool]] = []

    def find(self, _namespace: str, pod: str, container: str, *, previous: bool = False) -> Found:
        if pod != "a" or previous:
            raise StatusError(404, "NotFound", f'pod "{pod}" is not here')
        return Found("id", self.log, container == "main")

    def sandbox(self, _namespace: str, _pod: str) -> int | None:
        return None

    def summary(self) -> list[tuple[Object, Mapping[str, str]]]:
        return []

    async def execute(self, _container: str, arguments: Sequence[str], *, tty: bool, stdin: bool) -> Talk:
        if arguments[0] == "none":
            raise RuntimeFailed("none: executable file not found")
        self.commands.append((list(arguments), tty, stdin))
        return self.talk


class Scene:
    def __init__(self, kubelet: Kubelet, session: aiohttp.ClientSession) -> None:
        self.kubelet, self.session = kubelet, session

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(f"http://node{path}", headers=headers) as answer:
            return answer.status, await answer.text()

    def exec(self, query: str, protocol: str = "v5.channel.k8s.io") -> Any:
        return self.session.ws_connect(f"http://node/exec/d/a/main?{query}", protocols=[protocol])


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    path = tmp_path / "node.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    kubelet: Any = Kubelet(tmp_path)
    work = asyncio.create_task(NodeServer(listener, kubelet, kubelet, ManualClock(), "seatrial").run())
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session, asyncio.timeout(10):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectorError):
                await session.get("http://node/stats/summary")
                break
            await asyncio.sleep(0.01)
        yield Scene(kubelet, session)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def ended(found: Any) -> dict[str, Any]:
    """The status that comes last."""
    last = b""
    async for message in found:
        last = message.data
    assert last[0] == 3
    status: dict[str, Any] = json.loads(last[1:])
    return status


async def test_channels_carry_input_output_and_size(scene: Scene) -> None:
    talk = scene.kubelet.talk
    async with scene.exec("command=a&command=b+c&stdin=1&stdout=1&stderr=1") as found:
        await found.send_bytes(b"\x04" + b'{"Width":80,"Height":24}')
        await found.send_bytes(b"\x04" + b"nonsense")
        await found.send_bytes(b"\x00hello")
        assert [await found.receive_bytes(), await found.receive_bytes()] == [b"\x01hello", b"\x02!"]
        await found.send_bytes(b"\xff\x00")
        assert (await ended(found))["status"] == "Success"
    assert scene.kubelet.commands == [(["a", "b c"], False, True)]
    assert talk.size == (80, 24) and talk.closed


async def test_output_nobody_asked_for_is_not_sent(scene: Scene) -> None:
    async with scene.exec("command=a&stdin=true&stdout=true", "v4.channel.k8s.io") as found:
        await found.send_bytes(b"\x00hello")
        assert await found.receive_bytes() == b"\x01hello"
        await scene.kubelet.talk.close_stdin()
        assert (await found.receive_bytes())[0] == 3


async def test_the_exit_code_is_a_cause_of_the_failure(scene: Scene) -> None:
    scene.kubelet.talk.code = 7
    async with scene.exec("command=a&stdout=true") as found:
        await scene.kubelet.talk.close_stdin()
        status = await ended(found)
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


async def test_a_command_that_cannot_start_is_said_on_the_error_channel(scene: Scene) -> None:
    async with scene.exec("command=none&stdout=true") as found:
        assert (await ended(found))["message"] == "none: executable file not found"


async def test_a_client_that_leaves_closes_the_session(scene: Scene) -> None:
    found = await scene.exec("command=a&stdin=true&stdout=true")
    await found.close()
    async with asyncio.timeout(5):
        while not scene.kubelet.talk.closed:
            await asyncio.sleep(0.01)


async def test_what_is_not_there_or_not_spoken_is_refused_in_http(scene: Scene) -> None:
    assert await scene.get("/containerLogs/d/b/main") == (404, 'pod "b" is not here')
    assert await scene.get("/containerLogs/d/a/main?tailLines=x") == (
        400,
        "a parameter that cannot be read: invalid literal for int() with base 10: 'x'",
    )
    assert await scene.get("/exec/d/a/over?command=a") == (500, 'container not found ("over")')
    assert (await scene.get("/exec/d/a/main?command=a"))[0] == 400
    refused = await scene.get("/exec/d/a/main?command=a", connection="upgrade", upgrade="SPDY/3.1")
    assert refused == (403, "one of the protocols v4.channel.k8s.io is spoken here")
    with pytest.raises(aiohttp.WSServerHandshakeError) as handshake:
        await scene.exec("command=a", "channel.k8s.io")
    assert handshake.value.status == 403
    assert not scene.kubelet.commands
