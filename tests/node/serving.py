"""The program of a test's node: into the namespaces, then call what the tests send (see conftest.py)."""

from __future__ import annotations

import asyncio
import importlib
import os
import pickle
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import SystemClock
from seatrial.cluster.node.runtime.engine import find
from seatrial.cluster.node.runtime.oci import OciRuntime
from seatrial.cluster.node.runtime.processes import Processes
from seatrial.cluster.nodeprocess.enter import Plan, enter

if TYPE_CHECKING:
    from seatrial.cluster.nodeprocess.enter import Entered


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    entered = enter(Plan(sys.argv[3], os.environ["PATH"], (Path(sys.argv[2]),)))
    asyncio.run(serve(channel, Path(sys.argv[2]), entered))


async def serve(channel: socket.socket, directory: Path, entered: Entered) -> None:
    processes = Processes()
    processes.open()
    program = find(os.environ["PATH"])
    assert program is not None
    runtime = OciRuntime(program, directory / "node", processes, entered.cgroups, SystemClock())
    runtime.entered = entered  # type: ignore[attr-defined]  # for the tests alone
    runtime.processes = processes  # type: ignore[attr-defined]
    runtime.layer = directory / "layers" / "busybox"  # type: ignore[attr-defined]
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    entered.outside.open()
    await runtime.open()
    work = asyncio.create_task(answer(channel, runtime, entered))
    await asyncio.wait([work, asyncio.create_task(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        return  # by a signal: leave it to the kernel
    await runtime.close()
    processes.close()
    await asyncio.sleep(0)


async def answer(channel: socket.socket, runtime: OciRuntime, entered: Entered) -> None:
    reader, writer = await asyncio.open_connection(sock=channel)
    write(writer, {"missing": entered.missing, "pid": os.getpid(), "machine_pid": entered.machine_pid})
    while True:
        try:
            module, name, arguments = await read(reader)
        except asyncio.IncompleteReadError:
            return
        try:
            function = getattr(importlib.import_module(module), name)
            write(writer, (True, await asyncio.wait_for(function(runtime, *arguments), 60)))
        except BaseException:
            write(writer, (False, traceback.format_exc()))


def write(writer: asyncio.StreamWriter, value: Any) -> None:
    data = pickle.dumps(value)
    writer.write(len(data).to_bytes(4, "big") + data)


async def read(reader: asyncio.StreamReader) -> Any:
    size = int.from_bytes(await reader.readexactly(4), "big")
    return pickle.loads(await reader.readexactly(size))


main()
