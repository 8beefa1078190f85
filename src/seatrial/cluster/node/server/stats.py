"""How much CPU and memory containers and the node use, from two samples of each."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.runtime.types import Runtime, Usage
    from seatrial.cluster.node.server.pods import Pods

_PERIOD = 10.0
_SAMPLES = 2
_SOON = 2.0
"""A container that only just started is measured over so many seconds at first."""


class Sampler:
    def __init__(self, pods: Pods, runtime: Runtime, clock: Clock, name: str) -> None:
        self._pods = pods
        self._runtime = runtime
        self._clock = clock
        self._name = name
        self._taken: dict[str, deque[Usage]] = {}
        self._node: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.sample()
            fresh = len(self._node) < _SAMPLES or any(len(taken) < _SAMPLES for taken in self._taken.values())
            await self._clock.sleep(_SOON if fresh else _PERIOD)

    async def sample(self) -> None:
        """Read what is due: a pod that only just started does not shorten the window of all others."""
        now = self._clock.time()
        if _is_due(now, [time for time, _ in self._node]):
            self._node.append((now, _node_cpu()))
        running = {container for _, containers in self._pods.summary() for container in containers.values()}
        for container in self._taken.keys() - running:
            del self._taken[container]
        for container in running:
            if _is_due(now, [usage.time for usage in self._taken.get(container, ())]):
                usage = self._runtime.usage(container)
                if usage is not None:
                    self._taken.setdefault(container, deque(maxlen=_SAMPLES)).append(usage)
                await self._clock.sleep(0)  # there may be many, and others wait for the loop

    def summary(self) -> dict[str, Any]:
        """As a kubelet's /stats/summary has it."""
        pods = [
            {
                "podRef": {"name": objects.name(pod), "namespace": objects.namespace(pod), "uid": objects.uid(pod)},
                "containers": [self._container(name, container) for name, container in containers.items()],
            }
            for pod, containers in self._pods.summary()
        ]
        return {"node": self._of_node(), "pods": pods}

    def _of_node(self) -> dict[str, Any]:
        cpu: dict[str, Any] = {"time": rfc3339(self._clock.time())}
        if len(self._node) == _SAMPLES:
            (before, used_before), (after, used) = self._node
            cpu |= {"usageNanoCores": _rate(used - used_before, after - before), "windowSeconds": after - before}
        memory = {"workingSetBytes": _node_memory()}
        return {"nodeName": self._name, "cpu": cpu, "memory": memory}

    def _container(self, name: str, container: str) -> dict[str, Any]:
        taken = self._taken.get(container)
        cpu: dict[str, Any] = {"time": rfc3339(taken[-1].time if taken else self._clock.time())}
        memory: dict[str, Any] = {}
        if taken:
            memory = {"workingSetBytes": taken[-1].memory_working_set, "rssBytes": taken[-1].memory_rss}
            cpu["usageCoreNanoSeconds"] = taken[-1].cpu_nanoseconds
        if taken and len(taken) == _SAMPLES:
            window = taken[1].time - taken[0].time
            used = taken[1].cpu_nanoseconds - taken[0].cpu_nanoseconds
            cpu |= {"usageNanoCores": _rate(used, window), "windowSeconds": window}
        return {"name": name, "cpu": cpu, "memory": memory}


def _is_due(now: float, before: Sequence[float]) -> bool:
    """A little early counts: it is the sleep between two looks that takes the time."""
    return len(before) == 0 or now - before[-1] >= 0.9 * (_PERIOD if len(before) == _SAMPLES else _SOON)


def _rate(nanoseconds: int, seconds: float) -> int:
    return max(0, int(nanoseconds / seconds)) if seconds > 0 else 0


def _node_cpu() -> int:
    """Nanoseconds of all the machine's CPUs that were not idle."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _node_memory() -> int:
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found["MemTotal"] - found.get("MemAvailable", found["MemFree"])
