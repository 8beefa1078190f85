"""A live `seatrial up --runtime oci` for the whole folder, with one image made of a static busybox, and kubectl."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIN = Path(sys.executable).parent
IMAGE = "test/busybox:1"
SECONDS = 60.0


def seatrial(*arguments: str, directory: Path, prefix: tuple[str, ...] = ()) -> str:
    command = [*prefix, str(BIN / "seatrial"), *arguments, "--data-dir", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    log = directory / "seatrial.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    return done.stdout


@dataclass
class Machine:
    """One instance with real pods."""

    directory: Path
    prefix: tuple[str, ...] = ()
    """Of the commands that write into its directory: to be another user."""

    def up(self) -> None:
        arguments = ("up", "--detach", "--runtime", "oci", "--api-port", "0")
        seatrial(*arguments, directory=self.directory, prefix=self.prefix)
        self.until_all_run()

    def until_all_run(self) -> None:
        """Every part, the node included."""
        eventually(lambda: all(part["state"] == "running" for part in self.parts().values()), "every part runs")

    def down(self) -> None:
        seatrial("down", directory=self.directory)

    def parts(self) -> dict[str, Any]:
        """The instance's processes."""
        found: dict[str, Any] = self.state()["components"]
        return found

    def state(self) -> dict[str, Any]:
        command = [str(BIN / "seatrial"), "status", "-o", "json", "--data-dir", str(self.directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        state: dict[str, Any] = json.loads(done.stdout)
        return state

    def load(self, archive: Path) -> None:
        seatrial("image", "load", str(archive), directory=self.directory, prefix=self.prefix)

    def kubectl(self, namespace: str) -> Kubectl:
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.directory)}
        return Kubectl({**kept, "KUBECONFIG": str(self.directory / "kubeconfig")}, namespace)

    def said(self) -> str:
        return (self.directory / "seatrial.log").read_text()


@dataclass(frozen=True)
class Kubectl:
    """The real kubectl, in a namespace of the test's own."""

    environment: dict[str, str]
    namespace: str

    def command(self, *arguments: str) -> list[str]:
        return [str(BIN / "kubectl"), "-n", self.namespace, *arguments]

    def result(self, *arguments: str, stdin: str | bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        return subprocess.run(
            self.command(*arguments),
            input=given,
            capture_output=True,
            timeout=SECONDS,
            env=self.environment,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        done = self.result(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout!r}\n{done.stderr.decode()}"
        return done.stdout.decode()

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def pod(self, name: str, *script: str, **fields: Any) -> None:
        """Create a pod of one container that runs a shell script."""
        self.apply(pod(name, *script, **fields))

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.json("get", "pod", name)["status"]
        return found

    def container(self, name: str, container: str = "main") -> dict[str, Any]:
        """The status of one container."""
        status = self.status(name)
        everyone = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        return next((found for found in everyone if found["name"] == container), {"state": {}, "lastState": {}})

    def ready(self, *names: str) -> None:
        self("wait", "--for=condition=Ready", "--timeout=30s", *(f"pod/{name}" for name in names))

    def ends(self, name: str, phase: str = "Succeeded") -> dict[str, Any]:
        """Wait for the pod's end; its status."""
        self("wait", f"--for=jsonpath={{.status.phase}}={phase}", "--timeout=30s", f"pod/{name}")
        return self.status(name)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of each event of the pod."""
        found = self.json("get", "events", f"--field-selector=involvedObject.name={name}")["items"]
        return [(event["reason"], event["message"]) for event in found]

    def until(self, check: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
        return eventually(check, what, seconds)


def pod(name: str, *script: str, **fields: Any) -> dict[str, Any]:
    """`fields` of the pod's spec; those in `main` of its container, `labels` and `annotations` of its metadata."""
    main = {
        "name": "main",
        "image": IMAGE,
        "command": ["sh", "-c", *(script or ("sleep 1000 & trap 'kill $!' TERM; wait",))],
        **fields.pop("main", {}),
    }
    metadata: dict[str, Any] = {
        "name": name,
        **{key: fields.pop(key) for key in ("labels", "annotations") if key in fields},
    }
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": 5,
        "containers": [main, *fields.pop("containers", [])],
        **fields,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def eventually(check: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return found


def make_image(path: Path, name: str = IMAGE) -> Path:
    """A docker-archive whose one layer is a static busybox."""
    return image_of(path, {}, name)


def image_of(path: Path, content: dict[str, bytes] | bytes, name: str = IMAGE) -> Path:
    """A docker-archive of one layer: a tar, or a static busybox with some more files."""
    layer = content if isinstance(content, bytes) else _busybox(content)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin", "FROM_IMAGE=1"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    with tarfile.open(path, "w") as tar:
        _add(tar, "config.json", json.dumps(config).encode(), 0o644)
        _add(tar, "layer.tar", layer, 0o644)
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        _add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)
    return path


def _busybox(more: dict[str, bytes]) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for directory in ("bin", "etc", "root", "var", "tmp"):
            _add(tar, directory, None, 0o1777 if directory == "tmp" else 0o755)
        _add(tar, "bin/busybox", Path("/bin/busybox").read_bytes(), 0o755)
        for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/tmp:/bin/sh\n", 0o644)
        _add(tar, "etc/group", b"root:x:0:\nweb:x:1001:\nextra:x:1002:web\n", 0o644)
        for name, data in more.items():
            _add(tar, name, data, 0o644)
    return layer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes | None, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.mode = mode
    if data is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    else:
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def missing() -> str | None:
    """Why no real pods can run in a test here."""
    from seatrial.cluster.nodeprocess.forbidden import can_run

    if not Path("/bin/busybox").exists():
        return "there is no busybox to make an image of: install busybox-static"
    return can_run(os.environ["PATH"])


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image(tmp_path_factory.mktemp("image") / "busybox.tar")


@contextmanager
def started(directory: Path, archive: Path, prefix: tuple[str, ...] = ()) -> Iterator[Machine]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    machine = Machine(directory, prefix)
    machine.up()
    try:
        machine.load(archive)
        yield machine
    finally:
        machine.down()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[Machine]:
    with started(tmp_path_factory.mktemp("pods"), archive) as machine:
        yield machine
        said = machine.said()
    assert " ERROR " not in said and "Traceback" not in said, f"the node met errors of its own:\n{said}"


@pytest.fixture
def new_machine(tmp_path: Path, archive: Path) -> Iterator[Machine]:
    """One that the test may ill-treat."""
    with started(tmp_path / "instance", archive) as machine:
        yield machine


@pytest.fixture
def kubectl(machine: Machine) -> Iterator[Kubectl]:
    name = f"t-{uuid.uuid4().hex[:8]}"
    found = machine.kubectl(name)
    found("create", "namespace", name)
    eventually(lambda: found.result("get", "serviceaccount", "default").returncode == 0, "a default account")
    try:
        yield found
    finally:
        found("delete", "namespace", name, "--wait=false")
