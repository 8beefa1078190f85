"""Leader election on the real API: one leads, another takes over, a leader that was overruled stops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import SystemClock
from seatrial.kube.control.leader import LeaderElector, LeadershipLost
from seatrial.kube.model import resources

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

LEASES = resources.for_plural("leases", "coordination.k8s.io")


def elector(scene: Scene, identity: str, clock: Any = None) -> LeaderElector:
    client = scene.client
    return LeaderElector(client, clock or SystemClock(), namespace="default", name="work", identity=identity)


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


class Worker:
    """Counts who works; a mistake would show as two at once."""

    def __init__(self) -> None:
        self.working: set[str] = set()
        self.changed = asyncio.Event()

    async def work(self, name: str) -> None:
        self.working.add(name)
        self.changed.set()
        try:
            await for_ever()
        finally:
            self.working.discard(name)

    async def until(self, working: set[str], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while self.working != working:
                self.changed.clear()
                await self.changed.wait()


async def test_a_leader_that_stops_hands_over_at_once(scene: Scene) -> None:
    worker = Worker()
    first = asyncio.create_task(elector(scene, "a").lead(lambda: worker.work("a")))
    await worker.until({"a"})
    second = asyncio.create_task(elector(scene, "b").lead(lambda: worker.work("b")))
    first.cancel()
    await worker.until({"b"})
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    lease = await scene.client.get(LEASES, "work", "default")
    assert lease["spec"]["leaseTransitions"] >= 1


async def test_two_candidates_never_work_at_once(scene: Scene) -> None:
    worker = Worker()
    tasks = [
        asyncio.create_task(elector(scene, name).lead(lambda name=name: worker.work(name)))  # type: ignore[misc]
        for name in ("a", "b", "c")
    ]
    async with asyncio.timeout(10):
        await worker.changed.wait()
    assert len(worker.working) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_leader_whose_lease_was_taken_stops_its_work(scene: Scene) -> None:
    worker = Worker()
    leading = asyncio.create_task(elector(scene, "a").lead(lambda: worker.work("a")))
    await worker.until({"a"})
    client = scene.client
    lease = await client.get(LEASES, "work", "default")
    await client.update(LEASES, {**lease, "spec": {**lease["spec"], "holderIdentity": "thief"}})
    with pytest.raises(LeadershipLost, match="went to thief"):
        async with asyncio.timeout(10):
            await leading
    assert worker.working == set()


async def test_the_work_ends_the_leading(scene: Scene) -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("x")

    await elector(scene, "a").lead(work)
    lease = await scene.client.get(LEASES, "work", "default")
    assert done == ["x"] and lease["spec"]["holderIdentity"] == ""
