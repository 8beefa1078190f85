"""The runtime of real containers: sandboxes, roots, control groups and the OCI runtime put together.

Runs in the node's pid 1 (`nodeprocess.enter`): every process of every container ends up its child, so exits are exact,
and nothing survives it. The kubelet asks (`types.Runtime`); how a container is to be is decided in `spec`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from seatrial.cluster.node.runtime import kernel, members
from seatrial.cluster.node.runtime.container import Container, Pipes
from seatrial.cluster.node.runtime.engine import Engine
from seatrial.cluster.node.runtime.errors import RuntimeFailed
from seatrial.cluster.node.runtime.machine import describe
from seatrial.cluster.node.runtime.roots import Roots
from seatrial.cluster.node.runtime.sandboxes import Sandboxes
from seatrial.cluster.node.runtime.sessions import ExecSession
from seatrial.cluster.node.runtime.spec import container_spec
from seatrial.cluster.node.runtime.streams import Reader, Writer
from seatrial.cluster.node.runtime.types import ExecResult, Exit, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.runtime.cgroups import Cgroups
    from seatrial.cluster.node.runtime.engine import Launched
    from seatrial.cluster.node.runtime.processes import End, Processes
    from seatrial.cluster.node.runtime.sessions import AttachSession
    from seatrial.cluster.node.runtime.types import ContainerConfig, ContainerId, Mount, Sandbox, SandboxConfig

log = logging.getLogger(__name__)

STATE = Path("/run/seatrial")
"""In the node's own /run: gone with it."""
_CANNOT_START = 126


class OciRuntime:
    """`directory` is for what containers write (roots, /etc/hosts); what is found there is a killed node's: it goes."""

    def __init__(
        self, program: str, directory: Path, processes: Processes, cgroups: Cgroups, clock: Clock, state: Path = STATE
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._processes = processes
        self._cgroups = cgroups
        self._machine = describe(cgroups)
        self._sandboxes = Sandboxes(directory / "sandboxes", processes)
        self._roots = Roots(user_namespace=self._machine.user_namespace)
        self._engine = Engine(program, state, processes, cgroups.manager)
        self._containers: dict[ContainerId, Container] = {}
        self._locks: dict[ContainerId, asyncio.Lock] = {}
        self.on_exit: Callable[[ContainerId, Exit], None] = lambda _container, _exit: None

    async def open(self) -> None:
        """Raises RuntimeFailed."""
        for name in ("sandboxes", "containers"):
            await asyncio.to_thread(shutil.rmtree, self._directory / name, ignore_errors=True)
            (self._directory / name).mkdir(parents=True)
        self._engine.open()
        self._sandboxes.open()
        bundles = self._directory / "containers"
        if not await self._roots.probe(bundles):
            # An overlay cannot lie on another one, as in a container without volumes.
            log.warning("containers write to memory: no overlay can lie on this file system", extra={"path": bundles})
            kernel.mount("containers", bundles, "tmpfs", kernel.MS_NODEV, "mode=700")
            if not await self._roots.probe(bundles):
                raise RuntimeFailed(f"overlayfs cannot be mounted, neither in {self._directory} nor in memory")

    async def close(self) -> None:
        """Ends every container."""
        await asyncio.gather(*(self.remove(container) for container in list(self._containers)))
        await self._sandboxes.close()
        self._roots.close()
        self._cgroups.close()

    # Sandboxes

    async def create_sandbox(self, config: SandboxConfig) -> Sandbox:
        try:
            self._cgroups.create_pod(config)
        except OSError as error:
            raise RuntimeFailed(f"pod {config.namespace}/{config.name}: no control group: {error}") from error
        return await self._sandboxes.create(config)

    def write_hosts(self, uid: str, hosts: str) -> None:
        (self._sandboxes.files(uid) / "hosts").write_text(hosts)

    async def remove_sandbox(self, uid: str) -> None:
        inside = [name for name, container in self._containers.items() if container.config.sandbox == uid]
        await asyncio.gather(*(self.remove(container) for container in inside))
        await self._sandboxes.remove(uid)
        self._cgroups.remove_pod(uid)

    # Life

    async def create(self, config: ContainerConfig) -> None:
        async with self._lock(config.id):
            if config.id in self._containers:
                return
            sandbox = self._sandboxes.get(config.sandbox)
            bundle = self._directory / "containers" / config.id
            bundle.mkdir()
            container = Container(config, bundle, self._clock)
            try:
                await self._prepare(container, sandbox)
                launched = await self._launch(container)
            except BaseException as error:
                if container.log is not None:
                    container.log.close()
                with contextlib.suppress(RuntimeFailed):  # as a rule there is nothing yet
                    await self._engine.delete(config.id)
                await self._discard(container)
                if isinstance(error, OSError):
                    raise RuntimeFailed(f"container {config.name}: {error}") from error
                raise
            container.pid = launched.pid
            container.running = True
            container.mount_namespace = _mount_namespace(launched.pid)
            self._containers[config.id] = container
            self._processes.watch(launched.pid, lambda end: self._ended(container, end), since=launched.mark)

    async def start(self, container: ContainerId) -> None:
        async with self._lock(container):
            found = self._get(container)
            if found.started_at is not None:
                return
            found.started_at = self._clock.time()
            try:
                await self._engine.start(container)
            except RuntimeFailed:
                if found.exit.done():  # the first process was killed meanwhile: that is its exit, told already
                    return
                found.started_at = None
                raise

    async def signal(self, container: ContainerId, number: int) -> None:
        found = self._containers.get(container)
        if found is not None and found.running:
            os.kill(found.pid, number)

    async def kill(self, container: ContainerId) -> None:
        found = self._containers.get(container)
        if found is not None and found.running:
            os.kill(found.pid, signal.SIGKILL)
            self._kill_rest(found)

    async def remove(self, container: ContainerId) -> None:
        found = self._containers.get(container)
        if found is None:
            return
        await self.kill(container)
        await asyncio.shield(found.exit)
        async with self._lock(container):
            if self._containers.pop(container, None) is not None:
                await self._engine.delete(container)
                await self._discard(found)
        self._locks.pop(container, None)

    async def _prepare(self, container: Container, sandbox: Sandbox) -> None:
        config = replace(container.config, mounts=tuple(map(_read_only_file, container.config.mounts)))
        await self._roots.mount(container.bundle, config.layers)
        profile = None
        if config.security.seccomp not in ("RuntimeDefault", "Unconfined"):
            profile = orjson.loads(await asyncio.to_thread(Path(config.security.seccomp).read_bytes))
        spec = container_spec(
            config,
            sandbox,
            files=self._sandboxes.files(config.sandbox),
            cgroups_path=self._cgroups.path(config.sandbox, config.id),
            machine=self._machine,
            profile=profile,
        )
        container.process = spec["process"]
        (container.bundle / "config.json").write_bytes(orjson.dumps(spec))

    async def _launch(self, container: Container) -> Launched:
        config = container.config
        pipes = container.wire()
        try:
            launched = await self._engine.create(
                config.id, container.bundle, terminal=config.tty, descriptors=pipes.theirs
            )
            container.connect(pipes, launched.terminal)
            return launched
        finally:
            pipes.close()

    async def _discard(self, container: Container) -> None:
        await self._roots.unmount(container.bundle)
        self._cgroups.remove_container(container.config.sandbox, container.config.id)

    def _ended(self, container: Container, end: End) -> None:
        self._kill_rest(container)
        container.ended(end.code)
        config = container.config
        oom = end.code != 0 and self._cgroups.out_of_memory(config.sandbox, config.id)
        now = self._clock.time()
        exit = Exit(end.code, end.signal, oom, container.started_at or now, now)
        container.exit.set_result(exit)
        if container.started_at is not None:
            self.on_exit(config.id, exit)

    def _kill_rest(self, container: Container) -> None:
        """The kernel ends a container with its first process, unless that was not pid 1 of a namespace of its own."""
        sandbox = self._sandboxes.get(container.config.sandbox).config
        if not (sandbox.share_process_namespace or sandbox.host_pid):
            return
        if not self._cgroups.kill(container.config.sandbox, container.config.id) and container.mount_namespace:
            members.kill_namespace(container.mount_namespace)

    # Commands and conversations

    async def run(
        self, container: ContainerId, arguments: Sequence[str], *, timeout: float, limit: int = 10240
    ) -> ExecResult:
        """A command that cannot be started has the shell's code for that, and the reason as its output."""
        command = self._running(container).command(arguments)
        output = bytearray()
        pipes = Pipes.for_output(stdin=False, joined=True)
        deadline = self._clock.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                launched = await self._engine.execute(container, command, terminal=False, descriptors=pipes.theirs)
            reader = Reader(pipes.take()[1], lambda block: output.extend(block[: max(0, limit - len(output))]))
        except TimeoutError:
            return ExecResult(_CANNOT_START, b"", timed_out=True)
        except RuntimeFailed as error:
            return ExecResult(_CANNOT_START, error.message.encode()[:limit])
        finally:
            pipes.close()
        ended = self._processes.ended(launched.pid, since=launched.mark)
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                end = await asyncio.shield(ended)
            return ExecResult(end.code, _rest(reader, output))
        except TimeoutError:
            members.kill_tree(launched.pid)
            end = await ended
            return ExecResult(end.code, _rest(reader, output), timed_out=True)
        finally:
            if not ended.done():  # cancelled
                members.kill_tree(launched.pid)
            reader.finish()

    async def execute(self, container: ContainerId, arguments: Sequence[str], *, tty: bool, stdin: bool) -> ExecSession:
        """Raises RuntimeFailed if the command cannot be started."""
        command = self._running(container).command(arguments, tty=tty)
        pipes = Pipes() if tty else Pipes.for_output(stdin=stdin)
        try:
            launched = await self._engine.execute(container, command, terminal=tty, descriptors=pipes.theirs)
            ours = pipes.take()
        finally:
            pipes.close()
        terminal = Writer(os.dup(launched.terminal)) if launched.terminal is not None else None
        source = (terminal if terminal is not None else Writer(ours[0])) if stdin else None
        session = ExecSession(source, terminal, lambda: members.kill_tree(launched.pid))
        if launched.terminal is not None:
            session.reads([Reader(launched.terminal, session.sink("stdout"))])
        else:
            session.reads([Reader(ours[1], session.sink("stdout")), Reader(ours[2], session.sink("stderr"))])
        self._processes.watch(launched.pid, lambda end: session.ended(end.code), since=launched.mark)
        return session

    async def attach(self, container: ContainerId, *, stdin: bool) -> AttachSession:
        return self._running(container).attach(stdin=stdin)

    async def reopen_log(self, container: ContainerId) -> None:
        log_file = self._get(container).log
        if log_file is not None and self._get(container).running:
            log_file.reopen()

    # Questions

    def usage(self, container: ContainerId) -> Usage | None:
        found = self._containers.get(container)
        if found is None or not found.running:
            return None
        now = self._clock.time()
        consumed = self._cgroups.consumed(found.config.sandbox, container)
        if consumed is not None:
            return Usage(now, consumed.cpu_nanoseconds, consumed.memory_working_set, consumed.memory_rss)
        counted = members.used(found.mount_namespace)
        return Usage(now, counted[0], counted[1], counted[1]) if counted is not None else None

    def process(self, container: ContainerId) -> int | None:
        found = self._containers.get(container)
        return found.pid if found is not None and found.running else None

    def _get(self, container: ContainerId) -> Container:
        try:
            return self._containers[container]
        except KeyError:
            raise RuntimeFailed(f"there is no container {container}") from None

    def _running(self, container: ContainerId) -> Container:
        found = self._get(container)
        if found.started_at is None or not found.running:
            raise RuntimeFailed(f"container {found.config.name} is not running")
        return found

    def _lock(self, container: ContainerId) -> asyncio.Lock:
        return self._locks.setdefault(container, asyncio.Lock())


def _read_only_file(mount: Mount) -> Mount:
    """Nothing is mounted below a file, and crun 1.8 takes recursive options for directories only."""
    return replace(mount, recursive_read_only=False) if not Path(mount.source).is_dir() else mount


def _mount_namespace(pid: int) -> int:
    try:
        return members.mount_namespace(pid)
    except OSError:  # gone already; its end is about to be told
        return 0


def _rest(reader: Reader, output: bytearray) -> bytes:
    reader.finish()
    return bytes(output)
