"""Jobs and CronJobs in a whole cluster, with pods that end by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object

RUN, EXIT = "seatrial.dev/simulated-run-seconds", "seatrial.dev/simulated-exit-code"
FOREVER = {RUN: "3600"}


def template(notes: dict[str, str] | None = None, **pod: Any) -> Object:
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "example.com/task:1"}], **pod}
    return {"metadata": {"annotations": notes or {}}, "spec": {"terminationGracePeriodSeconds": 0, **spec}}


def job(name: str = "work", notes: dict[str, str] | None = None, pod: Object | None = None, **spec: Any) -> Object:
    meta = {"name": name, "namespace": "default"}
    asked = {"template": template(notes, **(pod or {})), **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": asked}


def cron_job(schedule: str, notes: dict[str, str] | None = None, **spec: Any) -> Object:
    meta = {"name": "report", "namespace": "default"}
    asked = {"schedule": schedule, "jobTemplate": {"spec": {"template": template(notes)}}, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": asked}


async def until_condition(scene: Scene, kind: str, name: str = "work") -> Object:
    async def check() -> Object | None:
        found = await scene.get("jobs", name)
        return found if conditions.is_true(found, kind) else None

    check.__doc__ = f"job {name} is {kind}"
    return await scene.until(check)


async def pods(scene: Scene, name: str = "work") -> list[Object]:
    return await scene.list("pods", selector=f"job-name={name}")


async def reasons(scene: Scene, name: str = "work") -> list[str]:
    events = await scene.list("events")
    return [event["reason"] for event in events if event["involvedObject"]["name"] == name]


async def test_a_job_completes_and_then_nothing_moves(scene: Scene) -> None:
    await scene.create(job(completions=7, parallelism=3))
    done = await until_condition(scene, "Complete")
    assert done["status"]["succeeded"] == 7
    assert done["status"]["completionTime"]
    found = await pods(scene)
    assert len(found) == 7
    assert not any(objects.finalizers(pod) for pod in found)
    before = await scene.quiet()
    assert await scene.quiet() == before
    assert sorted(await reasons(scene)) == ["Completed", *["SuccessfulCreate"] * 7]


async def test_a_large_indexed_job_completes_every_index_once(scene: Scene) -> None:
    await scene.create(job(completions=40, parallelism=20, completionMode="Indexed"))
    done = await until_condition(scene, "Complete")
    assert done["status"]["completedIndexes"] == "0-39"
    assert len(await pods(scene)) == 40


async def test_pods_that_run_a_while_are_seen_active(scene: Scene) -> None:
    await scene.create(job(notes=FOREVER, completions=3, parallelism=2))
    await scene.until(lambda: _running(scene, 2))
    found = await scene.get("jobs", "work")
    assert found is not None
    assert found["status"]["active"] == 2
    assert found["status"]["startTime"]


async def _running(scene: Scene, count: int) -> list[Object] | None:
    found = [pod for pod in await pods(scene) if pod["status"].get("phase") == "Running"]
    return found if len(found) == count else None


async def test_a_job_out_of_retries_fails_and_stops_what_still_runs(scene: Scene) -> None:
    await scene.create(job(notes={EXIT: "3", RUN: "0.2"}, completions=2, parallelism=2, backoffLimit=0))
    done = await until_condition(scene, "Failed")
    assert (conditions.get(done, "Failed") or {})["reason"] == "BackoffLimitExceeded"
    assert done["status"]["failed"] == 2
    assert conditions.is_true(done, "FailureTarget")


async def test_suspend_and_resume(scene: Scene) -> None:
    await scene.create(job(notes=FOREVER, parallelism=2, completions=2))
    await scene.until(lambda: _running(scene, 2))
    await scene.merge("jobs", "work", {"spec": {"suspend": True}})
    suspended = await until_condition(scene, "Suspended")
    assert "startTime" not in suspended["status"]

    async def none_left() -> bool:
        return not await pods(scene)

    await scene.until(none_left)
    await scene.merge("jobs", "work", {"spec": {"suspend": False}})
    await scene.until(lambda: _running(scene, 2))
    resumed = await scene.get("jobs", "work")
    assert resumed is not None
    assert "failed" not in resumed["status"]
    assert (conditions.get(resumed, "Suspended") or {})["reason"] == "JobResumed"


async def test_a_finished_job_goes_with_its_pods_when_its_time_has_come(scene: Scene) -> None:
    await scene.create(job(completions=2, parallelism=2, ttlSecondsAfterFinished=0))
    await scene.gone("jobs", "work")

    async def none_left() -> bool:
        return not await pods(scene)

    await scene.until(none_left)


async def test_deleting_a_job_in_the_foreground_takes_its_running_pods_first(scene: Scene) -> None:
    await scene.create(job(notes=FOREVER, parallelism=3, completions=3))
    await scene.until(lambda: _running(scene, 3))
    await scene.delete("jobs", "work", propagation="Foreground")
    await scene.gone("jobs", "work")
    assert await pods(scene) == []


async def test_orphaned_pods_run_on_without_the_finalizer(scene: Scene) -> None:
    await scene.create(job(notes=FOREVER))
    await scene.until(lambda: _running(scene, 1))
    await scene.delete("jobs", "work", propagation="Orphan")
    await scene.gone("jobs", "work")

    async def let_go() -> Object | None:
        (pod,) = await pods(scene)
        return None if objects.finalizers(pod) or objects.owner_references(pod) else pod

    assert (await scene.until(let_go))["status"]["phase"] == "Running"


async def test_a_cron_job_that_missed_some_times_makes_up_for_the_last(scene: Scene) -> None:
    now = scene.cluster.clock.time()
    await scene.create(cron_job("* * * * *", suspend=True))
    await scene.merge("cronjobs", "report", {"status": {"lastScheduleTime": rfc3339(now - 300)}}, subresource="status")
    await scene.merge("cronjobs", "report", {"spec": {"suspend": False}})

    async def started() -> list[Object]:
        return await scene.list("jobs")

    made = (await scene.until(started))[0]
    scheduled = parse_time(objects.annotations(made)["batch.kubernetes.io/cronjob-scheduled-timestamp"])
    assert objects.name(made) == f"report-{int(scheduled) // 60}"
    assert now - 60 < scheduled <= now + 60
    await until_condition(scene, "Complete", objects.name(made))

    async def told() -> Object | None:
        found = await scene.get("cronjobs", "report")
        return found if found and "lastSuccessfulTime" in found["status"] else None

    status = (await scene.until(told))["status"]
    assert parse_time(status["lastScheduleTime"]) == scheduled
    await scene.delete("cronjobs", "report", propagation="Background")
    await scene.gone("jobs", objects.name(made))
