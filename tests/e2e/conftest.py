"""Instances run by the real command line, each in a directory of its own, none left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEATRIAL = str(Path(sys.executable).parent / "seatrial")
SECONDS = 60


os.environ.setdefault("SEATRIAL_RUNTIME", "simulated")  # real pods have tests of their own


class Instance:
    """One data directory and the commands a user gives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [SEATRIAL, *arguments, "--data-dir", str(self.directory)]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    def up(self, *arguments: str) -> None:
        port = () if "--api-port" in arguments else ("--api-port", "0")
        done = self.run("up", "--detach", *port, *arguments)
        assert done.returncode == 0, done.stderr + self.log()

    def fails_up(self, *arguments: str) -> str:
        """`up` ends with exit code 1 and one line, which this returns."""
        done = self.run("up", "--detach", *(arguments or ("--api-port", "0")))
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, done.stderr

    def status(self, code: int | None = None) -> dict[str, Any]:
        done = self.run("status", "-o", "json")
        assert code is None or done.returncode == code, done.stdout + done.stderr
        state: dict[str, Any] = json.loads(done.stdout)
        return state

    def supervisor(self) -> int:
        return int(self.status()["pid"])

    def cluster(self) -> int:
        return int(self.status()["components"]["cluster"]["pid"])

    def log(self) -> str:
        path = self.directory / "seatrial.log"
        return path.read_text() if path.exists() else ""

    def api(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask the API as the administrator: the code and the parsed answer."""
        command = ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", "--max-time", "20"]
        command += ["--cacert", str(self.directory / "pki" / "ca.crt")]
        command += ["-H", f"Authorization: Bearer {(self.directory / 'admin-token').read_text().strip()}"]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
        command.append(self.status()["urls"]["api"] + path)
        given = json.dumps(body) if body is not None else None
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=True)
        text, _, code = done.stdout.rpartition("\n")
        return int(code), json.loads(text) if text.startswith("{") else text

    def put_config_map(self, name: str, data: dict[str, str]) -> int:
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        return self.api("POST", "/api/v1/namespaces/default/configmaps", obj)[0]

    def config_maps(self) -> dict[str, dict[str, str]]:
        code, answer = self.api("GET", "/api/v1/namespaces/default/configmaps")
        assert code == 200
        return {item["metadata"]["name"]: item.get("data", {}) for item in answer["items"]}


def processes_of(directory: Path) -> list[str]:
    """The command lines that name the directory: what an instance has running."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in line and "seatrial.supervisor" in line:
                found.append(line)
    return found


@pytest.fixture
def new_instance(tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Instances by name (or in a directory given); stopped at the end, and then really gone."""
    made: list[Instance] = []

    def make(name: str = "instance", directory: Path | None = None) -> Instance:
        made.append(Instance(directory or tmp_path / name))
        return made[-1]

    yield make
    for instance in made:
        instance.run("down")
    assert not [line for instance in made for line in processes_of(instance.directory)]


@pytest.fixture
def instance(new_instance: Callable[..., Instance]) -> Instance:
    return new_instance()


@pytest.fixture(scope="session")
def left_running() -> Callable[[Path], list[str]]:
    return processes_of


def _eventually(check: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """The first truthy answer of `check`."""
    end = time.monotonic() + seconds
    while not (seen := check()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return seen


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return _eventually
