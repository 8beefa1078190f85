"""The GitOps engine's promises, measured: a `seatrial up`, an engine in a process of its own, real Git.

    python bench/gitops.py [--quick]

Writes bench/results/gitops.json: for each figure the median and the spread over its rounds, with the machine's facts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api import Instance, figure
from machine import facts, rss_mib, tree

from seatrial.kube.client import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS = Path(__file__).parent / "results" / "gitops.json"
NAMESPACE = "bench"
AIMS = {
    "webhook_to_applied_p95_seconds": "<= 1",
    "drift_to_reverted_p95_seconds": "<= 2",
    "first_sync_1000_seconds": "< 120",
    "first_sync_1000_peak_rss_mib": "< 361",
    "commit_touching_one_renders": "1",
    "commit_touching_one_seconds": "< 1",
    "calls_of_a_sync": "<= 4",
    "render_times_faster": ">= 50",
    "rollback_seconds": "<= 5",
}


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


class Repository:
    def __init__(self, directory: Path) -> None:
        self.bare, self.work = directory / "origin.git", directory / "work"
        git(directory, "init", "-q", "--bare", "-b", "main", str(self.bare))
        git(directory, "clone", "-q", str(self.bare), str(self.work))
        git(self.work, "checkout", "-q", "-b", "main")

    def write(self, path: str, text: str) -> None:
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def push(self) -> str:
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", "change")
        git(self.work, "push", "-q", "origin", "HEAD:main")
        return git(self.work, "rev-parse", "HEAD")


class Api:
    """JSON over one kept connection is not needed here: what is measured happens on the other side."""

    def __init__(self, instance: Instance) -> None:
        import ssl

        found = kubeconfig.load(instance.directory / "kubeconfig")
        self._server = found.server
        self._token = Path(instance.state["adminTokenFile"]).read_text().strip()
        self._context = ssl.create_default_context(cadata=found.ca)

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self._token}", "content-type": kind}
        request = urllib.request.Request(self._server + path, data, headers, method=method)
        with urllib.request.urlopen(request, context=self._context) as answer:
            return json.load(answer)

    def merge(self, path: str, patch: object) -> Any:
        return self.call("PATCH", path, patch, "application/merge-patch+json")


class Engine:
    def __init__(self, instance: Instance, directory: Path) -> None:
        script = str(Path(__file__).with_name("engine.py"))
        config = str(instance.directory / "kubeconfig")
        self._process = subprocess.Popen(
            [sys.executable, script, config, NAMESPACE, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.webhook = self._read()["webhook"]
        self.pid = self._process.pid

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def did(self) -> tuple[int, int]:
        """API calls and renders so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        found = self._read()
        return sum(found["calls"].values()), found["renders"]

    def cpu(self) -> float:
        """Seconds of it and its workers."""
        tick = os.sysconf("SC_CLK_TCK")
        total = 0.0
        for pid in tree(self.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += (int(fields[11]) + int(fields[12])) / tick
        return total

    def rss(self) -> float:
        return rss_mib(self.pid)

    def push(self, repository: Repository, before: str, after: str) -> None:
        """As a Git server tells it (Gitea's form, unsigned)."""
        url = f"file://{repository.bare}"
        body = {
            "ref": "refs/heads/main",
            "before": before,
            "after": after,
            "repository": {"html_url": url, "clone_url": url, "ssh_url": url, "default_branch": "main"},
            "commits": [],
        }
        headers = {"content-type": "application/json", "x-gitea-event": "push"}
        urllib.request.urlopen(urllib.request.Request(self.webhook, json.dumps(body).encode(), headers)).close()

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


def application(repository: Repository, name: str, path: str) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "project": "default",
            "source": {"repoURL": f"file://{repository.bare}", "path": path, "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }


APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
MAPS = "/api/v1/namespaces/default/configmaps"


def manifests(name: str, value: str) -> str:
    """Four objects."""
    return f"""apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data: {{value: "{value}"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, image: "example.com/app:1"}}]}}
"""


def config_map(value: str) -> str:
    return f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one}}\ndata: {{value: "{value}"}}\n'


def until(check: Callable[[], bool], seconds: float = 300, step: float = 0.005) -> float:
    """Seconds until it is so."""
    began = time.perf_counter()
    while not check():
        if time.perf_counter() - began > seconds:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(step)
    return time.perf_counter() - began


def is_settled(app: dict[str, Any], revision: str = "") -> bool:
    status = app.get("status") or {}
    state = status.get("operationState") or {}
    done = state.get("phase") == "Succeeded" and status.get("sync", {}).get("status") == "Synced"
    return done and (not revision or state.get("syncResult", {}).get("revision") == revision)


@contextmanager
def stage() -> Iterator[tuple[Instance, Api, Path]]:
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as directory:
        place = Path(directory)
        running = Instance(place / "data")
        running.up()
        try:
            yield running, Api(running), place
        finally:
            running.down()


def percentiles(prefix: str, samples: list[float]) -> dict[str, Any]:
    ordered = sorted(samples)
    p95 = ordered[max(0, round(0.95 * len(ordered)) - 1)]
    p50 = {"median": round(statistics.median(ordered), 3), "min": round(ordered[0], 3), "max": round(ordered[-1], 3)}
    return {
        f"{prefix}_p50_seconds": {**p50, "rounds": len(ordered)},
        f"{prefix}_p95_seconds": {"median": round(p95, 3), "rounds": len(ordered)},
    }


def one_application(rounds: int) -> dict[str, Any]:
    """Webhook to applied, calls of a sync, drift to reverted, rollback."""
    with stage() as (running, api, place):
        repository = Repository(place)
        repository.write("one/map.yaml", config_map("0"))
        names = ["one", *(f"scaled-{number}" for number in range(rounds))]
        for name in names[1:]:
            repository.write(f"{name}/all.yaml", manifests(name, "x").replace("replicas: 0", "replicas: 1"))
        revision = repository.push()
        engine = Engine(running, place / "engine")
        try:
            for name in names:
                api.call("POST", APPLICATIONS, application(repository, name, name))
            for name in names:
                until(lambda name=name: is_settled(api.call("GET", f"{APPLICATIONS}/{name}")))  # type: ignore[misc]
            applied, calls = [], []
            for number in range(1, rounds + 1):
                time.sleep(0.5)
                repository.write("one/map.yaml", config_map(str(number)))
                before, revision = revision, repository.push()
                known = engine.did()[0]
                began = time.perf_counter()
                engine.push(repository, before, revision)
                until(lambda n=number: api.call("GET", f"{MAPS}/one")["data"]["value"] == str(n))  # type: ignore[misc]
                applied.append(time.perf_counter() - began)
                until(lambda r=revision: is_settled(api.call("GET", f"{APPLICATIONS}/one"), r))  # type: ignore[misc]
                calls.append(float(engine.did()[0] - known))
            reverted = [_reverted(api, name) for name in names[1:]]
            rolled = _rolled_back(api, rounds)
        finally:
            engine.end()
    return {
        **percentiles("webhook_to_applied", applied),
        **percentiles("drift_to_reverted", reverted),
        "calls_of_a_sync": figure(calls),
        "rollback_seconds": figure(rolled),
    }


def _reverted(api: Api, name: str) -> float:
    """Of an Application of its own: repairs in a row come slower and slower."""
    path = f"/apis/apps/v1/namespaces/default/deployments/{name}"
    api.merge(path, {"spec": {"replicas": 3}})
    return until(lambda: bool(api.call("GET", path)["spec"]["replicas"] == 1))


def _rolled_back(api: Api, rounds: int) -> list[float]:
    """To the deployment before, as `seatrial app rollback` asks for it."""
    found = []
    for _ in range(min(rounds, 5)):
        app = api.call("GET", f"{APPLICATIONS}/one")
        entry = app["status"]["history"][-2]
        left = app["status"]["sync"]["revision"]
        sync = {"revision": entry["revision"], "source": entry["source"], "syncStrategy": {"apply": {}}}
        patch = {
            "metadata": {"annotations": {"seatrial.dev/skipped-revision": left}},
            "operation": {"sync": sync, "info": [{"name": "seatrial.dev/rollback", "value": str(entry["id"])}]},
            "status": {"operationState": None},
        }
        began = time.perf_counter()
        api.merge(f"{APPLICATIONS}/one", patch)

        def done(revision: str = entry["revision"]) -> bool:
            state = api.call("GET", f"{APPLICATIONS}/one")["status"].get("operationState") or {}
            return state.get("phase") == "Succeeded" and state["syncResult"].get("revision") == revision

        until(done)
        found.append(time.perf_counter() - began)
    return found


def thousand(count: int, idle_seconds: float) -> dict[str, Any]:
    with stage() as (running, api, place):
        repository = Repository(place)
        for number in range(count):
            repository.write(f"apps/{number}/all.yaml", manifests(f"app-{number}", "0"))
        revision = repository.push()
        engine = Engine(running, place / "engine")
        try:
            began, cpu = time.perf_counter(), engine.cpu()
            for number in range(count):
                api.call("POST", APPLICATIONS, application(repository, f"app-{number}", f"apps/{number}"))
            peak = [0.0]

            def all_synced() -> bool:
                peak[0] = max(peak[0], engine.rss())
                items = api.call("GET", APPLICATIONS)["items"]
                return len(items) == count and all(map(is_settled, items))

            until(all_synced, 900, 1.0)
            first, first_cpu = time.perf_counter() - began, engine.cpu() - cpu
            result = {
                f"first_sync_{count}_seconds": figure([first]),
                f"first_sync_{count}_cpu_seconds": figure([first_cpu]),
                f"first_sync_{count}_peak_rss_mib": figure([peak[0]]),
                f"first_sync_{count}_calls_an_application": figure([engine.did()[0] / count]),
            }
            time.sleep(5)
            repository.write("apps/7/all.yaml", manifests("app-7", "changed"))
            before, revision = revision, repository.push()
            calls, renders = engine.did()
            began = time.perf_counter()
            engine.push(repository, before, revision)
            until(lambda: api.call("GET", f"{MAPS}/app-7")["data"]["value"] == "changed")
            seconds = time.perf_counter() - began
            until(lambda: is_settled(api.call("GET", f"{APPLICATIONS}/app-7"), revision))
            after = engine.did()
            result |= {
                "commit_touching_one_renders": figure([float(after[1] - renders)]),
                "commit_touching_one_calls": figure([float(after[0] - calls)]),
                "commit_touching_one_seconds": figure([seconds]),
            }
            time.sleep(75)  # the others note the new revision, spread over a minute
            calls, cpu, began = engine.did()[0], engine.cpu(), time.perf_counter()
            time.sleep(idle_seconds)
            minutes = (time.perf_counter() - began) / 60
            result |= {
                "idle_calls_a_minute": figure([(engine.did()[0] - calls) / minutes]),
                "idle_cpu_seconds_a_minute": figure([(engine.cpu() - cpu) / minutes]),
            }
            return result
        finally:
            engine.end()


def render_figures() -> dict[str, Any]:
    """`render.py` measures those; they are repeated here."""
    found = json.loads((RESULTS.parent / "render.json").read_text())["results"]
    return {f"render_{name}": value for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 100 applications; nothing is written")
    quick = parser.parse_args().quick
    results = one_application(5 if quick else 20)
    print(json.dumps(results, indent=2), flush=True)
    results |= thousand(100 if quick else 1000, 20 if quick else 60)
    if not quick:
        results |= render_figures()
    print(json.dumps(results, indent=2))
    if not quick:
        RESULTS.write_text(json.dumps({"machine": facts(), "aims": AIMS, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
