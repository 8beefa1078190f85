"""Real pods' promises, measured from outside: a `seatrial up --runtime oci` of its own and an image of a busybox.

    python bench/node.py [--quick]

Writes bench/results/node.json: for each figure the median and the spread over its rounds, with the machine's facts.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from machine import facts, rss_mib, tree

from seatrial.base.clock import SystemClock
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.model import conditions, objects, resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SEATRIAL = str(Path(sys.executable).parent / "seatrial")
RESULTS = Path(__file__).parent / "results" / "node.json"
IMAGE = "bench/busybox:1"
PODS, DEPLOYMENTS = resources.for_plural("pods"), resources.for_plural("deployments", "apps")
SERVICES = resources.for_plural("services")
AIMS = {
    "pod_ready_p50_seconds": "<= 0.2",
    "sixty_pods_seconds": "<= 12",
    "first_answer_seconds": "<= 3",
    "idle_cpu_percent": "<= 2",
}
SERVE = "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"
ACCEPT = """
import socket
listening = socket.create_server(("0.0.0.0", 8080), backlog=1024)
while True:
    listening.accept()[0].close()
"""
ANSWER = """
import asyncio
async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n")
    except (OSError, asyncio.IncompleteReadError):
        writer.close()
async def main():
    await (await asyncio.start_server(serve, "0.0.0.0", 8080, backlog=1024)).serve_forever()
asyncio.run(main())
"""
DIAL = """
import socket, sys, time
def once(host, port):
    begun = time.perf_counter()
    with socket.create_connection((host, port)) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return time.perf_counter() - begun
for name, host, port in (a.split("=")[0:1] + a.split("=")[1].split(":") for a in sys.argv[1:]):
    for _ in range(50): once(host, int(port))
    begun = time.perf_counter()
    took = sorted(once(host, int(port)) for _ in range(2000))
    print(name, 2000 / (time.perf_counter() - begun), took[1000] * 1e6)
"""


def run(*arguments: str, directory: Path) -> str:
    command = [SEATRIAL, *arguments, "--data-dir", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@asynccontextmanager
async def instance(directory: Path, runtime: str = "oci") -> AsyncIterator[Client]:
    run("up", "--detach", "--runtime", runtime, "--api-port", "0", directory=directory)
    connection = kubeconfig.load(directory / "kubeconfig", "seatrial")
    client = Client(HttpTransport(connection, SystemClock()), field_manager="bench")
    try:
        while runtime == "oci" and not conditions.is_true(await node(client), "Ready"):
            await asyncio.sleep(0.01)
        yield client
    finally:
        await client.close()
        run("down", directory=directory)


async def node(client: Client) -> dict[str, Any] | None:
    found = (await client.list(resources.for_plural("nodes"))).items
    return found[0] if found else None


async def until(client: Client, check: Callable[[dict[str, Any]], bool], count: int, selector: str = "") -> None:
    """Return when so many pods satisfy the check, told by a watch."""
    good: set[str] = set()
    events = client.watch(PODS, "default", label_selector=selector, send_initial_events=True)
    async for event in events:
        if event.type in ("ADDED", "MODIFIED"):
            (good.add if check(event.object) else good.discard)(objects.uid(event.object))
        elif event.type == "DELETED":
            good.discard(objects.uid(event.object))
        if len(good) >= count:
            return


def is_ready(pod: dict[str, Any]) -> bool:
    return conditions.is_true(pod, "Ready")


def template(app: str, command: list[str]) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": command}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"metadata": {"labels": {"app": app}}, "spec": spec}


def deployment(name: str, replicas: int, command: list[str]) -> dict[str, Any]:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name, command)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


async def ready_times(client: Client, count: int) -> list[float]:
    """Create a pod, wait until it is Ready, delete it; seconds from the request to the event."""
    took = []
    for number in range(count):
        name = f"pod-{number}"
        spec = template(name, ["sleep", "1000"])["spec"]
        metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        waiting = asyncio.ensure_future(until(client, is_ready, 1, f"app={name}"))
        await asyncio.sleep(0.05)  # for the watch to be there
        begun = time.perf_counter()
        await client.create(PODS, made)
        await waiting
        took.append(time.perf_counter() - begun)
        await client.delete(PODS, name, "default", grace=0)
    return took


async def fill(client: Client, name: str, count: int) -> float:
    """Seconds until a new Deployment's pods are all Ready."""
    begun = time.perf_counter()
    await client.create(DEPLOYMENTS, deployment(name, count, ["sleep", "1000"]))
    await until(client, is_ready, count, f"app={name}")
    took = time.perf_counter() - begun
    await client.delete(DEPLOYMENTS, name, "default", propagation="Background")
    while (await client.list(PODS, "default", label_selector=f"app={name}", limit=1)).items:
        await asyncio.sleep(0.1)
    return took


def with_python(spec: dict[str, Any], directory: Path) -> None:
    """The machine's own Python in a pod's container; read only."""
    paths = [str(directory), sys.base_prefix, *(path for path in ("/lib", "/lib64", "/usr/lib") if Path(path).exists())]
    spec["volumes"] = [{"name": f"m{n}", "hostPath": {"path": path}} for n, path in enumerate(paths)]
    spec["containers"][0]["volumeMounts"] = [
        {"name": f"m{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(paths)
    ]


async def through_service(client: Client, directory: Path) -> dict[str, float]:
    """Connections a second one after another, and what one takes, to a pod and through a Service, from a pod."""
    (directory / "dial.py").write_text(DIAL)
    (directory / "accept.py").write_text(ACCEPT)
    made = deployment("web", 4, [f"{sys.base_prefix}/bin/python3", str(directory / "accept.py")])
    with_python(made["spec"]["template"]["spec"], directory)
    listens = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = listens
    await client.create(DEPLOYMENTS, made)
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    metadata = {"name": "web", "namespace": "default"}
    service = await client.create(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    await until(client, is_ready, 4, "app=web")
    pods = (await client.list(PODS, "default", label_selector="app=web")).items
    targets = [f"direct={pods[0]['status']['podIP']}:8080", f"service={service['spec']['clusterIP']}:80"]
    dial = template("dial", [f"{sys.base_prefix}/bin/python3", str(directory / "dial.py"), *targets])["spec"]
    with_python(dial, directory)
    labelled: dict[str, Any] = {"name": "dial", "namespace": "default", "labels": {"app": "dial"}}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": labelled, "spec": {**dial, "restartPolicy": "Never"}}
    await client.create(PODS, made)
    await until(client, lambda pod: pod["status"].get("phase") in ("Succeeded", "Failed"), 1, "app=dial")
    log = await client.raw("GET", "/api/v1/namespaces/default/pods/dial/log")
    found = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in log.body.decode().splitlines()}
    return {
        "direct_connections_per_second": found["direct"][0],
        "service_connections_per_second": found["service"][0],
        "added_microseconds": found["service"][1] - found["direct"][1],
    }


async def through_ingress(client: Client, directory: Path) -> float:
    """Requests a second over 16 kept connections, to four pods, by the machine's own port."""
    (directory / "answer.py").write_text(ANSWER)
    made = deployment("shop", 4, [f"{sys.base_prefix}/bin/python3", str(directory / "answer.py")])
    with_python(made["spec"]["template"]["spec"], directory)
    listens = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = listens
    await client.create(DEPLOYMENTS, made)
    metadata = {"name": "shop", "namespace": "default"}
    spec: dict[str, Any] = {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]}
    await client.create(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "shop", "port": {"number": 80}}}}
    spec = {"rules": [{"host": "shop.example.com", "http": {"paths": [path]}}]}
    made = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
    await client.create(resources.for_plural("ingresses", "networking.k8s.io"), made)
    await until(client, is_ready, 4, "app=shop")
    url = urlsplit(json.loads((directory / "real" / "state.json").read_text())["urls"]["http"])
    asked = b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"

    async def ask(count: int, *, ready: bool = True) -> bool:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        for _ in range(count):
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"ength:" in line)
            await reader.readexactly(length)
            if b" 200 " not in head:
                assert not ready, head
                return False
        writer.close()
        return True

    while not await ask(1, ready=False):
        await asyncio.sleep(0.05)
    begun = time.perf_counter()
    await asyncio.gather(*(ask(500) for _ in range(16)))
    return 16 * 500 / (time.perf_counter() - begun)


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


async def idle(directory: Path, seconds: float) -> dict[str, float]:
    """Of all processes of the instance, the pods' included."""
    pid = json.loads((directory / "state.json").read_text())["pid"]
    await asyncio.sleep(5)
    before, begun = cpu_seconds(tree(pid)), time.perf_counter()
    await asyncio.sleep(seconds)
    used = cpu_seconds(tree(pid)) - before
    return {"cpu_percent": 100 * used / (time.perf_counter() - begun), "rss_mib": rss_mib(pid)}


async def first_answer(directory: Path, restarts: int) -> float:
    """From `up` to the first pod of a Deployment that was there before, and has then restarted so many times."""
    begun = time.perf_counter()
    async with instance(directory) as client:

        def runs_again(pod: dict[str, Any]) -> bool:
            started = pod["status"].get("containerStatuses") or [{}]
            return is_ready(pod) and started[0].get("restartCount") == restarts

        await until(client, runs_again, 1, "app=kept")
        return time.perf_counter() - begun


def make_image(path: Path) -> Path:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("bin", "tmp"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        data = Path("/bin/busybox").read_bytes()
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(data), 0o755
        tar.addfile(entry, io.BytesIO(data))
        for applet in ("sh", "sleep", "httpd", "hostname"):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    blob = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(blob).hexdigest()]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for name, content in (
            ("config.json", json.dumps(config).encode()),
            ("layer.tar", blob),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def figure(samples: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(samples), 4),
        "min": round(min(samples), 4),
        "max": round(max(samples), 4),
        "rounds": len(samples),
    }


async def measure(rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as name:
        directory = Path(name)
        async with instance(directory / "real") as client:
            run("image", "load", str(make_image(directory / "image.tar")), directory=directory / "real")
            taken = [await idle(directory / "real", 10) for _ in range(rounds)]
            found |= {f"idle_{key}": figure([each[key] for each in taken]) for key in taken[0]}
            took = await ready_times(client, 20 * rounds)
            found["pod_ready_p50_seconds"] = figure(took)
            found["pod_ready_p99_seconds"] = round(sorted(took)[len(took) * 99 // 100], 4)
            found["sixty_pods_seconds"] = figure([await fill(client, f"sixty-{n}", 60) for n in range(rounds)])
            shown = await through_service(client, directory)
            found |= {key: round(value, 1) for key, value in shown.items()}
            found["ingress_requests_per_second"] = round(await through_ingress(client, directory))
            await client.create(DEPLOYMENTS, deployment("kept", 1, ["sh", "-c", SERVE]))
            await until(client, is_ready, 1, "app=kept")
        found["first_answer_seconds"] = figure(
            [await first_answer(directory / "real", number + 1) for number in range(rounds)]
        )
        async with instance(directory / "simulated", "simulated") as client:
            found["five_thousand_simulated_pods_seconds"] = round(await fill(client, "many", 5000), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round, nothing written")
    quick = parser.parse_args().quick
    found = asyncio.run(measure(1 if quick else 3))
    print(json.dumps(found, indent=2))
    if not quick:
        document = {"machine": facts(), "aims": AIMS, "figures": found}
        RESULTS.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
