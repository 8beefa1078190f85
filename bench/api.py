"""The API server's promises, measured from outside: a `seatrial up` of its own, clients in other processes.

    python bench/api.py [--quick]

Writes bench/results/api.json: for each figure the median and the spread over its rounds, with the machine's facts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import uvloop
from client import Connection, Target
from machine import facts, rss_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEATRIAL = str(Path(sys.executable).parent / "seatrial")
RESULTS = Path(__file__).parent / "results" / "api.json"
PODS = 10_000
AIMS = {
    "ready_seconds": "<= 1.0",
    "creates_per_second_16": ">= 1000",
    "list_10000_pods_ms": "<= 200",
    "watch_p99_ms": "<= 25",
    "rss_idle_mib": "<= 200",
}


class Instance:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def up(self) -> float:
        """Start; seconds from the start of the process to a good /readyz."""
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [SEATRIAL, "up", "--runtime", "simulated", "--api-port", "0", "--data-dir", str(self.directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self.state = json.loads((self.directory / "state.json").read_text())
        ca = str(self.directory / "pki" / "ca.crt")
        context = ssl.create_default_context(cafile=ca)
        with urllib.request.urlopen(self.state["urls"]["api"] + "/readyz", context=context) as answer:
            assert answer.status == 200
        self.pid = self._process.pid
        return time.perf_counter() - began

    def down(self) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def target(self) -> Target:
        token = Path(self.state["adminTokenFile"]).read_text().strip()
        return Target(self.state["urls"]["api"], self.directory / "pki" / "ca.crt", token)


@contextmanager
def instance() -> Iterator[Instance]:
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as directory:
        running = Instance(Path(directory))
        running.up()
        try:
            yield running
        finally:
            running.down()


def figure(samples: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(samples), 3),
        "min": round(min(samples), 3),
        "max": round(max(samples), 3),
        "rounds": len(samples),
    }


def config_map(name: str) -> bytes:
    return orjson.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default", "labels": {"bench": "yes"}},
            "data": {f"key-{n}": "x" * 80 for n in range(10)},
        }
    )


def pod(name: str) -> bytes:
    container = {
        "name": "web",
        "image": "registry.example.com/shop/web:1.2.3",
        "env": [{"name": "MODE", "value": "production"}],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
    }
    return orjson.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web", "bench": "yes"}},
            "spec": {"containers": [container]},
        }
    )


async def spread_over(target: Target, connections: int, count: int, call: Callable[[Connection, int], Any]) -> float:
    """Run `call` for 0..count-1 over that many connections; requests per second."""
    open_ = [await Connection(target).open() for _ in range(connections)]
    numbers = iter(range(count))

    async def work(connection: Connection) -> None:
        for number in numbers:
            await call(connection, number)

    began = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in open_))
    elapsed = time.perf_counter() - began
    for connection in open_:
        connection.close()
    return count / elapsed


async def creates(
    target: Target, connections: int, count: int, prefix: str, body: Callable[[str], bytes], kind: str
) -> float:
    async def create(connection: Connection, number: int) -> None:
        status, data = await connection.request(
            "POST", f"/api/v1/namespaces/default/{kind}", body(f"{prefix}-{number}")
        )
        assert status == 201, data

    return await spread_over(target, connections, count, create)


async def applies(target: Target, connections: int, count: int, prefix: str) -> float:
    async def apply(connection: Connection, number: int) -> None:
        name = f"{prefix}-{number % 100}"
        body = orjson.loads(config_map(name))
        body["data"]["key-0"] = str(number)
        path = f"/api/v1/namespaces/default/configmaps/{name}?fieldManager=bench&force=true"
        status, data = await connection.request("PATCH", path, orjson.dumps(body), "application/apply-patch+yaml")
        assert status in (200, 201), data

    return await spread_over(target, connections, count, apply)


async def list_pods(target: Target, rounds: int) -> list[float]:
    connection = await Connection(target).open()
    samples = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        status, data = await connection.request("GET", "/api/v1/pods")
        samples.append((time.perf_counter() - began) * 1000)
        assert status == 200 and data.count(b'"phase"') >= PODS
    connection.close()
    return samples[1:]


def watchers(target: Target, count: int, seconds: float, results: Any) -> None:
    """Child process: `count` watches; puts the latencies (ms) of all events on the queue."""

    async def one(latencies: list[float]) -> None:
        connection = await Connection(target).open()
        path = f"/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0&timeoutSeconds={int(seconds)}"
        marker = b'"sent":"'
        async for line in connection.watch(path):
            found = line.find(marker)
            if found >= 0:
                start = found + len(marker)
                latencies.append((time.monotonic() - float(line[start : line.index(b'"', start)])) * 1000)
        connection.close()

    async def everyone() -> list[float]:
        latencies: list[float] = []
        await asyncio.gather(*(one(latencies) for _ in range(count)))
        return latencies

    results.put(uvloop.run(everyone()))


async def steady_writes(target: Target, rate: float, seconds: float) -> int:
    connections = [await Connection(target).open() for _ in range(8)]
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def write(number: int) -> None:
        connection = await free.get()
        body = orjson.dumps({"data": {"sent": repr(time.monotonic())}})
        path = f"/api/v1/namespaces/default/configmaps/watched-{number % 50}"
        status, data = await connection.request("PATCH", path, body, "application/merge-patch+json")
        assert status == 200, data
        free.put_nowait(connection)

    began = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(write(number)))
    await asyncio.gather(*tasks)
    return len(tasks)


def watch_latency(target: Target, seconds: float) -> dict[str, Any]:
    """50 watchers, 500 writes/s."""
    uvloop.run(creates(target, 4, 50, "watched", config_map, "configmaps"))
    results: Any = multiprocessing.get_context("spawn").Queue()
    child = multiprocessing.get_context("spawn").Process(target=watchers, args=(target, 50, seconds + 4, results))
    child.start()
    time.sleep(2)
    written = uvloop.run(steady_writes(target, 500, seconds))
    latencies = sorted(results.get(timeout=seconds + 30))
    child.join()
    assert len(latencies) >= 50 * written, f"{len(latencies)} events seen of {50 * written}"
    return {
        "p50": round(latencies[len(latencies) // 2], 2),
        "p99": round(latencies[int(len(latencies) * 0.99)], 2),
        "max": round(latencies[-1], 2),
        "events": len(latencies),
    }


def start_times(rounds: int) -> tuple[list[float], list[float], list[float]]:
    """First start in a new directory, second start in the same, and RSS after the first."""
    first, again, rss = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as directory:
            running = Instance(Path(directory))
            first.append(running.up())
            time.sleep(1)
            rss.append(rss_mib(running.pid))
            running.down()
            again.append(running.up())
            running.down()
    return first, again, rss


def all_running(target: Target) -> float:
    """Seconds until every pod is Running."""

    async def wait() -> float:
        connection = await Connection(target).open()
        began = time.perf_counter()
        while True:
            path = "/api/v1/pods?fieldSelector=status.phase%21%3DRunning&limit=1"
            _status, data = await connection.request("GET", path)
            if not orjson.loads(data)["items"]:
                connection.close()
                return time.perf_counter() - began
            await asyncio.sleep(0.5)

    return uvloop.run(wait())


def measure(rounds: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    first, again, rss = start_times(rounds)
    results["ready_seconds"] = figure(first)
    results["ready_again_seconds"] = figure(again)
    results["rss_idle_mib"] = figure(rss)
    with instance() as running:
        target = running.target
        for connections in (1, 16):
            samples = [
                uvloop.run(creates(target, connections, 1500, f"c{connections}-{n}", config_map, "configmaps"))
                for n in range(rounds)
            ]
            results[f"creates_per_second_{connections}"] = figure(samples)
        results["applies_per_second_16"] = figure(
            [uvloop.run(applies(target, 16, 1500, "applied")) for _ in range(rounds)]
        )
    with instance() as running:
        delays = [watch_latency_on(running, n) for n in range(max(1, rounds // 2))]
        for key in ("p50", "p99"):
            results[f"watch_{key}_ms"] = figure([delay[key] for delay in delays])
    with instance() as running:
        target = running.target
        rate = uvloop.run(creates(target, 16, PODS, "pod", pod, "pods"))
        results["pod_creates_per_second_16"] = figure([rate])
        results["pods_running_after_seconds"] = figure([all_running(target)])
        results["list_10000_pods_ms"] = figure(uvloop.run(list_pods(target, rounds)))
        results["rss_10000_pods_mib"] = figure([rss_mib(running.pid)])
    return results


def watch_latency_on(running: Instance, number: int) -> dict[str, Any]:
    if number:
        running.down()
        running.up()
        uvloop.run(_forget_watched(running.target))
    return watch_latency(running.target, 10.0)


async def _forget_watched(target: Target) -> None:
    connection = await Connection(target).open()
    await connection.request("DELETE", "/api/v1/namespaces/default/configmaps?labelSelector=bench%3Dyes")
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of each")
    rounds = 1 if parser.parse_args().quick else 5
    measured = measure(rounds)
    results = {"machine": facts(), "aims": AIMS, "results": measured}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for name, found in measured.items():
        print(f"{name:32} {found['median']:>10}  ({found['min']} .. {found['max']})  aim {AIMS.get(name, '-')}")


if __name__ == "__main__":
    main()
