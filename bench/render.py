"""Measures rendering: the Helm library against the `helm` binary, the cache, memory; bench/results/render.json.

.venv/bin/python bench/render.py
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import facts, rss_mib

from seatrial.base.clock import SystemClock
from seatrial.gitops.api.source import Source
from seatrial.gitops.render import renderer as renderers
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.render.request import Request
from seatrial.gitops.sources.helm.archive import ChartFiles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).resolve().parents[1]
CHARTS = ROOT / "tests" / "differential" / "charts"
RESULTS = ROOT / "bench" / "results" / "render.json"
HELM = shutil.which("helm") or str(ROOT / ".peers" / "helm")
AIMS = {"times_faster_than_helm": ">= 50", "library_ms": "about 1", "leak_kib_per_render": "0"}


def requests(path: str, count: int, first: int = 0) -> list[Request]:
    """Each with a release name of its own: none is in the cache."""
    content = {str(file.relative_to(CHARTS)): file.read_bytes() for file in CHARTS.rglob("*") if file.is_file()}
    files = ChartFiles(content, "https://git.example.com/charts", "0" * 40)
    made = Request(Source("https://git.example.com/charts", path), files, "a", "argocd", "default", "shop", "1.31.0")
    return [replace(made, application=f"{path}-{number}") for number in range(first, first + count)]


async def each(asked: list[Request], work: Callable[[Request], Awaitable[object]]) -> list[float]:
    """Milliseconds of each."""
    found: list[float] = []
    for request in asked:
        started = time.perf_counter()
        await work(request)
        found.append((time.perf_counter() - started) * 1000)
    return found


async def helm_itself(request: Request) -> None:
    """The binary alone, on files that are there already: nothing of ours is in the figure."""
    process = await asyncio.create_subprocess_exec(
        HELM, "template", request.application, str(CHARTS / request.source.path), "--include-crds",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0


def summary(found: list[float], digits: int = 3) -> dict[str, float]:
    ordered = sorted(found)
    return {
        "median": round(statistics.median(ordered), digits),
        "p95": round(ordered[int(len(ordered) * 0.95)], digits),
        "rounds": len(ordered),
    }


def in_process(chart: str, rounds: int) -> list[float]:
    """Milliseconds of what the library does in a worker: load the chart, render it. Nothing is read, sent or parsed."""
    os.environ["GOGC"] = "400"  # as a worker has it
    import helm_python

    found: list[float] = []
    for number in range(rounds):
        started = time.perf_counter()
        with helm_python.Chart.load(CHARTS / chart) as loaded:
            loaded.render({}, name=f"{chart}-{number}", namespace="shop")
        found.append((time.perf_counter() - started) * 1000)
    return found


async def measure(directory: Path) -> dict[str, Any]:
    results: dict[str, Any] = {}
    async with Renderer(directory / "a", SystemClock(), workers=1, helm_binary=Path(HELM)) as renderer:
        started = time.perf_counter()
        await renderer.render(requests("web", 1)[0])
        results["first_render_ms"] = round((time.perf_counter() - started) * 1000, 1)
        for chart in ("web", "umbrella"):
            results[chart] = {
                "library_alone_ms": summary(in_process(chart, 300)),
                "library_ms": summary(await each(requests(chart, 300, 1), renderer.render)),
                "helm_template_ms": summary(await each(requests(chart, 20), helm_itself), 1),
            }
            binary = results[chart]["helm_template_ms"]["median"]
            for name, ours in (("library_alone_ms", "alone_times_faster"), ("library_ms", "times_faster_than_helm")):
                results[chart][ours] = round(binary / results[chart][name]["median"], 1)
        known = requests("web", 1, 5)
        results["cache_hit_ms"] = summary(await each(known * 1000, renderer.render))
        started = time.perf_counter()
        for _ in range(10_000):
            renderer.would_hit(known[0])
        results["would_hit_us"] = round((time.perf_counter() - started) * 100, 1)
        results["memory"] = await memory(renderer)
    async with Renderer(directory / "a", SystemClock()) as again:
        results["cache_hit_after_restart_ms"] = summary(await each(requests("web", 200, 50), again.render))
    async with Renderer(directory / "b", SystemClock(), workers=2) as renderer:
        asked = requests("web", 1000)
        started = time.perf_counter()
        await asyncio.gather(*(renderer.render(request) for request in asked))
        results["thousand_at_once_seconds"] = round(time.perf_counter() - started, 2)
    results["kustomize_ms"] = await kustomize(directory / "c")
    return results


async def memory(renderer: Renderer) -> dict[str, float]:
    """Of the worker, over a thousand renders."""
    (worker,) = renderer._workers._all
    await each(requests("umbrella", 200, 1000), renderer.render)
    before = rss_mib(worker._process.pid)
    await each(requests("umbrella", 1000, 2000), renderer.render)
    after = rss_mib(worker._process.pid)
    return {"worker_mib": after, "leak_kib_per_render": round((after - before) * 1024 / 1000, 2)}


async def kustomize(directory: Path) -> dict[str, float]:
    content = {
        "kustomization.yaml": b"resources: [a.yaml]\nnamePrefix: x-\n",
        "a.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    }
    files = ChartFiles(content, "https://git.example.com/k", "0" * 40)
    made = Request(Source("https://git.example.com/k", "."), files, "a", "argocd", "default", "shop", "1.31.0")
    async with Renderer(directory, SystemClock(), kubectl=renderers.find_kubectl()) as renderer:
        asked = [replace(made, application=f"a{number}") for number in range(30)]
        return summary(await each(asked, renderer.render), 1)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        measured = asyncio.run(measure(Path(directory)))
    RESULTS.parent.mkdir(exist_ok=True)
    results = {"machine": facts(), "aims": AIMS, "results": measured}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
