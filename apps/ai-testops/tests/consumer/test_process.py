"""The process itself: `python -m testops_consumer`, its signals and its leaving of the group."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from backing import ROOT, Broker, eventually
from testops_consumer.settings import GROUP

from .conftest import ask


def members(broker: Broker) -> int:
    """How many consumers the broker takes for members of the group."""

    async def ask_broker() -> int:
        client = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await client.start()
        try:
            [answer] = await client.describe_consumer_groups([GROUP])
            return len(answer.to_object()["groups"][0]["members"])
        finally:
            await client.close()

    return asyncio.run(ask_broker())


def test_sigterm_lets_what_is_under_way_finish_and_leaves_the_group_at_once(world, api, processes, own_broker):
    one = processes(SHUTDOWN_SECONDS="15")
    eventually("one is in the group", one.ready)
    other = processes(SHUTDOWN_SECONDS="15")
    eventually(
        "they share the partitions", lambda: other.ready() and one.log.read_text().count("worker partitions") == 2
    )
    assert members(own_broker) == 2
    run = world.simple_run(*[f"/wait/{n}" for n in range(12)])
    eventually("all are under way", lambda: len(api.seen) == 12)
    one.terminate()
    time.sleep(0.5)  # long enough to be gone, were it not for the cases
    assert one.running()
    api.let_go()
    assert one.wait(10) == 0
    assert members(own_broker) == 1
    eventually("the run is finished", lambda: world.status(run) == "finished")
    assert [r["outcome"] for r in world.results(run)] == ["passed"] * 12
    assert set(api.seen.values()) == {1}


def test_sigterm_leaves_what_does_not_finish_in_time_to_the_next_one(world, api, processes):
    first = processes(SHUTDOWN_SECONDS="1", REQUEST_TIMEOUT_SECONDS="600")
    eventually("it is ready", first.ready)
    run = world.simple_run("/wait")
    eventually("it is under way", lambda: api.seen["/wait"] == 1)
    first.terminate()
    assert first.wait(10) == 0
    assert world.results(run) == []
    api.let_go()
    processes()
    eventually("the next one finishes it", lambda: world.status(run) == "finished", within=30)
    assert [r["outcome"] for r in world.results(run)] == ["passed"]


def test_a_killed_consumer_leaves_its_cases_to_another(world, api, processes):
    first = processes()
    processes()
    eventually("it is ready", first.ready)
    run = world.simple_run(*[f"/wait/{n}" for n in range(12)])
    eventually("cases are under way", lambda: len(api.seen) > 5)
    first.kill()
    api.let_go()
    eventually("the run is finished", lambda: world.status(run) == "finished", within=40)
    assert [r["outcome"] for r in world.results(run)] == ["passed"] * 12


def test_a_consumer_that_waits_for_its_database_leaves_when_told(processes):
    process = processes(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    eventually("it lives", lambda: ask(process.port, "/health")[0] == 200)
    assert ask(process.port, "/ready")[0] == 503
    process.terminate()
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://x"}, "SECRET_KEY"),
        ({"DATABASE_URL": "postgresql://x", "SECRET_KEY": "x", "CONCURRENCY": "many"}, "CONCURRENCY"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(environment, missing):
    process = subprocess.run(
        [sys.executable, "-m", "testops_consumer"],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'consumer'}:{ROOT / 'tests'}", **environment},  # nothing else
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert process.returncode == 2
    assert missing in process.stderr
    assert "Traceback" not in process.stderr
