"""From a push to a run and to new pods that serve, what a run costs beside its own commands, and what images cost.

    python bench/delivery.py [--quick]

Writes bench/results/delivery.json: for each figure the median and the spread over its rounds, with the machine's facts.
Real git, real act, an API over HTTP; images of a static busybox by buildah, pods of an instance of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from api import figure
from machine import facts

from seatrial.base.clock import SystemClock
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client
from seatrial.kube.client.http import HttpTransport
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS
from seatrial.pipeline.api.run import PipelineRun
from seatrial.pipeline.engine import Engine, Options
from seatrial.testing.background import BackgroundCluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.pipeline.gitserver.repositories import Push

RESULTS = Path(__file__).parent / "results" / "delivery.json"
AIMS = {
    "push_to_told_seconds": "<= 0.1 after git says it is done",
    "push_to_run_start_seconds": "<= 1",
    "pipeline_overhead_seconds": "<= 2",
}
TOKEN = "bench"
COMMANDS = ("python3 -c 'sum(range(3_000_000))'", "python3 -m compileall -q -f . || true", "sleep 0.2")
WORKFLOW = (
    "name: CI\non: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n"
    + "".join(f'      - run: "{command}"\n' for command in COMMANDS)
)


BIN = Path(sys.executable).parent
DOCKERFILE = """FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENV PATH=/bin
RUN dd if=/dev/zero of=/packages bs=1M count=20
COPY index.html /srv/index.html
CMD ["httpd", "-f", "-p", "8080", "-h", "/srv"]
"""
DELIVER = """name: CI
on: push
jobs:
  deliver:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: docker/build-push-action@v6
        with:
          context: .
          push: true
          tags: bench/web:${{ github.sha }}
      - run: |
          sed -i "s#image: .*#image: bench/web:$GITHUB_SHA#" deploy/web.yaml
          git -c user.name=ci -c user.email=ci@example.com commit -qam "Release [skip ci]"
          git push -q origin HEAD:main
"""
PODS = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  strategy: {rollingUpdate: {maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {round: "0"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: bench/web:none
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


def by_hand(bare: Path, directory: Path) -> float:
    """A clone and the same commands."""
    began = time.perf_counter()
    git(directory, "clone", "-q", str(bare), "by-hand")
    for command in COMMANDS:
        subprocess.run(["bash", "-e", "-c", command], cwd=directory / "by-hand", check=True)
    took = time.perf_counter() - began
    subprocess.run(["rm", "-rf", str(directory / "by-hand")], check=True)
    return took


class Watched:
    """When each run was first seen to start, and to end."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.started: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self.news = asyncio.Event()

    async def follow(self) -> None:
        async for event in self._client.watch(RUNS, names.CONTROL_NAMESPACE):
            if event.type in ("ADDED", "MODIFIED"):
                run, now = PipelineRun(event.object), time.perf_counter()
                if run.status == names.IN_PROGRESS:
                    self.started.setdefault(run.id, now)
                if run.status == names.COMPLETED:
                    assert run.conclusion == names.SUCCESS, run.recorded
                    self.ended.setdefault(run.id, now)
                    self.news.set()

    async def until_ended(self, id: int) -> float:
        while id not in self.ended:
            self.news.clear()
            await self.news.wait()
        return self.ended[id]


async def measure(directory: Path, config: Path, rounds: int) -> dict[str, object]:
    client = Client(HttpTransport(kubeconfig.load(config), SystemClock()))
    told: list[float] = []

    def on_push(_: Push) -> None:
        told.append(time.perf_counter())

    options = Options(directory / "data", {"bench": TOKEN}, environment={"PATH": os.environ["PATH"]})
    engine = Engine(client, SystemClock(), options, on_push)
    bare = engine.repositories.ensure("shop")
    ready = asyncio.Event()
    running = asyncio.create_task(engine.run(ready.set))
    await ready.wait()
    watched = Watched(client)
    following = asyncio.create_task(watched.follow())
    work = directory / "work"
    url = engine.clone_url("shop").replace("http://", f"http://bench:{TOKEN}@")
    await asyncio.to_thread(git, directory, "clone", "-q", url, str(work))
    (work / ".github/workflows").mkdir(parents=True)
    (work / ".github/workflows/ci.yml").write_text(WORKFLOW)
    figures: dict[str, list[float]] = {name: [] for name in (*AIMS, "run_seconds", "by_hand_seconds")}
    for number in range(1, rounds + 1):
        (work / "app.py").write_text(f"x = {number}\n")
        await asyncio.to_thread(git, work, "add", "-A")
        await asyncio.to_thread(git, work, "commit", "-q", "-m", str(number))
        await asyncio.to_thread(git, work, "push", "-q", "origin", "HEAD:main")
        done = time.perf_counter()
        ended = await watched.until_ended(number)
        hand = await asyncio.to_thread(by_hand, bare, directory)
        heard = told[-1]
        figures["push_to_told_seconds"].append(max(0.0, heard - done))
        figures["push_to_run_start_seconds"].append(watched.started[number] - heard)
        figures["run_seconds"].append(ended - heard)
        figures["by_hand_seconds"].append(hand)
        figures["pipeline_overhead_seconds"].append(ended - heard - hand)
    for task in (following, running):
        task.cancel()
    await asyncio.gather(following, running, return_exceptions=True)
    await client.close()
    return {name: figure(values) for name, values in figures.items()}


# images


def image_seconds(directory: Path, rounds: int) -> dict[str, object]:
    """Cold: nothing is kept. Warm: one file of the last layer changed. Beside each, buildah by hand."""
    figures: dict[str, list[float]] = {}
    for number in range(rounds):
        context, cache = directory / f"context{number}", directory / f"cache{number}"
        context.mkdir()
        shutil.copy("/bin/busybox", context / "busybox")
        (context / "Dockerfile").write_text(DOCKERFILE)
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "SEATRIAL_CACHE": str(cache)}
        by_hand = ["buildah", f"--root={cache}-root", f"--runroot={cache}-run", "--storage-driver=overlay"]
        ours = [str(BIN / "seatrial"), "image", "build", "-t", "bench/image:1", str(context)]
        theirs = [*by_hand, "build", "--layers", "--isolation=chroot", "-t", "bench/image:1", str(context)]
        for temper in ("cold", "warm"):
            (context / "index.html").write_text(f"{number} {temper}\n")
            for name, command in (("image_build", ours), ("buildah_by_hand", theirs)):
                began = time.perf_counter()
                subprocess.run(command, env=environment, check=True, capture_output=True)
                figures.setdefault(f"{name}_{temper}_seconds", []).append(time.perf_counter() - began)
        subprocess.run([*by_hand, "rmi", "--all", "--force"], check=True, capture_output=True)
    return {name: figure(values) for name, values in figures.items()}


# from end to end


class Site:
    """An instance with real pods, and a repository of it whose page is served at a node port."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.work = directory / "instance", directory / "site"
        up = ["up", "--detach", "--runtime", "oci", *(part for name in ("api", "git", "registry", "http", "https")
                                                     for part in (f"--{name}-port", "0"))]  # fmt: skip
        self._seatrial(*up)
        self.environment = self._environment()
        self._url = json.loads(self._seatrial("status", "-o", "json"))["git"]["url"] + "site.git"
        self.port = 0

    def _seatrial(self, *arguments: str) -> str:
        command = [str(BIN / "seatrial"), *arguments, "--data-dir", str(self.directory)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def _environment(self) -> Mapping[str, str]:
        found = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.directory)}
        for line in self._seatrial("env").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = shlex.split(value)[0]
        return found

    def run(self, *command: str, given: str = "", at: Path | None = None) -> str:
        done = subprocess.run(
            command, cwd=at, env=self.environment, input=given, check=True, capture_output=True, text=True
        )
        return done.stdout

    def git(self, *arguments: str) -> None:
        self.run("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", *arguments, at=self.work)

    def create(self) -> None:
        self.work.mkdir()
        self.git("init", "-q", "-b", "main")
        for name, text in (
            (".github/workflows/ci.yml", DELIVER),
            ("deploy/web.yaml", PODS),
            ("Dockerfile", DOCKERFILE),
        ):
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        shutil.copy("/bin/busybox", self.work / "busybox")
        application = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": "site", "namespace": "argocd"},
            "spec": {
                "project": "default",
                "source": {"repoURL": self._url, "path": "deploy", "targetRevision": "main"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
                "syncPolicy": {"automated": {"selfHeal": True}},
            },
        }
        self.run("kubectl", "apply", "-f", "-", given=json.dumps(application))

    def delivered(self, page: str) -> float:
        """From a push of code to its page, and to none but its page."""
        (self.work / "index.html").write_text(page)
        return self._pushed(page)

    def configured(self, page: str, number: int) -> float:
        """From a push of a manifest to new pods that serve, and to none but new ones."""
        text = (self.work / "deploy/web.yaml").read_text()
        before = self._pods()
        (self.work / "deploy/web.yaml").write_text(text.replace(f'round: "{number - 1}"', f'round: "{number}"'))
        began = self._push()
        while not (pods := self._pods()) or pods & before or len(pods) != 2:
            time.sleep(0.02)
        assert self._asked() == page
        return time.perf_counter() - began

    def _pods(self) -> set[str]:
        """Those that are ready and stay."""
        found = json.loads(self.run("kubectl", "get", "pods", "-l", "app=web", "-o", "json"))["items"]
        ready = {"type": "Ready", "status": "True"}
        return {
            pod["metadata"]["uid"] for pod in found if any(ready.items() <= item.items()
                                                           for item in pod["status"].get("conditions", []))
        }  # fmt: skip

    def _push(self) -> float:
        self.git("add", "-A")
        self.git("commit", "-qm", "a change")
        began = time.perf_counter()
        self.git("push", "-q", self._url, "main")
        return began

    def _pushed(self, page: str) -> float:
        began = self._push()
        while [self._asked() for _ in range(4)] != [page] * 4:
            time.sleep(0.02)
        took = time.perf_counter() - began
        self.git("pull", "-q", "--rebase", self._url, "main")
        return took

    def _asked(self) -> str:
        if not self.port:
            found = self.run(
                "kubectl", "get", "service", "web", "--ignore-not-found", "-o", "jsonpath={.spec.ports[0].nodePort}"
            )
            self.port = int(found or 0)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as made:
                made.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: made.recv(4096), b"")).rpartition(b"\r\n\r\n")[2].decode()
        except OSError:
            return ""

    def down(self) -> None:
        self._seatrial("down")


def delivery_seconds(directory: Path, rounds: int) -> dict[str, object]:
    site = Site(directory)
    try:
        site.create()
        site.delivered("the first\n")  # nothing is kept yet
        figures: dict[str, list[float]] = {
            "push_to_new_pods_serving_seconds": [],
            "config_push_to_new_pods_seconds": [],
        }
        for number in range(1, rounds + 1):
            page = f"round {number}\n"
            figures["push_to_new_pods_serving_seconds"].append(site.delivered(page))
            figures["config_push_to_new_pods_seconds"].append(site.configured(page, number))
        return {name: figure(values) for name, values in figures.items()}
    finally:
        site.down()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds; nothing is written")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as scratch, BackgroundCluster(Path(scratch) / "cluster") as handle:
        results = asyncio.run(measure(Path(scratch), handle.kubeconfig, 3 if quick else 20))
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as scratch:
        results |= image_seconds(Path(scratch), 1 if quick else 5)
        results |= delivery_seconds(Path(scratch), 1 if quick else 5)
    print(json.dumps(results, indent=2))
    if not quick:
        RESULTS.write_text(json.dumps({"machine": facts(), "aims": AIMS, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
