"""The shared part of each pod: a process that holds its namespaces, /dev/shm, and the files of its name resolution.

`pause.py` makes the processes; this asks it, keeps what came of it, and ends it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from seatrial.cluster.node.runtime import kernel, pause
from seatrial.cluster.node.runtime.errors import RuntimeFailed
from seatrial.cluster.node.runtime.types import Sandbox

if TYPE_CHECKING:
    from seatrial.cluster.node.runtime.processes import End, Processes
    from seatrial.cluster.node.runtime.types import SandboxConfig

log = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
SHM_BYTES = 64 * 1024 * 1024
_MESSAGE = 64 * 1024
_MOST_GROUP = 2147483647
_NAMESPACED = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.", "net.")


class Sandboxes:
    def __init__(self, directory: Path, processes: Processes) -> None:
        self._directory = directory
        self._processes = processes
        self._sandboxes: dict[str, Sandbox] = {}
        self._ended: dict[str, asyncio.Future[End]] = {}
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._numbers = itertools.count()
        self._channel: socket.socket | None = None
        self._maker: asyncio.Future[End] | None = None

    def open(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            mark = self._processes.mark()
            script = [sys.executable, "-I", "-S", str(pause.__file__)]
            pid = self._processes.spawn(script, {2: 2, pause.SOCKET: theirs.fileno()})
        self._maker = self._processes.ended(pid, since=mark)
        self._maker.add_done_callback(self._maker_gone)
        ours.setblocking(False)
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours, self._answered)

    async def close(self) -> None:
        for uid in list(self._sandboxes):
            await self.remove(uid)
        channel, self._channel = self._channel, None
        if channel is not None:
            asyncio.get_running_loop().remove_reader(channel)
            channel.close()
        if self._maker is not None:
            await self._maker

    def get(self, uid: str) -> Sandbox:
        try:
            return self._sandboxes[uid]
        except KeyError:
            raise RuntimeFailed(f"pod {uid} has no sandbox") from None

    def files(self, uid: str) -> Path:
        """Holds hosts, resolv.conf, hostname and the mount point shm."""
        return self._directory / uid

    async def create(self, config: SandboxConfig) -> Sandbox:
        if config.uid in self._sandboxes:
            return self._sandboxes[config.uid]
        refused = [name for name in config.sysctls if not _is_namespaced(name, config)]
        if refused:
            raise RuntimeFailed(
                f"pod {config.namespace}/{config.name}: sysctl {refused[0]} is not the pod's own to set; only those of "
                "its network (net.*) and IPC (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*) are"
            )
        mark = self._processes.mark()
        try:
            pid = await self._ask(config)
        except (OSError, TimeoutError) as error:
            raise RuntimeFailed(f"pod {config.namespace}/{config.name}: no sandbox: {error}") from error
        if config.uid in self._sandboxes:  # two asked at once
            os.kill(pid, signal.SIGKILL)
            return self._sandboxes[config.uid]
        network = "" if config.host_network else f"/proc/{pid}/ns/net"
        sandbox = Sandbox(config, network, pid)
        self._sandboxes[config.uid] = sandbox
        self._ended[config.uid] = self._processes.ended(pid, since=mark)
        self._write_files(config)
        return sandbox

    async def remove(self, uid: str) -> None:
        sandbox = self._sandboxes.get(uid)
        if sandbox is None:
            return
        ended = self._ended[uid]
        if not ended.done():
            os.kill(sandbox.pid, signal.SIGKILL)
        await asyncio.shield(ended)
        if self._sandboxes.pop(uid, None) is None:
            return
        del self._ended[uid]
        files = self.files(uid)
        if not sandbox.config.host_ipc:
            kernel.unmount(files / "shm")
        shutil.rmtree(files, ignore_errors=True)

    async def _ask(self, config: SandboxConfig) -> int:
        if self._channel is None:
            raise OSError("the runtime is closed")
        number = next(self._numbers)
        message = {
            "id": number,
            "hostname": config.hostname[:64],
            "namespaces": _namespaces(config),
            "wishes": {} if config.host_network else _wishes(),
            "sysctls": dict(config.sysctls),
        }
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_sendall(self._channel, orjson.dumps(message))
                return await answer
        finally:
            del self._answers[number]

    def _answered(self) -> None:
        assert self._channel is not None
        message = self._channel.recv(_MESSAGE)
        if not message:
            asyncio.get_running_loop().remove_reader(self._channel)
            return
        told = orjson.loads(message)
        answer = self._answers.get(told["id"])
        if answer is None or answer.done():
            if "pid" in told:  # nobody waits for it any more
                os.kill(told["pid"], signal.SIGKILL)
        elif "pid" in told:
            answer.set_result(told["pid"])
        else:
            answer.set_exception(OSError(told["error"]))

    def _maker_gone(self, _end: asyncio.Future[End]) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(OSError("the process that makes sandboxes has ended"))
        if self._channel is not None:  # killed from outside; what it made lives on
            log.warning("the process that makes sandboxes was killed; starting another")
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self.open()

    def _write_files(self, config: SandboxConfig) -> None:
        files = self.files(config.uid)
        files.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("hosts", config.hosts),
            ("resolv.conf", config.resolv_conf),
            ("hostname", config.hostname + "\n"),
        ):
            (files / name).write_text(content)
        if not config.host_ipc:
            shm = files / "shm"
            shm.mkdir(exist_ok=True)
            flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
            kernel.mount("shm", shm, "tmpfs", flags, f"mode=1777,size={SHM_BYTES}")


def _wishes() -> dict[str, str]:
    """What container runtimes allow every pod: low ports and ping without root. Set where the kernel lets us; a user
    namespace has only so many groups.
    """
    mapped = sum(int(line.split()[2]) for line in Path("/proc/self/gid_map").read_text().splitlines())
    most = min(_MOST_GROUP, mapped - 1)
    return {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": f"0 {most}"}


def _namespaces(config: SandboxConfig) -> int:
    flags = kernel.CLONE_NEWUTS
    if not config.host_network:
        flags |= kernel.CLONE_NEWNET
    if not config.host_ipc:
        flags |= kernel.CLONE_NEWIPC
    if config.share_process_namespace and not config.host_pid:
        flags |= kernel.CLONE_NEWPID
    return flags


def _is_namespaced(name: str, config: SandboxConfig) -> bool:
    if not name.startswith(_NAMESPACED) or "/" in name or ".." in name:
        return False
    return not (config.host_network if name.startswith("net.") else config.host_ipc)
