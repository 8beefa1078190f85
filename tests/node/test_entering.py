"""The way in and out: what the machine sees of a node, whatever ends it, and what a node can reach of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.node.conftest import SOURCES, Node, started_node
from tests.node.making import Pod

from seatrial.cluster.node.runtime import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.node.making import Runtime


def machine() -> dict[str, Any]:
    """What must be as it was: mounts, links, routes, control groups of ours."""
    return {
        "mounts": Path("/proc/mounts").read_text(),
        "links": subprocess.check_output(["ip", "-o", "link"], text=True),
        "routes": subprocess.check_output(["ip", "route"], text=True),
        "groups": sorted(groups()),
    }


def groups(name: str = "test-") -> list[str]:
    found = []
    for top in cgroups._cgroup_mounts(Path("/proc/self/mountinfo").read_text()):
        for directory, children, _ in os.walk(top):
            found += [f"{directory}/{child}" for child in children if child.startswith(cgroups.PREFIX + name)]
    return found


def family(pid: int) -> dict[int, str]:
    """A process and all its descendants, with their command lines."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                parents[int(name)] = int(stat[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    commands = {}
    for member in found:
        with contextlib.suppress(OSError):
            commands[member] = Path(f"/proc/{member}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return commands


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


async def _busy(runtime: Runtime) -> None:
    """Containers that stay, one with a hold on everything that could linger."""
    pod = Pod(runtime, share_process_namespace=True)
    await pod.__aenter__()
    await pod.start("sh", "-c", "trap '' TERM; sleep 7000 & wait")
    other = Pod(runtime, memory_limit=100_000_000)
    await other.__aenter__()
    await other.start("sleep", "7000")


@pytest.mark.parametrize("user", [False, True])
def test_a_node_that_closes_leaves_the_machine_as_it_was(user: bool) -> None:
    before = machine()
    with started_node(user=user) as node:
        node.run(_busy)
        everybody = family(node.process.pid)
        assert sum("sleep 7000" in command for command in everybody.values()) >= 2
        inside = machine()
        assert {**inside, "groups": []} == {**before, "groups": []}
    assert node.process.returncode == 0
    assert machine() == before
    assert all(ended(pid) for pid in everybody)


@pytest.mark.parametrize("victim", ["first", "outside", "init"])
@pytest.mark.parametrize("user", [False, True])
def test_killing_any_of_our_processes_ends_them_all(user: bool, victim: str) -> None:
    before = machine()
    with started_node(user=user) as node:
        node.run(_busy)
        everybody = family(node.process.pid)
        children = [int(word) for word in _children(node.process.pid)]
        init = next(pid for pid in children if _pid_inside(pid) == 1)
        outside = next(pid for pid in children if pid != init)
        os.kill({"first": node.process.pid, "outside": outside, "init": init}[victim], signal.SIGKILL)
        node.process.wait(20)
        until(lambda: all(ended(pid) for pid in everybody))
    if victim == "outside":  # nobody was left to do it: the next start is
        cgroups.sweep(node.instance)
    assert machine() == before


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _pid_inside(pid: int) -> int:
    return int(re.search(r"^NSpid:.*?(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])  # type: ignore[index]


async def _kill_maker(runtime: Runtime) -> int:
    maker = next(int(pid) for pid in Path("/proc/self/task/1/children").read_text().split() if _is_maker(pid))
    async with Pod(runtime) as before:
        name = await before.start("sleep", "1000")
        os.kill(maker, signal.SIGKILL)
        await before.until(lambda: not Path(f"/proc/{maker}").exists())
        await asyncio.sleep(0.05)
        async with Pod(runtime) as after:
            code = (await after.sh("exit 6"))[0].code
        assert runtime.process(name) is not None
    return code


def _is_maker(pid: str) -> bool:
    return b"pause.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_maker_of_sandboxes_is_replaced_when_killed(root_node: Node) -> None:
    assert root_node.run(_kill_maker) == 6


_SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from seatrial.cluster.nodeprocess import enter as entering
from seatrial.cluster.nodeprocess.enter import Plan, enter
if sys.argv[1] == "late":  # pid 1 is ready before the process that waits for it has its handlers
    relay = entering._relay
    entering._relay = lambda *arguments: (time.sleep(0.5), relay(*arguments))
entered = enter(Plan("test-signals", os.environ["PATH"]))
assert os.getpid() == 1
if sys.argv[1] == "exit":
    sys.exit(17)
if sys.argv[1] == "handle":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(23))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize(("how", "code"), [("exit", 17), ("handle", 23), ("default", 143), ("late", 143)])
def test_exit_status_and_signals_pass_through(root_node: Node, how: str, code: int) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES / "src")}
    command = [sys.executable, "-c", _SCRIPT, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        if how != "exit":
            assert process.stdout.readline() == "ready\n"
            process.terminate()
        assert process.wait(20) == code


class Server(threading.Thread):
    """Of the machine's loopback: answers each connection once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")


async def _reach(runtime: Runtime, port: int) -> dict[str, Any]:
    outside = runtime.entered.outside
    try:
        _, inside = await asyncio.open_connection("127.0.0.1", port)
        inside.close()
        direct = "connected"
    except OSError:
        direct = "refused"
    async with aiohttp.ClientSession(connector=outside.connector()) as session:
        async with session.get(f"http://127.0.0.1:{port}/") as answer:
            by_number = await answer.text()
        async with session.get(f"http://localhost:{port}/") as answer:
            by_name = await answer.text()
    try:
        await outside.resolve("no-such-host.invalid", 80)
        unknown = "found"
    except socket.gaierror:
        unknown = "gaierror"
    started = time.monotonic()
    for _ in range(100):
        outside.make_socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    each = (time.monotonic() - started) / 100
    try:
        outside.make_socket(socket.AF_UNIX, socket.SOCK_STREAM)
        other = "made"
    except OSError as error:
        other = str(error.strerror or error)
    try:
        await outside.start(["/bin/sh", "-c", "true"])
        program = "started"
    except OSError as error:
        program = str(error.strerror or error)
    return {
        "direct": direct, "number": by_number, "name": by_name, "unknown": unknown, "fast": each < 0.01,
        "other": other, "program": program, "resolv": outside.resolv_conf(),
    }  # fmt: skip


def test_the_node_reaches_the_machines_network_through_the_outside_only(node: Node) -> None:
    server = Server()
    server.start()
    try:
        assert node.run(_reach, server.port) == {
            "direct": "refused", "number": "hi", "name": "hi", "unknown": "gaierror", "fast": True,
            "other": "the outside makes TCP and UDP sockets only", "program": "the outside starts only slirp4netns",
            "resolv": Path("/etc/resolv.conf").read_text(),
        }  # fmt: skip
    finally:
        server.listening.close()


async def _egress(runtime: Runtime) -> str:
    import shutil

    program = shutil.which("slirp4netns")
    assert program is not None
    pid = str(runtime.entered.machine_pid)
    await runtime.entered.outside.start(
        [program, "--configure", "--disable-host-loopback", "--disable-dns", pid, "tap7"]
    )
    for _ in range(500):
        if "tap7" in Path("/proc/net/route").read_text():
            break
        await asyncio.sleep(0.01)
    return Path("/proc/net/route").read_text()


@pytest.mark.parametrize("user", [False, True])
def test_slirp4netns_joins_the_nodes_network_and_ends_with_it(user: bool) -> None:
    if not Path("/dev/net/tun").exists():
        pytest.skip("there is no /dev/net/tun")
    if user and not os.stat("/dev/net/tun").st_mode & 0o006:
        pytest.skip("/dev/net/tun is root's alone here")
    with started_node(user=user) as node:
        assert "tap7\t00000000" in node.run(_egress), "a default route"
        slirp = [pid for pid, command in family(node.process.pid).items() if "slirp4netns" in command]
        assert slirp
    until(lambda: all(ended(pid) for pid in slirp))


async def _many(runtime: Runtime, count: int) -> tuple[float, float]:
    async def one() -> Pod:
        pod = Pod(runtime)
        await pod.__aenter__()
        await pod.start("sleep", "1000")
        return pod

    started = time.monotonic()
    await (await one()).__aexit__()
    alone = time.monotonic() - started
    started = time.monotonic()
    pods = await asyncio.gather(*(one() for _ in range(count)))
    together = time.monotonic() - started
    await asyncio.gather(*(pod.__aexit__() for pod in pods))
    return alone, together


def test_forty_pods_start_side_by_side_in_little_time(node: Node) -> None:
    alone, together = node.run(_many, 40)
    print(f"a pod's container: {alone * 1000:.0f} ms with its removal; 40 at once: {together * 1000:.0f} ms")
    assert together < 6, "even on a busy machine"
