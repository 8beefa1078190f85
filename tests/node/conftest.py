"""A node's own process, kept for a session of tests: functions are sent to it and run in its pid 1, on real containers.

As root and, where the machine allows, as a user in a user namespace.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parents[2]
USER = 54321
SUBORDINATE = 700_000


class RemoteFailure(AssertionError):
    """What a function raised in the node."""


class Node:
    def __init__(self, directory: Path, *, user: bool) -> None:
        self.directory = directory
        self.user = user
        self.instance = f"test-{os.getpid()}-{directory.name[-6:].strip('_').lower()}"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            script = Path(__file__).with_name("serving.py")
            command = [sys.executable, str(script), str(theirs.fileno()), str(directory), self.instance]
            self.process = subprocess.Popen(
                (as_user(directory) if user else []) + command,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": f"{SOURCES / 'src'}:{SOURCES}",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
            )
        self._file = ours.makefile("rwb")
        ours.close()
        try:
            self.ready = self._read()
        except BaseException:
            self.close()
            raise

    def run(self, function: Any, *arguments: Any) -> Any:
        """Call `await function(runtime, *arguments)` in the node; `function` is of a module's top level."""
        data = pickle.dumps((function.__module__, function.__name__, arguments))
        self._file.write(len(data).to_bytes(4, "big") + data)
        self._file.flush()
        good, value = self._read()
        if not good:
            raise RemoteFailure(value)
        return value

    def _read(self) -> Any:
        size = int.from_bytes(self._file.read(4), "big")
        if not size:
            raise RemoteFailure("the node has ended")
        return pickle.loads(self._file.read(size))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self.process.wait(timeout=30)


def as_user(directory: Path) -> list[str]:
    """A command prefix: a mount namespace in which a user exists who may read these sources, and that user in it."""
    files = directory / "etc"
    files.mkdir()
    files.chmod(0o755)
    (files / "passwd").write_text(f"{Path('/etc/passwd').read_text()}seatest:x:{USER}:{USER}::/:/bin/sh\n")
    for name in ("subuid", "subgid"):
        (files / name).write_text(f"seatest:{SUBORDINATE}:65536\n")
    # As if unpacked in there: its user is root inside.
    subprocess.run(["chown", "-Rh", f"{USER}:{USER}", str(directory)], check=True)
    prefix = Path(sys.base_prefix)
    hidden = Path("/root")
    steps = [
        "set -e",
        "export PYTHONDONTWRITEBYTECODE=1",
        *(f"mount --bind {files}/{name} /etc/{name}" for name in ("passwd", "subuid", "subgid")),
    ]
    if prefix.is_relative_to(hidden):
        steps += [
            f"mkdir -p {directory}/python && mount --bind {prefix} {directory}/python",
            f"mount -t tmpfs -o mode=755 none {hidden} && mkdir -p {prefix}",
            f"mount --move {directory}/python {prefix}",
        ]
    steps.append(f'exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"')
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(steps), "sh"]


def make_layer(directory: Path) -> Path:
    """A static busybox as the one layer of an image."""
    layer = directory / "layers" / "busybox"
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev", "var"):
        (layer / name).mkdir(parents=True)
    (layer / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", layer / "bin" / "busybox")
    for applet in subprocess.check_output([str(layer / "bin" / "busybox"), "--list"], text=True).split():
        if applet != "busybox":
            (layer / "bin" / applet).symlink_to("busybox")
    (layer / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    return layer


def missing(*, user: bool) -> str | None:
    """Why no node can run in a test here."""
    from seatrial.cluster.nodeprocess.forbidden import can_run

    if not Path("/bin/busybox").exists():
        return "there is no busybox for a root file system: install busybox-static"
    if user and os.geteuid() == 0 and not shutil.which("setpriv"):
        return "there is no setpriv to become a user"
    if user and not shutil.which("newuidmap"):
        return "there is no newuidmap: install uidmap"
    if not user and os.geteuid() != 0:
        return "only root can try what root can"
    return can_run(os.environ["PATH"])


@contextlib.contextmanager
def started_node(*, user: bool) -> Iterator[Node]:
    reason = missing(user=user)
    if reason is not None:
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="seatrial-node-"))
    directory.chmod(0o755)
    make_layer(directory)
    try:
        node = Node(directory, user=user and os.geteuid() == 0)
        try:
            yield node
        finally:
            node.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session", params=["root", "user"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    with started_node(user=request.param == "user") as node:
        yield node


@pytest.fixture(scope="session")
def root_node() -> Iterator[Node]:
    with started_node(user=False) as node:
        yield node
