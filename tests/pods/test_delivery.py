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
from dataclasses import dataclass
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
      - run: ls deploy
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: shop/web:1
        command: [sh, -c, "mkdir /tmp/w && echo open > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w"]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
        resources: {requests: {cpu: 50m}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
"""
SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: shop.example.com
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]
"""
GREETING = """
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting}
data: {hello: world}
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


@dataclass
class Shop:
    """A repository of its own, its Application, and its objects in the namespace `shop`."""

    url: str
    work: Path
    shell: dict[str, str]
    kubectl: Kubectl
    argocd: Kubectl

    def git(self, *arguments: str) -> str:
        return run("git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments, shell=self.shell, at=self.work)

    def push(self, message: str, **files: str) -> str:
        for name, text in files.items():
            (self.work / "deploy" / f"{name}.yaml").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        self.git("push", "--quiet", self.url, "main")
        return self.git("rev-parse", "HEAD").strip()

    def seatrial(self, *arguments: str) -> str:
        return run("seatrial", *arguments, shell=self.shell)

    def runs(self) -> Any:
        return json.loads(self.seatrial("run", "list", "--json", "displayTitle,conclusion,databaseId"))


@pytest.fixture(scope="module")
def shop(machine: Machine, shell: dict[str, str], archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    pushed(archive, "shop/web:1", shell)
    url = f"{machine.state()['git']['url']}shop.git"
    work = tmp_path_factory.mktemp("shop")
    run("git", "init", "--quiet", "-b", "main", str(work), shell=shell)
    (work / ".github/workflows").mkdir(parents=True)
    (work / ".github/workflows/ci.yml").write_text(WORKFLOW)
    (work / "deploy").mkdir()
    made = Shop(url, work, shell, machine.kubectl("shop"), machine.kubectl("argocd"))
    made.push("The shop opens", web=WEB, scaler=SCALER, service=SERVICE, ingress=INGRESS)
    made.argocd.apply(
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
    made.seatrial("app", "wait", "shop", "--timeout", "60")
    yield made
    made.argocd("delete", "application", "shop", "--timeout=60s")
    made.kubectl("delete", "namespace", "shop", "--wait=false")


def test_a_push_runs_the_workflow_and_becomes_pods(shop: Shop) -> None:
    shop.kubectl("wait", "--for=condition=Available", "--timeout=30s", "deployment/web")
    until(lambda: shop.runs() and shop.runs()[-1]["conclusion"] == "success", "the run succeeded")
    assert shop.runs()[-1]["displayTitle"] == "The shop opens"


def test_a_push_alone_brings_the_next_state(shop: Shop) -> None:
    """Nothing polls before three minutes are over."""
    shop.push("Greetings", greeting=GREETING)
    until(lambda: shop.kubectl.result("get", "configmap", "greeting").returncode == 0, "the push arrived", 20)


def test_the_commands_of_an_operator_work_as_they_are_typed(machine: Machine, shop: Shop) -> None:
    """Row 21 of the workflow, with `seatrial app` for argocd, `seatrial run` for gh, skopeo for `docker pull`."""
    said = shop.seatrial
    got = said("app", "get", "shop")
    assert "Synced" in got and "Healthy" in got and "deployment" in got.lower()
    assert "successfully synced" in said("app", "sync", "shop")
    assert "successfully synced" in said("app", "sync", "shop", "--force")
    said("app", "wait", "shop", "--sync", "--health", "--timeout", "30")
    assert said("app", "diff", "shop") == ""
    assert shop.git("rev-parse", "HEAD").strip()[:7] in said("app", "history", "shop")
    first = json.loads(shop.argocd("get", "application", "shop", "-o", "json"))["status"]["history"][0]["id"]
    said("app", "rollback", "shop", str(first))
    said("app", "set", "shop", "--sync-policy", "none")
    assert "automated" not in shop.argocd.json("get", "application", "shop")["spec"].get("syncPolicy", {})
    said("app", "set", "shop", "--sync-policy", "automated", "--self-heal")
    assert "automated" in shop.argocd.json("get", "application", "shop")["spec"]["syncPolicy"]

    newest = str(shop.runs()[0]["databaseId"])
    assert "CI" in said("run", "list")
    assert "build" in said("run", "view", newest)
    until(lambda: shop.runs()[0]["conclusion"], "it is over")
    assert "web.yaml" in said("run", "view", newest, "--log")

    everything = shop.kubectl("get", "all")
    assert "deployment.apps/web" in everything and "service/web" in everything
    assert shop.kubectl("get", "pods").count("Running") >= 2
    assert "Deployment/web" in shop.kubectl("get", "hpa")
    url = machine.state()["urls"]["http"]
    curl = ("curl", "-sS", "--fail", "-H", "Host: shop.example.com", f"{url}/")
    until(lambda: subprocess.run(curl, capture_output=True, check=False).stdout == b"open\n", "the shop answers")
    target = shop.work.parent / "pulled.tar"
    source = f"docker://{shop.shell['SEATRIAL_REGISTRY']}/shop/web:1"
    run("skopeo", "copy", "--src-tls-verify=false", source, f"docker-archive:{target}", shell=shop.shell)
    assert target.stat().st_size > 100_000
