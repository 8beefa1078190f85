"""Jobs against the real API: pods run until a test ends them, and time stands still unless a test moves it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers import job
from seatrial.cluster.controllers.job import spec as jobspec
from seatrial.kube.client.client import Client
from seatrial.kube.client.transport import TransportError
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.client.transport import Request, Response, Transport, WatchEvent
    from seatrial.kube.model.objects import Object


def make(name: str = "work", *, pod: Object | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    containers = [{"name": "c", "image": "task:1"}]
    pod_spec = {"restartPolicy": "Never", "containers": containers, **(pod or {})}
    template = {"metadata": {"labels": labels or {}}, "spec": pod_spec}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template, **spec}}


async def started(world: World, obj: Object) -> None:
    await world.start(job.build)
    await world.create(obj)
    await world.settle()


async def status(world: World, name: str = "work") -> Object:
    found: Object = (await world.get("jobs", name, "batch")).get("status") or {}
    return found


async def running(world: World) -> list[str]:
    found = await world.pods()
    return [objects.name(pod) for pod in found if pod["status"].get("phase") in (None, "Pending", "Running")]


async def end(world: World, *names: str, phase: str = "Succeeded", code: int = 1) -> None:
    terminated = {"exitCode": 0 if phase == "Succeeded" else code, "finishedAt": rfc3339(world.clock.time())}
    statuses = [{"name": "c", "state": {"terminated": terminated}, "ready": False, "restartCount": 0}]
    for name in names:
        await world.set_pod(name, phase, containerStatuses=statuses)
    await world.settle()


async def types(world: World) -> dict[str, str]:
    """The conditions that hold, and why."""
    found = (await status(world)).get("conditions") or []
    return {each["type"]: each["reason"] for each in found if each["status"] == "True"}


async def tracked(world: World) -> list[str]:
    return [objects.name(pod) for pod in await world.list("pods", "") if jobspec.is_tracked(pod)]


# success


async def test_a_job_runs_to_completion(world: World) -> None:
    await started(world, make(completions=3, parallelism=2))
    begun = rfc3339(world.clock.time())
    assert await status(world) == {
        "active": 2,
        "ready": 2,
        "terminating": 0,
        "startTime": begun,
        "uncountedTerminatedPods": {},
    }
    await world.after(5)
    await end(world, *await running(world))
    assert (await status(world))["succeeded"] == 2
    assert len(await running(world)) == 1
    await end(world, *await running(world))
    found = await status(world)
    done = rfc3339(world.clock.time())
    assert [each["type"] for each in found["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert {key: value for key, value in found.items() if key != "conditions"} == {
        "succeeded": 3,
        "ready": 0,
        "terminating": 0,
        "startTime": begun,
        "completionTime": done,
        "uncountedTerminatedPods": {},
    }
    assert await types(world) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert await tracked(world) == []
    assert world.notes.reasons() == ["SuccessfulCreate"] * 3 + ["Completed"]


async def test_pods_carry_the_labels_and_the_finalizer_of_their_job(world: World) -> None:
    await started(world, make())
    owner = await world.get("jobs", "work", "batch")
    (pod,) = await world.pods()
    assert objects.finalizers(pod) == [jobspec.FINALIZER]
    assert objects.controller_of(pod) == objects.controller_reference(owner)
    uid = objects.uid(owner)
    assert objects.labels(pod) == {
        "job-name": "work",
        "batch.kubernetes.io/job-name": "work",
        "controller-uid": uid,
        "batch.kubernetes.io/controller-uid": uid,
    }


async def test_a_job_at_rest_writes_nothing(world: World) -> None:
    await started(world, make(completions=3, parallelism=2))
    before = world.store.revision
    await world.merge("jobs", "work", {"metadata": {"annotations": {"a": "b"}}}, "batch")
    await world.settle()
    assert world.store.revision == before + 1
    await end(world, *await running(world))
    await end(world, *await running(world))
    before = world.store.revision
    await world.merge("jobs", "work", {"metadata": {"annotations": {"a": "c"}}}, "batch")
    await world.settle()
    assert world.store.revision == before + 1


async def test_without_completions_one_success_is_enough_and_the_others_may_finish(world: World) -> None:
    await started(world, make(parallelism=3))
    first, *others = await running(world)
    await end(world, first)
    assert sorted(await running(world)) == sorted(others)
    assert await types(world) == {}
    await end(world, *others, phase="Failed")
    assert "Complete" in await types(world)
    assert (await status(world))["failed"] == 2


async def test_indexes(world: World) -> None:
    await started(world, make(completions=4, parallelism=3, completionMode="Indexed"))
    pods = {objects.labels(pod)[jobspec.INDEX]: pod for pod in await world.pods()}
    assert sorted(pods) == ["0", "1", "2"]
    assert pods["1"]["spec"]["hostname"] == "work-1"
    await end(world, objects.name(pods["0"]), objects.name(pods["2"]))
    found = await status(world)
    assert (found["completedIndexes"], found["succeeded"]) == ("0,2", 2)
    await end(world, *await running(world))
    assert (await status(world))["completedIndexes"] == "0-3"
    assert "Complete" in await types(world)


async def test_enough_indexes_end_the_job_and_stop_the_others(world: World) -> None:
    policy = {"rules": [{"succeededIndexes": "0"}]}
    await started(world, make(completions=3, parallelism=3, completionMode="Indexed", successPolicy=policy))
    (leader,) = [pod for pod in await world.pods() if objects.labels(pod)[jobspec.INDEX] == "0"]
    await end(world, objects.name(leader))
    assert await types(world) == {"SuccessCriteriaMet": "SuccessPolicy", "Complete": "SuccessPolicy"}
    assert [objects.name(pod) for pod in await world.list("pods", "")] == [objects.name(leader)]
    assert "failed" not in await status(world)


# failure


async def test_failed_pods_are_replaced_after_growing_delays(world: World) -> None:
    await started(world, make(backoffLimit=3))
    for delay in (10, 20, 40):
        await end(world, *await running(world), phase="Failed")
        await world.after(delay - 1)
        assert await running(world) == []
        await world.after(1)
        assert len(await running(world)) == 1
    await end(world, *await running(world), phase="Failed")
    assert await types(world) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert (await status(world))["failed"] == 4
    assert "completionTime" not in await status(world)
    assert world.notes.reasons()[-1] == "BackoffLimitExceeded"


async def test_failures_are_remembered_when_somebody_tidies_the_failed_pods_away(world: World) -> None:
    await started(world, make())
    for delay in (10, 20, 40):
        (name,) = await running(world)
        await end(world, name, phase="Failed")
        await world.delete("pods", name, "")
        await world.after(delay - 1)
        assert await running(world) == []
        await world.after(1)
        assert len(await running(world)) == 1


async def test_a_failed_job_stops_its_other_pods_and_counts_them_as_failed(world: World) -> None:
    await started(world, make(completions=5, parallelism=3, backoffLimit=0))
    first, *_ = await running(world)
    await end(world, first, phase="Failed")
    assert await world.pod_names() == [first]
    found = await status(world)
    assert found["failed"] == 3
    assert "active" not in found
    assert await tracked(world) == []


async def test_a_job_is_failed_only_when_its_last_pod_has_ended(world: World) -> None:
    await world.node("n1")
    await started(world, make(parallelism=2, completions=2, backoffLimit=0, pod={"nodeName": "n1"}))
    first, second = await running(world)
    await end(world, first, phase="Failed")
    assert await types(world) == {"FailureTarget": "BackoffLimitExceeded"}
    assert (await status(world))["terminating"] == 1
    assert world.notes.reasons()[-1] == "SuccessfulDelete"
    await world.delete("pods", second, "", grace=0)
    await world.settle()
    assert await types(world) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert (await status(world))["terminating"] == 0
    assert (await status(world))["failed"] == 2


async def test_the_deadline_ends_the_job(world: World) -> None:
    await started(world, make(activeDeadlineSeconds=30))
    await world.after(29)
    assert len(await running(world)) == 1
    await world.after(1)
    assert await types(world) == {"FailureTarget": "DeadlineExceeded", "Failed": "DeadlineExceeded"}
    assert await running(world) == []


async def test_ignored_failures_are_replaced_without_being_counted(world: World) -> None:
    policy = {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}]}
    await started(world, make(backoffLimit=0, podFailurePolicy=policy))
    await end(world, *await running(world), phase="Failed", code=42)
    await world.after(10)
    assert len(await running(world)) == 1
    assert "failed" not in await status(world)
    await end(world, *await running(world))
    assert "Complete" in await types(world)


async def test_a_rule_may_fail_the_job(world: World) -> None:
    policy = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}]}
    await started(world, make(podFailurePolicy=policy))
    (name,) = await running(world)
    await end(world, name, phase="Failed", code=3)
    assert await types(world) == {"FailureTarget": "PodFailurePolicy", "Failed": "PodFailurePolicy"}
    message = f"Container c for pod default/{name} failed with exit code 3 matching FailJob rule at index 0"
    assert (conditions.get(await world.get("jobs", "work", "batch"), "Failed") or {})["message"] == message


async def test_each_index_has_its_own_retries(world: World) -> None:
    await started(world, make(completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=1))

    async def at(index: str) -> Object:
        names = await running(world)
        (found,) = [
            pod
            for pod in await world.pods()
            if objects.labels(pod)[jobspec.INDEX] == index and objects.name(pod) in names
        ]
        return found

    await end(world, objects.name(await at("0")), phase="Failed")
    assert len(await tracked(world)) == 2  # its failures are not handed on yet
    await world.after(10)
    again = await at("0")
    assert objects.annotations(again)["batch.kubernetes.io/job-index-failure-count"] == "1"
    assert (await status(world))["failed"] == 1
    await end(world, objects.name(again), phase="Failed")
    assert (await status(world))["failedIndexes"] == "0"
    await world.after(600)
    assert len(await running(world)) == 1
    await end(world, *await running(world))
    assert await types(world) == {"FailureTarget": "FailedIndexes", "Failed": "FailedIndexes"}
    assert (await status(world))["completedIndexes"] == "1"


async def test_a_deleted_pod_is_replaced_at_once_or_when_it_has_ended(world: World) -> None:
    await world.node("n1")
    await started(world, make(podReplacementPolicy="Failed", pod={"nodeName": "n1"}))
    (name,) = await running(world)
    await world.delete("pods", name, "")
    await world.settle()
    assert await running(world) == []
    assert (await status(world))["terminating"] == 1
    await end(world, name, phase="Failed")
    await world.after(10)
    assert len(await running(world)) == 1
    assert (await status(world))["failed"] == 1


# changes


async def test_fewer_pods_at_a_time_stops_some_without_counting_them(world: World) -> None:
    await started(world, make(completions=5, parallelism=3))
    await world.merge("jobs", "work", {"spec": {"parallelism": 1}}, "batch")
    await world.settle()
    assert len(await world.list("pods", "")) == 1
    found = await status(world)
    assert found["active"] == 1
    assert "failed" not in found
    await world.merge("jobs", "work", {"spec": {"parallelism": 4}}, "batch")
    await world.settle()
    assert len(await running(world)) == 4


async def test_suspending_stops_the_pods_and_resuming_starts_the_clock_anew(world: World) -> None:
    await started(world, make(completions=2, parallelism=2, activeDeadlineSeconds=100))
    await world.after(50)
    await world.merge("jobs", "work", {"spec": {"suspend": True}}, "batch")
    await world.settle()
    found = await status(world)
    assert await world.list("pods", "") == []
    assert await types(world) == {"Suspended": "JobSuspended"}
    assert not {"active", "failed", "startTime"} & found.keys()
    await world.after(500)
    await world.merge("jobs", "work", {"spec": {"suspend": False}}, "batch")
    await world.settle()
    assert len(await running(world)) == 2
    assert await types(world) == {}
    assert (await status(world))["startTime"] == rfc3339(world.clock.time())
    told = [reason for reason in world.notes.reasons() if reason in ("Suspended", "Resumed")]
    assert told == ["Suspended", "Resumed"]


async def test_a_job_created_suspended_does_not_start(world: World) -> None:
    await started(world, make(suspend=True))
    assert await types(world) == {"Suspended": "JobSuspended"}
    assert "startTime" not in await status(world)
    assert await running(world) == []


# its end, and what is left


async def test_a_finished_job_is_deleted_when_its_time_has_come(world: World) -> None:
    await started(world, make(ttlSecondsAfterFinished=60))
    await end(world, *await running(world))
    await world.after(59)
    assert await world.list("jobs", "batch") != []
    await world.after(1)
    assert await world.list("jobs", "batch") == []


@pytest.mark.parametrize("propagation", ["Orphan", "Background"])
async def test_pods_of_a_deleted_job_are_let_go(world: World, propagation: str) -> None:
    await started(world, make())
    await world.delete("jobs", "work", "batch", propagation=propagation)
    if propagation == "Orphan":  # the garbage collector's part
        (name,) = await running(world)
        await world.merge("pods", name, {"metadata": {"ownerReferences": None}}, "")
        await world.merge("jobs", "work", {"metadata": {"finalizers": None}}, "batch")
    await world.settle()
    assert await world.list("jobs", "batch") == []
    assert await tracked(world) == []
    assert len(await running(world)) == 1


async def test_a_job_of_another_controller_is_left_alone(world: World) -> None:
    await started(world, make(managedBy="example.com/queue"))
    assert await running(world) == []
    assert await status(world) == {}


async def test_pods_that_match_are_adopted_and_counted(world: World) -> None:
    await world.start(job.build)
    labels = {"app": "task"}
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "task:1"}]}
    meta = {"name": "found", "namespace": "default", "labels": labels}
    await world.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod})
    selector = {"matchLabels": labels}
    await world.create(make(completions=2, parallelism=2, labels=labels, manualSelector=True, selector=selector))
    await world.settle()
    assert len(await running(world)) == len(await tracked(world)) == 2
    await end(world, "found")
    assert (await status(world))["succeeded"] == 1


async def test_a_pod_whose_labels_no_longer_match_is_let_go_and_replaced(world: World) -> None:
    await started(world, make())
    (name,) = await running(world)
    await world.merge("pods", name, {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "other"}}}, "")
    await world.settle()
    assert len(await running(world)) == 2
    assert name not in await tracked(world)


# a controller that is interrupted


class Flaky:
    """Loses the answer to one write: the request never arrived, or it did."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.writes = 0
        self.lose = 0
        self.arrives = False

    async def send(self, request: Request) -> Response:
        if request.method != "GET":
            self.writes += 1
            if self.writes == self.lose:
                if self.arrives:
                    await self._inner.send(request)
                raise TransportError("connection lost")
        return await self._inner.send(request)

    def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        return self._inner.watch(request)

    async def close(self) -> None:
        await self._inner.close()


@asynccontextmanager
async def controller(world: World, client: Client | None = None) -> AsyncIterator[None]:
    built = job.build(replace(world.context, client=client or world.client))
    await world.informers.wait_synced()
    task = asyncio.create_task(built.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("mode", ["NonIndexed", "Indexed"])
@pytest.mark.parametrize("arrives", [False, True])
async def test_whichever_write_fails_the_counts_are_right(world: World, mode: str, arrives: bool) -> None:
    await world.start()
    flaky = Flaky(world.client.transport)
    async with controller(world, Client(flaky)):
        for lose in range(1, 60):
            flaky.writes, flaky.lose, flaky.arrives = 0, lose, arrives
            name = f"work-{lose}"
            await world.create(make(name, completions=3, parallelism=2, backoffLimit=6, completionMode=mode))
            await world.settle()
            await world.after(1)
            first, *_ = await running(world)
            await end(world, first, phase="Failed")
            await world.after(60)
            for _ in range(3):
                await end(world, *await running(world))
                await world.after(60)
            found = await status(world, name)
            assert (found.get("succeeded"), found.get("failed")) == (3, 1), f"write {lose} was lost"
            assert found["uncountedTerminatedPods"] == {}
            assert await tracked(world) == []
            if flaky.writes < lose:
                return
    raise AssertionError("a Job never needs so many writes")


async def test_a_controller_that_starts_anew_counts_what_ended_meanwhile_once(world: World) -> None:
    await world.start()
    async with controller(world):
        await world.create(make(completions=4, parallelism=2))
        await world.settle()
        await end(world, *await running(world))
    await end(world, *await running(world))
    assert (await status(world))["succeeded"] == 2
    async with controller(world):
        await world.settle()
        assert (await status(world))["succeeded"] == 4
        assert len(await world.list("pods", "")) == 4


async def test_a_controller_that_starts_anew_still_knows_how_long_to_wait(world: World) -> None:
    await world.start()
    async with controller(world):
        await world.create(make())
        await world.settle()
        await end(world, *await running(world), phase="Failed")
        await world.after(10)
        await end(world, *await running(world), phase="Failed")
    async with controller(world):
        await world.after(19)
        assert await running(world) == []
        await world.after(1)
        assert len(await running(world)) == 1
