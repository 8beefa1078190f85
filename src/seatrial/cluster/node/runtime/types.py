"""What the kubelet tells the runtime, and what it hears back. Data only.

The kubelet resolves everything that needs the API (environment, volumes, users named by an image, DNS) before it
asks; the runtime knows nothing of Kubernetes objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

ContainerId = str
"""64 hex digits, made by the kubelet; the directory and the cgroup carry it."""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """What the containers of one pod share."""

    uid: str
    namespace: str
    name: str
    hostname: str
    host_network: bool = False
    """Joins the node's network namespace (the cluster's own, never the machine's)."""
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    hosts: str = ""
    """Content of /etc/hosts and /etc/resolv.conf of every container."""
    resolv_conf: str = ""
    memory_limit: int | None = None
    """Bytes for the pod as a whole (pod-level resources, memory emptyDirs), None: no limit."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    config: SandboxConfig
    network_namespace: str
    """Path to hand to setns(2), valid in the node's mount namespace; "" with the host's network."""
    pid: int
    """The process that holds the namespaces."""


@dataclass(frozen=True, slots=True)
class Mount:
    source: str
    """A path in the node's mount namespace."""
    target: str
    read_only: bool = False
    recursive_read_only: bool = False
    propagation: Literal["None", "HostToContainer", "Bidirectional"] = "None"


@dataclass(frozen=True, slots=True)
class Security:
    """Resolved: names of users looked up, pod and container settings merged."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    """The full set, each as `CAP_NET_BIND_SERVICE`; the kubelet applies add and drop to the default set."""
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    seccomp: str = "RuntimeDefault"
    """RuntimeDefault, Unconfined, or the path of a profile."""
    unmasked_proc: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """None: not limited."""

    cpu_shares: int | None = None
    cpu_quota_microseconds: int | None = None
    """Per 100 ms."""
    memory_bytes: int | None = None
    pids: int | None = None
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    id: ContainerId
    sandbox: str
    """The uid of its pod."""
    name: str
    layers: tuple[Path, ...]
    """Lower directories for overlayfs, the top one first, as `ImageStore.lower_directories` gives them."""
    layer_directory: Path
    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    """`NAME=value`, in order."""
    directory: str = "/"
    mounts: tuple[Mount, ...] = ()
    security: Security = Security()
    limits: Limits = Limits()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    stop_signal: int = 15
    log_path: Path | None = None
    """CRI log lines: `2026-01-02T03:04:05.678901234Z stdout F text`, rotated by the runtime."""


@dataclass(frozen=True, slots=True)
class Exit:
    code: int
    """128 + n for an end by signal n."""
    signal: int
    oom_killed: bool
    started_at: float
    finished_at: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Since the start of the container, read now."""

    time: float
    cpu_nanoseconds: int
    memory_working_set: int
    memory_rss: int


@dataclass(frozen=True, slots=True)
class ExecResult:
    code: int
    output: bytes
    """stdout and stderr, at most as much as was asked for."""
    timed_out: bool = False


class Session(Protocol):
    """An exec or an attach that somebody talks to."""

    async def write(self, data: bytes) -> None:
        """To its stdin. Raises BrokenPipeError when nobody reads there any more."""

    async def close_stdin(self) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    def output(self) -> AsyncIterator[tuple[Literal["stdout", "stderr"], bytes]]:
        """Until both streams have ended; only stdout with a terminal."""

    async def wait(self) -> int:
        """The exit code (an attach: of the container)."""

    async def close(self) -> None:
        """Let go; an exec's process is killed, an attached container runs on."""


class Runtime(Protocol):
    """Every call is idempotent: what is there already, or gone already, is fine. Errors are RuntimeFailed."""

    on_exit: Callable[[ContainerId, Exit], None]
    """Called on the loop, once for every container that was started, whatever ended it."""

    async def create_sandbox(self, config: SandboxConfig) -> Sandbox: ...

    def write_hosts(self, uid: str, hosts: str) -> None:
        """/etc/hosts of the sandbox's containers, once its address is known."""

    async def remove_sandbox(self, uid: str) -> None:
        """Kills what still runs in it."""

    async def create(self, config: ContainerConfig) -> None: ...

    async def start(self, container: ContainerId) -> None: ...

    async def signal(self, container: ContainerId, number: int) -> None:
        """To its first process."""

    async def kill(self, container: ContainerId) -> None:
        """SIGKILL to all of its processes."""

    async def remove(self, container: ContainerId) -> None:
        """Its root file system and cgroup; its log stays."""

    async def run(
        self, container: ContainerId, arguments: Sequence[str], *, timeout: float, limit: int = 10240
    ) -> ExecResult:
        """A command in a container, to its end: probes and hooks."""

    async def execute(self, container: ContainerId, arguments: Sequence[str], *, tty: bool, stdin: bool) -> Session: ...

    async def attach(self, container: ContainerId, *, stdin: bool) -> Session: ...

    async def reopen_log(self, container: ContainerId) -> None: ...

    def usage(self, container: ContainerId) -> Usage | None:
        """None where cgroups are not writable and nothing runs."""

    def process(self, container: ContainerId) -> int | None:
        """The pid of its first process, as the node sees it."""
