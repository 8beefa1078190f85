"""Usage from two samples of each container."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.node.runtime.types import Usage
from seatrial.cluster.node.server.stats import Sampler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from seatrial.kube.model.objects import Object


class Node:
    """Pods with a container each, that use half a core."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.names = ["a"]
        self.reads = 0
        self.sampler = Sampler(self, self, self.clock, "seatrial")  # type: ignore[arg-type]

    def find(self, *_arguments: object, **_options: object) -> Any:
        raise NotImplementedError

    sandbox = find

    def summary(self) -> list[tuple[Object, Mapping[str, str]]]:
        return [
            ({"metadata": {"name": name, "namespace": "d", "uid": f"uid-{name}"}}, {"main": f"id-{name}"})
            for name in self.names
        ]

    def usage(self, _container: str) -> Usage | None:
        self.reads += 1
        now = self.clock.time()
        return Usage(now, int(now * 500_000_000), 1_500_000, 1_000_000)

    def shown(self, name: str) -> dict[str, Any]:
        """What is told of a pod's container."""
        pods = {pod["podRef"]["name"]: pod for pod in self.sampler.summary()["pods"]}
        (container,) = pods[name]["containers"]
        found: dict[str, Any] = container
        return found


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node()
    work = asyncio.create_task(node.sampler.run())
    await node.clock.advance(0)
    yield node
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_a_rate_needs_two_samples(node: Node) -> None:
    assert "usageNanoCores" not in node.shown("a")["cpu"]
    assert node.shown("a")["memory"] == {"workingSetBytes": 1_500_000, "rssBytes": 1_000_000}
    await node.clock.advance(2)
    assert node.shown("a")["cpu"]["usageNanoCores"] == pytest.approx(500_000_000, rel=0.01)


async def test_who_is_new_does_not_shorten_the_window_of_others(node: Node) -> None:
    await node.clock.advance(30)
    node.names.append("b")
    await node.clock.advance(13)
    assert "usageNanoCores" in node.shown("b")["cpu"]
    assert node.shown("a")["cpu"]["windowSeconds"] >= 9


async def test_reading_is_rare_once_all_are_known(node: Node) -> None:
    await node.clock.advance(10)
    before = node.reads
    await node.clock.advance(100)
    assert node.reads - before <= 10


async def test_who_is_gone_is_forgotten(node: Node) -> None:
    node.names = []
    await node.clock.advance(20)
    assert node.sampler.summary()["pods"] == []


async def test_the_node_is_told_of_too(node: Node) -> None:
    await node.clock.advance(15)
    told = node.sampler.summary()["node"]
    assert told["nodeName"] == "seatrial" and told["cpu"]["usageNanoCores"] >= 0
    assert told["memory"]["workingSetBytes"] > 0
