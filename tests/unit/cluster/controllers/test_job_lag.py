"""Jobs and CronJobs whose controller sees some kinds late: its own writes are not done twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.tasks import TaskGroup
from seatrial.cluster.controllers import cronjob, job
from seatrial.kube.client.client import Client
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.client.transport import Request, Response, Transport, WatchEvent
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.controller import Controller
    from seatrial.kube.model.objects import Object

LAG = 0.5
TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "task:1"}]}}


class Lagging:
    """Delivers every watch event of one kind late."""

    def __init__(self, inner: Transport, world: World, plural: str) -> None:
        self._inner = inner
        self._world = world
        self._plural = plural
        self.lags = False

    async def send(self, request: Request) -> Response:
        return await self._inner.send(request)

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        late = request.path.endswith(self._plural)
        async for event in self._inner.watch(request):
            if late and self.lags:
                await self._world.clock.sleep(LAG)
            yield event

    async def close(self) -> None:
        await self._inner.close()


@asynccontextmanager
async def lagging(world: World, plural: str, build: Callable[[ControlContext], Controller]) -> AsyncIterator[None]:
    transport = Lagging(world.client.transport, world, plural)
    async with TaskGroup() as tasks:
        informers = InformerFactory(Client(transport), world.clock, tasks)
        built = build(replace(world.context, informers=informers))
        informers.start()
        await informers.wait_synced()
        transport.lags = True
        tasks.start(built.name, built.run())
        yield


async def after(world: World, seconds: float) -> None:
    """Time passes in steps, so that late events and what follows from them come in turn."""
    for _ in range(int(seconds / LAG) + 1):
        await world.clock.advance(LAG)
    await world.settle()


def work(**spec: Any) -> Object:
    meta = {"name": "work", "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": TEMPLATE, **spec}}


@pytest.mark.parametrize("late", ["pods", "jobs"])
@pytest.mark.parametrize("mode", ["NonIndexed", "Indexed"])
async def test_a_job_makes_and_counts_each_pod_once(world: World, late: str, mode: str) -> None:
    await world.start()
    world.pods_become_ready = False
    async with lagging(world, late, job.build):
        await world.create(work(completions=4, parallelism=2, completionMode=mode))
        for _ in range(3):
            await after(world, 10)
            for pod in await world.pods():
                if pod["status"]["phase"] == "Pending":
                    await world.set_pod(objects.name(pod), "Succeeded")
                    await asyncio.sleep(0)
        await after(world, 10)
        found = (await world.get("jobs", "work", "batch"))["status"]
        assert found["succeeded"] == 4
        assert world.notes.reasons() == ["SuccessfulCreate"] * 4 + ["Completed"]


@pytest.mark.parametrize("late", ["jobs", "cronjobs"])
async def test_a_cron_job_replaces_each_job_once(world: World, late: str) -> None:
    await world.start()
    async with lagging(world, late, cronjob.build):
        spec = {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Replace",
            "jobTemplate": {"spec": {"template": TEMPLATE}},
        }
        meta = {"name": "report", "namespace": "default"}
        await world.create({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec})
        await after(world, 45)
        for _ in range(2):
            await after(world, 59)
        assert world.notes.reasons() == ["SuccessfulCreate", *["SuccessfulDelete", "SuccessfulCreate"] * 2]
        (left,) = await world.list("jobs", "batch")
        (reference,) = (await world.get("cronjobs", "report", "batch"))["status"]["active"]
        assert reference["uid"] == objects.uid(left)


async def test_a_job_that_is_done_and_gone_at_once_is_not_started_again(world: World) -> None:
    await world.start()
    async with lagging(world, "cronjobs", cronjob.build):
        made = {"spec": {"template": TEMPLATE}}
        spec = {"schedule": "* * * * *", "successfulJobsHistoryLimit": 0, "jobTemplate": made}
        meta = {"name": "report", "namespace": "default"}
        await world.create({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec})
        await world.clock.advance(LAG)
        await world.clock.advance(39.7)  # the status of the start is under way
        await world.settle()
        (started,) = await world.list("jobs", "batch")
        done = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        await world.merge("jobs", objects.name(started), done, "batch", "status")
        await after(world, 10)
        assert await world.list("jobs", "batch") == []
        assert world.notes.reasons().count("SuccessfulCreate") == 1
