"""The outside: a small process that stays in the machine's network namespace and serves the node over two sockets.

It makes sockets and hands them over, asks the machine's resolver, writes the node's id maps, and starts slirp4netns.
It ends when the node does (nobody holds the other ends any more), and then removes the control groups the node left.
One JSON message each way; sockets travel beside it. The client is `outside.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from seatrial.cluster.node.runtime import cgroups
from seatrial.cluster.nodeprocess import subids

MAX_MESSAGE = 64 * 1024
PROGRAM = "slirp4netns"
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_TYPES = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_RESOLVERS = 8
_SWEEPS, _PAUSE = 500, 0.01
"""How often, and after how many seconds, removing control groups is tried: the kernel is still ending processes."""


def serve(calls: socket.socket, questions: socket.socket, instance: str, path: str) -> None:
    """`calls` are answered in order, `questions` whenever the answer is known."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its end is the node's
    broker = _Broker(questions, path)
    with selectors.DefaultSelector() as selector:
        selector.register(calls, selectors.EVENT_READ, broker.call)
        selector.register(questions, selectors.EVENT_READ, broker.question)
        open_channels = True
        while open_channels:
            for key, _ in selector.select():
                open_channels = key.data(key.fileobj) and open_channels
    _sweep(instance)


class _Broker:
    def __init__(self, questions: socket.socket, path: str) -> None:
        self._questions = questions
        self._path = path
        self._pool: ThreadPoolExecutor | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def call(self, channel: socket.socket) -> bool:
        """False at the end of the channel."""
        message, descriptors, _, _ = socket.recv_fds(channel, MAX_MESSAGE, 4)
        if not message:
            return False
        made: list[socket.socket] = []
        try:
            answer = self._do(json.loads(message), descriptors, made)
        except OSError as error:
            answer = {"errno": error.errno or 0, "error": error.strerror or str(error)}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        socket.send_fds(channel, [json.dumps(answer).encode()], [one.fileno() for one in made])
        for one in made:
            one.close()
        return True

    def question(self, channel: socket.socket) -> bool:
        message = channel.recv(MAX_MESSAGE)
        if not message:
            return False
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_RESOLVERS)
        self._pool.submit(self._resolve, json.loads(message))
        return True

    def _do(self, asked: dict[str, Any], descriptors: list[int], made: list[socket.socket]) -> dict[str, Any]:
        if asked["do"] == "socket":
            made.append(_socket(asked["family"], asked["type"]))
            return {}
        if asked["do"] == "map":
            subids.write_maps(os.getppid(), self._path)
            return {}
        if asked["do"] == "resolv.conf":
            return {"text": Path("/etc/resolv.conf").read_text(errors="replace")}
        if asked["do"] == "start":
            self._start(asked["arguments"], descriptors)
            return {}
        raise OSError(0, f"the outside does not know {asked['do']!r}")

    def _start(self, arguments: list[str], descriptors: list[int]) -> None:
        """The one program we know to end with the node: `descriptors[0]` tells it."""
        if os.path.basename(arguments[0]) != PROGRAM or len(descriptors) != 1:
            raise OSError(0, f"the outside starts only {PROGRAM}")
        command = [arguments[0], f"--exit-fd={descriptors[0]}", *arguments[1:]]
        self._children.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=descriptors,
                start_new_session=True,
            )
        )

    def _resolve(self, asked: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": asked["id"]}
        try:
            answer["addresses"] = socket.getaddrinfo(
                asked["host"], asked["port"], asked["family"], asked["type"], flags=socket.AI_ADDRCONFIG
            )
        except (OSError, UnicodeError) as error:
            answer["errno"] = getattr(error, "errno", None) or socket.EAI_FAIL
            answer["error"] = getattr(error, "strerror", None) or str(error)
        with contextlib.suppress(OSError):  # the node is gone
            self._questions.send(json.dumps(answer).encode())


def _socket(family: int, type_: int) -> socket.socket:
    if family not in _FAMILIES or type_ not in _TYPES:
        raise OSError(0, "the outside makes TCP and UDP sockets only")
    return socket.socket(family, type_)


def _sweep(instance: str) -> None:
    waiting = threading.Event()
    for _ in range(_SWEEPS):
        if not cgroups.sweep(instance):
            return
        waiting.wait(_PAUSE)
