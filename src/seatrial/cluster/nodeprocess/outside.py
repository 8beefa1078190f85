"""The node's way to the machine's network: sockets and answers from the process that stayed there (`broker.py`)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket as sockets
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from seatrial.cluster.nodeprocess.broker import MAX_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL_SECONDS = 10.0
RESOLVE_SECONDS = 30.0


class Outside:
    """`calls` take some 50 microseconds, so they are made in place; questions to the resolver are awaited."""

    def __init__(self, calls: sockets.socket, questions: sockets.socket) -> None:
        self._calls = calls
        self._questions = questions
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._leash = -1
        calls.settimeout(CALL_SECONDS)

    def open(self) -> None:
        """From now on answers of the resolver arrive on the running loop."""
        self._questions.setblocking(False)
        asyncio.get_running_loop().add_reader(self._questions, self._answered)

    def close(self) -> None:
        """The outside ends once both channels are closed everywhere."""
        self._questions.close()
        self._calls.close()

    def make_socket(self, family: int, type: int) -> sockets.socket:
        """A new socket of the machine's network: AF_INET or AF_INET6, SOCK_STREAM or SOCK_DGRAM. Raises OSError."""
        _, descriptors = self._call({"do": "socket", "family": int(family), "type": int(type)})
        return sockets.socket(fileno=descriptors[0])

    async def socket(self, family: int, type: int) -> sockets.socket:
        return self.make_socket(family, type)

    async def resolve(self, host: str, port: int, family: int = 0, type: int = sockets.SOCK_STREAM) -> list[Any]:
        """What getaddrinfo(3) says on the machine. Raises sockets.gaierror, TimeoutError."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        asked = {"id": number, "host": host, "port": port, "family": int(family), "type": int(type)}
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                await asyncio.get_running_loop().sock_sendall(self._questions, json.dumps(asked).encode())
                told = await answer
        finally:
            del self._waiting[number]
        if "error" in told:
            raise sockets.gaierror(told["errno"], told["error"])
        return [(*entry[:4], tuple(entry[4])) for entry in told["addresses"]]

    def resolv_conf(self) -> str:
        """The machine's own /etc/resolv.conf. Raises OSError."""
        return str(self._call({"do": "resolv.conf"})[0]["text"])

    def map_ids(self) -> None:
        """Give the process that called `enter`, in its new user namespace, its ids. Raises OSError."""
        self._call({"do": "map"})

    async def start(self, arguments: Sequence[str]) -> None:
        """Start slirp4netns in the machine's network namespace; it ends with this process. Raises OSError."""
        if self._leash >= 0:
            os.close(self._leash)
        read, self._leash = os.pipe()
        try:
            self._call({"do": "start", "arguments": list(arguments)}, read)
        finally:
            os.close(read)

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """In the place of `aiohttp.TCPConnector`: connections of the machine's network."""
        return aiohttp.TCPConnector(socket_factory=self._for_address, resolver=Resolver(self), **options)

    def _for_address(self, address: Any) -> sockets.socket:
        return self.make_socket(address[0], address[1])

    def _call(self, asked: dict[str, Any], *given: int) -> tuple[dict[str, Any], list[int]]:
        sockets.send_fds(self._calls, [json.dumps(asked).encode()], list(given))
        message, descriptors, _, _ = sockets.recv_fds(self._calls, MAX_MESSAGE, 1, sockets.MSG_CMSG_CLOEXEC)
        if not message:
            raise ConnectionResetError("the process in the machine's network has ended")
        told = json.loads(message)
        if "error" in told:
            raise OSError(told["errno"], told["error"])
        return told, descriptors

    def _answered(self) -> None:
        message = self._questions.recv(MAX_MESSAGE)
        if not message:
            asyncio.get_running_loop().remove_reader(self._questions)
            return
        told = json.loads(message)
        answer = self._waiting.get(told["id"])
        if answer is not None and not answer.done():
            answer.set_result(told)


class Resolver(AbstractResolver):
    """For aiohttp's connectors."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def resolve(
        self, host: str, port: int = 0, family: sockets.AddressFamily = sockets.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await self._outside.resolve(host, port, family)
        except TimeoutError as error:
            raise OSError(None, f"{host}: the resolver did not answer") from error
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=found_family,
                proto=protocol,
                flags=sockets.AI_NUMERICHOST | sockets.AI_NUMERICSERV,
            )
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None: ...
