"""The node's server by the real kubectl, in both protocols, through an API server; local processes are containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import SystemClock
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.node.runtime.errors import RuntimeFailed
from seatrial.cluster.node.runtime.logs import LogFile
from seatrial.cluster.node.runtime.sessions import AttachSession, ExecSession
from seatrial.cluster.node.runtime.streams import Reader, Writer
from seatrial.cluster.node.runtime.types import Usage
from seatrial.cluster.node.server.pods import Found
from seatrial.cluster.node.server.server import NodeServer
from seatrial.cluster.server import ADMIN_GROUP, Cluster, Options
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from seatrial.kube.model.objects import Object

KUBECTL = str(Path(sys.executable).parent / "kubectl")
TOKEN = "token-of-the-admin"
PODS = resources.for_plural("pods")
SECONDS = 30.0


class LocalRuntime:
    """Runs commands as children of the test."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.attached: list[AttachSession] = []
        self.heard = b""
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def execute(self, _container: str, arguments: Sequence[str], *, tty: bool, stdin: bool) -> ExecSession:
        terminal = None
        if tty:
            ours, theirs = pty.openpty()
            terminal, ends = Writer(os.dup(ours)), [(ours, theirs)] * 3
        else:
            ends = [os.pipe() for _ in range(3)]
            ends[0] = (ends[0][1], ends[0][0])
        given = ends[0][1] if stdin else subprocess.DEVNULL
        enter = (lambda: os.login_tty(ends[0][1])) if tty else None
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments, stdin=given, stdout=ends[1][1], stderr=ends[2][1], preexec_fn=enter
            )
        except FileNotFoundError:
            raise RuntimeFailed(f"{arguments[0]}: executable file not found") from None
        finally:
            for theirs in {end[1] for end in ends}:
                os.close(theirs)
        source = (terminal or Writer(ends[0][0])) if stdin else None
        if source is None and not tty:
            os.close(ends[0][0])

        session = ExecSession(source, terminal, lambda: _kill(process))
        outputs = [(ends[1][0], "stdout")] if tty else [(ends[1][0], "stdout"), (ends[2][0], "stderr")]
        session.reads([Reader(end, session.sink(name)) for end, name in outputs])  # type: ignore[arg-type]

        async def reap() -> None:
            session.ended(await process.wait())

        task = asyncio.create_task(reap())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return session

    async def attach(self, _container: str, *, stdin: bool) -> AttachSession:
        runtime = self

        class Ear:
            async def write(self, data: bytes) -> None:
                runtime.heard += data

        ear: Any = Ear() if stdin else None
        session = AttachSession(ear, None, self.exit, self.attached.remove, lambda: None)
        self.attached.append(session)
        return session

    def usage(self, _container: str) -> Usage:
        return Usage(SystemClock().time(), 0, 1_000_000, 1_000_000)


def _kill(process: asyncio.subprocess.Process) -> None:
    """Not by `Process.kill`, which may take the exit code from under the loop's nose."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


class OnePod:
    def __init__(self, directory: Path) -> None:
        self.log = directory / "logs" / "1.log"
        self.before = directory / "logs" / "0.log"
        self.is_running = True

    def find(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> Found:
        assert (namespace, pod, container) == ("default", "a", "main")
        if previous and not self.before.exists():
            raise StatusError(400, "BadRequest", 'previous terminated container "main" in pod "a" not found')
        return Found("c", self.before if previous else self.log, self.is_running and not previous)

    def sandbox(self, _namespace: str, _pod: str) -> int | None:
        return os.getpid()  # its network namespace is the test's

    def summary(self) -> list[tuple[Object, Mapping[str, str]]]:
        return []


@dataclass
class Done:
    code: int
    out: bytes
    err: bytes


@dataclass
class Served:
    pods: OnePod
    runtime: LocalRuntime
    environment: dict[str, str]

    async def start(self, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return await asyncio.create_subprocess_exec(KUBECTL, *arguments, env=self.environment, **options)

    async def kubectl(self, *arguments: str, given: bytes | None = None) -> Done:
        async with self.running(*arguments, stdin=subprocess.PIPE) as process:
            out, err = await asyncio.wait_for(process.communicate(given), SECONDS)
        assert process.returncode is not None
        return Done(process.returncode, out, err)

    @contextlib.asynccontextmanager
    async def running(self, *arguments: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await self.start(*arguments, **options)
        try:
            yield process
        finally:
            _kill(process)
            await process.communicate()

    def log(self) -> LogFile:
        return LogFile(self.pods.log, SystemClock(), max_bytes=2000)


@pytest.fixture(params=["websocket", "spdy"])
def protocol(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    path = tmp_path / "node.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    pods, runtime = OnePod(tmp_path), LocalRuntime()
    server: Any = NodeServer(listener, pods, runtime, SystemClock(), "real")  # type: ignore[arg-type]
    work = asyncio.create_task(server.run())
    options = Options(tmp_path / "data", in_memory=True, node_socket=path)
    async with Cluster(options, tokens={TOKEN: User("admin", (ADMIN_GROUP,))}) as cluster:
        await _pod(cluster)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "KUBECONFIG": str(_kubeconfig(tmp_path, cluster)),
        }
        yield Served(pods, runtime, environment)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    await asyncio.gather(*runtime.tasks)


@pytest.fixture
def spoken(served: Served, protocol: str) -> Served:
    """kubectl that speaks one of the two protocols."""
    value = "true" if protocol == "websocket" else "false"
    names = ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS")
    served.environment.update(dict.fromkeys(names, value))
    return served


async def _pod(cluster: Cluster) -> None:
    client = cluster.client("system:test")
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "real"}}
    await client.create(resources.for_plural("nodes"), node)
    spec = {"nodeName": "real", "containers": [{"name": "main", "image": "i"}]}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": spec}
    async with asyncio.timeout(5):
        while True:
            try:
                await client.create(PODS, made)
                break
            except StatusError as error:
                if error.code != 403:  # until the namespace has its default account
                    raise
                await asyncio.sleep(0.01)
    patch = {"status": {"phase": "Running"}}
    await client.patch(PODS, "a", patch, "default", type=PatchType.MERGE, subresource="status")


def _kubeconfig(directory: Path, cluster: Cluster) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": cluster.url, "certificate-authority": str(cluster.authority.ca_file)}}
        ],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


async def test_exec_carries_output_and_the_exit_code(spoken: Served) -> None:
    done = await spoken.kubectl("exec", "a", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.code, done.out) == (3, b"out\n"), done.err
    assert done.err.startswith(b"err\n")


async def test_exec_of_what_is_not_there_says_so(spoken: Served) -> None:
    done = await spoken.kubectl("exec", "a", "--", "/no/such")
    assert done.code != 0 and b"/no/such: executable file not found" in done.err


async def test_exec_carries_much_input_and_output(spoken: Served) -> None:
    given = os.urandom(10_000_000)
    done = await spoken.kubectl("exec", "-i", "a", "--", "cat", given=given)
    assert done.code == 0 and done.out == given


async def test_a_command_that_does_not_read_its_input_still_ends_with_its_code(spoken: Served) -> None:
    done = await spoken.kubectl(
        "exec", "-i", "a", "--", "sh", "-c", "head -c 1 >/dev/null; exit 4", given=bytes(3_000_000)
    )
    assert done.code == 4


async def test_exec_on_a_terminal(spoken: Served) -> None:
    ours, theirs = pty.openpty()
    script = "test -t 0 && read x && echo got-$x && exit 5"
    arguments = ("exec", "-it", "a", "--", "sh", "-c", script)
    async with spoken.running(*arguments, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, b"hello\n")
        said = b""
        async with asyncio.timeout(SECONDS):
            while b"got-hello" not in said:
                said += await asyncio.to_thread(os.read, ours, 1024)
            assert await process.wait() == 5
    os.close(ours)


async def test_cp_of_a_directory_there_and_back(spoken: Served, tmp_path: Path) -> None:
    source, copy, back = (tmp_path / name for name in ("source", "copy", "back"))
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(os.urandom(300_000))
    assert (await spoken.kubectl("cp", str(source), f"a:{copy}")).code == 0
    assert (await spoken.kubectl("cp", f"a:{copy}", str(back))).code == 0
    assert (back / "inner" / "file").read_bytes() == (source / "inner" / "file").read_bytes()


async def test_output_nobody_reads_is_not_gathered_in_memory(spoken: Served, tmp_path: Path) -> None:
    mark, much = tmp_path / "mark", 500_000_000
    script = f"echo $$ > {mark}; exec head -c {much} /dev/zero"
    # A limit of its own: the stream reads ahead only that much of what the client printed.
    async with spoken.running("exec", "a", "--", "sh", "-c", script, limit=1024), asyncio.timeout(SECONDS):
        while not mark.exists():
            await asyncio.sleep(0.01)
        counts = [0, 1]
        while len(set(counts[-10:])) > 1:  # until it stands still
            await asyncio.sleep(0.05)
            facts = Path(f"/proc/{mark.read_text().strip()}/io").read_text()
            counts.append(int(facts.split("wchar: ")[1].split()[0]))
        assert 0 < counts[-1] < 40_000_000


async def test_a_client_that_leaves_ends_its_command(spoken: Served, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with spoken.running("exec", "a", "--", "sh", "-c", f"echo $$ > {mark}; echo up; exec sleep 1000") as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        _kill(process)
        async with asyncio.timeout(SECONDS):
            while spoken.runtime.tasks:
                await asyncio.sleep(0.01)
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


async def test_attach_hears_and_is_heard_until_the_container_ends(spoken: Served) -> None:
    async with spoken.running("attach", "-i", "a", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"hello\n")
        async with asyncio.timeout(SECONDS):
            while spoken.runtime.heard != b"hello\n":
                await asyncio.sleep(0.01)
            spoken.runtime.attached[0].outlet.put("stdout", b"tick\n")
            assert await process.stdout.readline() == b"tick\n"
            spoken.runtime.exit.set_result(7)
            spoken.runtime.attached[0].outlet.end()
            assert await process.wait() == 0  # the code is the container's, not attach's


@contextlib.asynccontextmanager
async def _forwarded(served: Served, port: int) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    async with served.running("port-forward", "pod/a", f":{port}", stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), SECONDS)).decode()
        found = re.search(r"127.0.0.1:(\d+)", line)
        assert found, line
        yield int(found[1]), process


async def test_port_forward_carries_many_connections_and_much(spoken: Served) -> None:
    size = 50_000_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()) == b"big\n":
            for _ in range(50):
                writer.write(bytes(size // 50))
                await writer.drain()
        else:
            writer.write(b"here")
        writer.close()

    async def fetch(port: int, text: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text)
        count = 0
        while block := await reader.read(1 << 20):
            count += len(block)
        writer.close()
        return count

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(SECONDS), _forwarded(spoken, server.sockets[0].getsockname()[1]) as (port, _):
        assert await asyncio.gather(*(fetch(port, b"small\n") for _ in range(20))) == [4] * 20
        assert await fetch(port, b"big\n") == size


async def test_a_slow_server_does_not_hold_up_other_connections(spoken: Served) -> None:
    enough = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()) == b"slow\n":
            await enough.wait()
            while await reader.read(1 << 20):
                pass
        writer.write(b"here")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    async with server, asyncio.timeout(SECONDS), _forwarded(spoken, server.sockets[0].getsockname()[1]) as (port, _):
        slow_reader, slow = await asyncio.open_connection("127.0.0.1", port)
        slow.write(b"slow\n" + bytes(200_000))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"quick\n")
        assert await reader.read() == b"here"
        writer.close()
        enough.set()
        slow.write_eof()
        assert await slow_reader.read() == b"here"
        slow.close()


async def test_a_port_nobody_listens_on_is_said_to_be_refused(spoken: Served) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
        async with asyncio.timeout(SECONDS), _forwarded(spoken, nobody) as (port, process):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            assert process.stdout is not None
            said = b""
            while b"connection refused" not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line


async def test_logs_through_rotations_until_the_container_ends(served: Served) -> None:
    log = served.log()
    log.write("stdout", b"line 0\n")
    async with served.running("logs", "-f", "a") as process:
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS):
            assert await process.stdout.readline() == b"line 0\n"
            for number in range(1, 100):
                log.write("stdout", b"line %d\n" % number)
                assert await process.stdout.readline() == b"line %d\n" % number
            log.write("stdout", b"last")
            log.close()
            served.pods.is_running = False
            assert await process.stdout.read() == b"last"
            assert await process.wait() == 0


async def test_logs_by_count_age_and_with_their_times(served: Served) -> None:
    log = served.log()
    log.write("stdout", b"one\ntwo\nthree\n")
    log.close()
    assert (await served.kubectl("logs", "a", "--tail=2")).out == b"two\nthree\n"
    assert (await served.kubectl("logs", "a", "--since=1h")).out == b"one\ntwo\nthree\n"
    assert (await served.kubectl("logs", "a", "--since-time=2100-01-01T00:00:00Z")).out == b""
    stamped = (await served.kubectl("logs", "a", "--timestamps", "--tail=1")).out
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z three\n", stamped)
    refused = await served.kubectl("logs", "a", "--previous")
    assert refused.code == 1 and b'previous terminated container "main" in pod "a" not found' in refused.err
    served.pods.before.write_text("2026-01-02T03:04:05.678901234Z stdout F before\n")
    assert (await served.kubectl("logs", "a", "--previous")).out == b"before\n"
