"""CronJobs against the real API; time moves only when a test moves it, and Jobs end by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.controllers import cronjob
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

MINUTE = 60.0


def make(schedule: str = "*/10 * * * *", **spec: Any) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "task:1"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "report", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec},
    }


async def started(world: World, obj: Object) -> None:
    """The world's clock starts at 22:13:20."""
    await world.start(cronjob.build)
    await world.create(obj)
    await world.settle()


async def status(world: World) -> Object:
    found: Object = (await world.get("cronjobs", "report", "batch")).get("status") or {}
    return found


async def jobs(world: World) -> list[str]:
    return [objects.name(found) for found in await world.list("jobs", "batch")]


async def end(world: World, name: str, kind: str = "Complete") -> None:
    now = rfc3339(world.clock.time())
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": now}]
    change: Object = {"conditions": conditions, "startTime": now}
    if kind == "Complete":
        change["completionTime"] = now
    await world.merge("jobs", name, {"status": change}, "batch", "status")
    await world.settle()


def clock(world: World) -> str:
    return rfc3339(world.clock.time())[11:19]


async def test_a_job_starts_at_its_set_time_and_not_before(world: World) -> None:
    await started(world, make())
    await world.after(400)
    assert clock(world) == "22:20:00"
    assert await jobs(world) == []
    await world.after(0.2)
    (name,) = await jobs(world)
    job = await world.get("jobs", name, "batch")
    scheduled = parse_time("2023-11-14T22:20:00Z")
    assert name == f"report-{int(scheduled) // 60}"
    found = await status(world)
    assert found["lastScheduleTime"] == "2023-11-14T22:20:00Z"
    assert [reference["uid"] for reference in found["active"]] == [objects.uid(job)]
    assert found["active"][0]["kind"] == "Job"
    assert world.notes.seen == [("report", "SuccessfulCreate", f"Created job {name}")]


async def test_once_started_nothing_is_written_until_the_next_time(world: World) -> None:
    await started(world, make())
    await world.after(7 * MINUTE)
    before = world.store.revision
    await world.after(9 * MINUTE)
    assert world.store.revision == before
    await world.after(MINUTE)
    assert len(await jobs(world)) == 2


async def test_a_finished_job_leaves_the_list(world: World) -> None:
    await started(world, make())
    await world.after(7 * MINUTE)
    (name,) = await jobs(world)
    await end(world, name)
    assert await status(world) == {
        "lastScheduleTime": "2023-11-14T22:20:00Z",
        "lastSuccessfulTime": rfc3339(world.clock.time()),
    }
    assert world.notes.seen[-1] == ("report", "SawCompletedJob", f"Saw completed job: {name}, condition: Complete")


async def test_allow_lets_jobs_overlap(world: World) -> None:
    await started(world, make())
    await world.after(17 * MINUTE)
    assert len((await status(world))["active"]) == 2


async def test_forbid_waits_for_the_running_job_then_makes_up_for_it(world: World) -> None:
    await started(world, make(concurrencyPolicy="Forbid"))
    await world.after(17 * MINUTE)
    (first,) = await jobs(world)
    assert world.notes.reasons() == ["SuccessfulCreate", "JobAlreadyActive"]
    await end(world, first)
    assert len(await jobs(world)) == 2
    assert (await status(world))["lastScheduleTime"] == "2023-11-14T22:30:00Z"


async def test_replace_deletes_the_running_job(world: World) -> None:
    await started(world, make(concurrencyPolicy="Replace"))
    await world.after(7 * MINUTE)
    (first,) = await jobs(world)
    await world.after(10 * MINUTE)
    (second,) = await jobs(world)
    assert first != second
    assert [reference["name"] for reference in (await status(world))["active"]] == [second]
    assert world.notes.reasons() == ["SuccessfulCreate", "SuccessfulDelete", "SuccessfulCreate"]


async def test_a_suspended_cron_job_starts_nothing_and_makes_up_for_it_later(world: World) -> None:
    await started(world, make(suspend=True))
    await world.after(27 * MINUTE)
    assert await jobs(world) == []
    await world.merge("cronjobs", "report", {"spec": {"suspend": False}}, "batch")
    await world.settle()
    assert len(await jobs(world)) == 1
    assert (await status(world))["lastScheduleTime"] == "2023-11-14T22:40:00Z"


async def test_a_start_beyond_the_deadline_is_told_once(world: World) -> None:
    await started(world, make(suspend=True, startingDeadlineSeconds=30))
    await world.after(8 * MINUTE)
    await world.merge("cronjobs", "report", {"spec": {"suspend": False}}, "batch")
    await world.settle()
    await world.merge("cronjobs", "report", {"metadata": {"labels": {"a": "b"}}}, "batch")
    await world.settle()
    assert await jobs(world) == []
    assert world.notes.reasons() == ["MissSchedule"]
    assert "22:20:00" in world.notes.seen[0][2]


async def test_a_hundred_missed_starts_are_told(world: World) -> None:
    await started(world, make("* * * * *", suspend=True))
    await world.after(120 * MINUTE)
    await world.merge("cronjobs", "report", {"spec": {"suspend": False}}, "batch")
    await world.settle()
    assert world.notes.reasons() == ["TooManyMissedTimes", "SuccessfulCreate"]
    assert len(await jobs(world)) == 1


async def test_a_changed_schedule_starts_nothing_for_times_before_the_change(world: World) -> None:
    await started(world, make("0 * * * *"))
    await world.after(5 * MINUTE)
    await world.merge("cronjobs", "report", {"spec": {"schedule": "15,25 * * * *"}}, "batch")
    await world.settle()
    assert await jobs(world) == []
    await world.after(7 * MINUTE)
    assert (await status(world))["lastScheduleTime"] == "2023-11-14T22:25:00Z"


async def test_history_is_kept_short(world: World) -> None:
    await started(world, make("* * * * *"))
    for number in range(6):
        await world.after(MINUTE)
        last = (await status(world))["active"][-1]["name"]
        await end(world, last, "Failed" if number % 3 == 2 else "Complete")
    kept = [await world.get("jobs", name, "batch") for name in await jobs(world)]
    ends = [found["status"]["conditions"][0]["type"] for found in kept]
    assert ends == ["Complete", "Complete", "Complete", "Failed"]
    assert world.notes.reasons().count("SuccessfulDelete") == 2


async def test_a_job_made_by_hand_is_told_once_and_blocks_nothing(world: World) -> None:
    await started(world, make(concurrencyPolicy="Forbid"))
    owner = await world.get("cronjobs", "report", "batch")
    manual = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "by-hand",
            "namespace": "default",
            "ownerReferences": [objects.controller_reference(owner)],
        },
        "spec": owner["spec"]["jobTemplate"]["spec"],
    }
    await world.create(manual)
    await world.after(7 * MINUTE)
    assert len(await jobs(world)) == 2
    assert world.notes.reasons() == ["UnexpectedJob", "SuccessfulCreate"]


async def test_a_job_that_vanishes_is_no_longer_listed(world: World) -> None:
    await started(world, make())
    await world.after(7 * MINUTE)
    (name,) = await jobs(world)
    await world.delete("jobs", name, "batch", propagation="Background")
    await world.settle()
    assert "active" not in await status(world)
    assert world.notes.seen[-1] == ("report", "MissingJob", f"Active job went missing: {name}")
    assert await jobs(world) == []


async def test_a_controller_that_died_after_creating_the_job_makes_no_second_one(world: World) -> None:
    await started(world, make())
    await world.after(7 * MINUTE)
    (name,) = await jobs(world)
    await world.merge("cronjobs", "report", {"status": None}, "batch", "status")
    await world.settle()
    assert await jobs(world) == [name]
    found = await status(world)
    assert found["lastScheduleTime"] == "2023-11-14T22:20:00Z"
    assert [reference["name"] for reference in found["active"]] == [name]


async def test_a_name_that_is_taken_is_told_and_left_alone(world: World) -> None:
    await started(world, make())
    name = f"report-{int(parse_time('2023-11-14T22:20:00Z')) // 60}"
    template = make()["spec"]["jobTemplate"]["spec"]
    meta = {"name": name, "namespace": "default"}
    await world.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": template})
    await world.after(7 * MINUTE)
    assert world.notes.reasons() == ["FailedCreate"]
    assert await status(world) == {}
    await world.after(10 * MINUTE)
    assert len(await jobs(world)) == 2
