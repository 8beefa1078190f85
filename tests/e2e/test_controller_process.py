"""`seatrial controller` as processes of their own: one leads, another takes over and finishes what was begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.testing.background import BackgroundCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIN = Path(sys.executable).parent
LEASE = "seatrial-controller"
HOOK = """
apiVersion: batch/v1
kind: Job
metadata:
  name: before
  annotations: {argocd.argoproj.io/hook: PreSync}
spec:
  template:
    metadata: {annotations: {seatrial.dev/simulated-run-seconds: "6"}}
    spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {k: v}\n"


class Controllers:
    """Processes against one cluster, by name."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        command = [str(BIN / "seatrial"), "controller", "--cache-dir", str(self._directory / name)]
        with (self._directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def end(self, name: str, number: signal.Signals) -> int:
        process = self._processes[name]
        process.send_signal(number)
        return process.wait(20)

    def leads(self, name: str) -> bool:
        return "leading;" in self.log(name) and self.holder().endswith(f"_{self._processes[name].pid}")

    def log(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def holder(self) -> str:
        spec = self.get("lease", LEASE, "argocd").get("spec") or {}
        return spec.get("holderIdentity") or ""

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        said = self.kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
        found: dict[str, Any] = json.loads(said or "{}")
        return found

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        command = [str(BIN / "kubectl"), *arguments]
        done = subprocess.run(
            command, env=self._environment, input=stdin, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def close(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait(10)


@pytest.fixture
def controllers(tmp_path: Path) -> Iterator[Controllers]:
    with BackgroundCluster(tmp_path / "cluster") as handle:
        made = Controllers(handle.kubeconfig, tmp_path)
        try:
            yield made
        finally:
            made.close()


def until(check: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)
    return found


def application(directory: Path) -> str:
    """Of a repository with a hook that takes some seconds, and a ConfigMap after it."""
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "hook.yaml").write_text(HOOK)
    (directory / "app" / "map.yaml").write_text(MAP)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "begin"]):
        subprocess.run([*git, *arguments], cwd=directory, check=True)
    source = {"repoURL": f"file://{directory}", "path": "app", "targetRevision": "main"}
    spec = {
        "project": "default",
        "source": source,
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
        "syncPolicy": {"automated": {}},
    }
    metadata = {"name": "shop", "namespace": "argocd"}
    kind = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"}
    return json.dumps({**kind, "metadata": metadata, "spec": spec})


def test_who_is_asked_to_end_hands_over_at_once(controllers: Controllers) -> None:
    controllers.start("one")
    until(lambda: controllers.leads("one"), "the first leads")
    controllers.start("two")
    assert controllers.end("one", signal.SIGTERM) == 0
    until(lambda: controllers.leads("two"), "the second leads", 8)  # far less than the lease lasts
    assert "Traceback" not in controllers.log("one")


def test_a_sync_of_a_killed_controller_is_finished_by_the_next(controllers: Controllers, tmp_path: Path) -> None:
    controllers.start("one")
    until(lambda: controllers.leads("one"), "the first leads")
    controllers.start("two")
    controllers.kubectl("apply", "-f", "-", stdin=application(tmp_path / "repository"))
    job = until(lambda: controllers.get("job", "before", "default"), "the hook runs")
    assert not controllers.get("configmap", "settings", "default")
    controllers.end("one", signal.SIGKILL)
    until(lambda: controllers.get("configmap", "settings", "default"), "the sync goes on", 40)
    status = until(lambda: _succeeded(controllers), "the sync succeeds")
    assert status["sync"]["status"] == "Synced" and len(status["history"]) == 1
    assert controllers.leads("two") and "leading;" in controllers.log("two")
    events = controllers.kubectl("get", "events", "-n", "default", "-o", "json")
    made = [item for item in json.loads(events)["items"] if item["reason"] == "SuccessfulCreate"]
    assert [item["involvedObject"]["uid"] for item in made] == [job["metadata"]["uid"]]  # the hook ran once


def _succeeded(controllers: Controllers) -> dict[str, Any] | None:
    status: dict[str, Any] = controllers.get("application", "shop", "argocd").get("status") or {}
    return status if (status.get("operationState") or {}).get("phase") == "Succeeded" else None


def test_only_one_works(controllers: Controllers, tmp_path: Path) -> None:
    for name in ("one", "two"):
        controllers.start(name)
    leader = until(lambda: next((name for name in ("one", "two") if controllers.leads(name)), ""), "one leads")
    controllers.kubectl("apply", "-f", "-", stdin=application(tmp_path / "repository"))
    until(lambda: _succeeded(controllers), "the sync succeeds")
    other = "two" if leader == "one" else "one"
    assert "leading;" not in controllers.log(other) and not (tmp_path / other / "repositories").exists()
