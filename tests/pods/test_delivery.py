"""From `git push` to running pods in one instance: git server, pipeline, registry, GitOps, node; real clients."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    # The fixtures' own classes; their module is a conftest, which nothing imports at run time.
    Machine = Any
    Kubectl = Any

BIN = Path(sys.executable).parent
SECONDS = 60.0
WORKFLOW = """
name: CI
on: {push: {branches: [main]}}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: test -f deploy/web.yaml
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: "shop/web:1", command: [sleep, "1000"]}]
"""


@pytest.fixture(scope="module")
def shell(machine: Machine) -> dict[str, str]:
    """The environment of somebody who did `eval "$(seatrial env)"`."""
    done = subprocess.run(
        [str(BIN / "seatrial"), "env", "--data-dir", str(machine.directory)],
        capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(machine.directory)}
    for line in done.stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        environment[name] = shlex.split(value)[0]
    return environment


def run(*command: str, shell: dict[str, str], at: Path | None = None) -> str:
    done = subprocess.run(command, env=shell, cwd=at, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def until(check: Any, what: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return found


def pushed(archive: Path, name: str, shell: dict[str, str]) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("there is no skopeo")
    target = f"docker://{shell['SEATRIAL_REGISTRY']}/{name}"
    run("skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{archive}", target, shell=shell)


def asked(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_nobody_comes_in_without_a_password(machine: Machine) -> None:
    state = machine.state()
    assert asked(f"{state['registry']['url']}/v2/") == 401
    assert asked(f"{state['git']['url']}shop.git/info/refs?service=git-upload-pack") == 401
    for file in (state["registry"]["authFile"], state["git"]["tokenFile"]):
        assert Path(file).stat().st_mode & 0o077 == 0


def test_a_pod_runs_what_was_pushed_under_the_name_it_has_everywhere(
    shell: dict[str, str], archive: Path, kubectl: Kubectl
) -> None:
    pushed(archive, "some/thing:7", shell)
    kubectl.pod("web", main={"image": "some/thing:7"})
    kubectl.ready("web")
    assert kubectl.status("web")["containerStatuses"][0]["image"] == "docker.io/some/thing:7"


def test_a_registry_that_was_killed_comes_back_at_its_address_with_its_images(
    machine: Machine, shell: dict[str, str], archive: Path
) -> None:
    pushed(archive, "kept/thing:1", shell)
    before = machine.state()
    os.kill(before["components"]["registry"]["pid"], signal.SIGKILL)
    until(lambda: machine.state()["components"]["registry"]["restarts"], "it was started again")
    until(lambda: machine.state()["components"]["registry"]["state"] == "running", "it runs")
    assert machine.state()["registry"] == before["registry"]
    source = f"docker://{shell['SEATRIAL_REGISTRY']}/kept/thing:1"
    assert json.loads(run("skopeo", "inspect", "--tls-verify=false", source, shell=shell))["Name"].endswith(
        "kept/thing"
    )


def test_a_push_runs_the_workflow_and_becomes_pods(
    machine: Machine, shell: dict[str, str], archive: Path, tmp_path: Path
) -> None:
    pushed(archive, "shop/web:1", shell)
    url = f"{machine.state()['git']['url']}shop.git"
    work = tmp_path / "shop"
    run("git", "init", "--quiet", "-b", "main", str(work), shell=shell)
    for name, text in ((".github/workflows/ci.yml", WORKFLOW), ("deploy/web.yaml", WEB)):
        (work / name).parent.mkdir(parents=True)
        (work / name).write_text(text)
    run("git", "add", "-A", shell=shell, at=work)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "The shop opens", shell=shell, at=work)
    run("git", "push", "--quiet", url, "main", shell=shell, at=work)  # which makes the repository
    kubectl = machine.kubectl("shop")
    machine.kubectl("argocd").apply(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": "shop",
                "namespace": "argocd",
                "finalizers": ["resources-finalizer.argocd.argoproj.io"],
            },
            "spec": {
                "project": "default",
                "source": {"repoURL": url, "path": "deploy", "targetRevision": "main"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
                "syncPolicy": {"automated": {"selfHeal": True}, "syncOptions": ["CreateNamespace=true"]},
            },
        }
    )
    run("seatrial", "app", "wait", "shop", "--timeout", "60", shell=shell)
    kubectl("wait", "--for=condition=Available", "--timeout=30s", "deployment/web")
    listed = until(
        lambda: json.loads(run("seatrial", "run", "list", "--json", "displayTitle,conclusion", shell=shell)),
        "the push became a run",
    )
    until(
        lambda: (
            json.loads(run("seatrial", "run", "list", "--json", "conclusion", shell=shell))[0]["conclusion"]
            == "success"
        ),
        "the run succeeded",
    )
    assert listed[0]["displayTitle"] == "The shop opens"

    # A push alone brings the next state: nothing polls for three minutes.
    (work / "deploy/web.yaml").write_text(WEB.replace("replicas: 2", "replicas: 3"))
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "Three", shell=shell, at=work)
    run("git", "push", "--quiet", url, "main", shell=shell, at=work)
    until(lambda: kubectl.json("get", "deployment", "web")["spec"]["replicas"] == 3, "the push arrived", 20)
    kubectl("delete", "-n", "argocd", "application", "shop", "--timeout=60s")
    kubectl("delete", "namespace", "shop", "--wait=false")
