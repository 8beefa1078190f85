"""The relay: what is sent when, and what becomes of cases nobody answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import replace

from aiokafka import AIOKafkaConsumer

from testops_consumer import metrics
from testops_consumer.relay import Relay
from testops_consumer.settings import DEAD_LETTERS, QUEUE

from .conftest import until


@contextlib.asynccontextmanager
async def relaying(settings, **changes):
    """A relay without anybody who answers."""
    stop = asyncio.Event()
    task = asyncio.create_task(Relay(replace(settings, **changes)).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


async def messages(settings, topic: str, count: int) -> list:
    reader = AIOKafkaConsumer(topic, bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    async with reader, asyncio.timeout(20):
        return [await reader.getone() for _ in range(count)]


async def test_every_case_is_sent_with_its_run_as_the_key_over_all_partitions(world, settings):
    run = world.simple_run(*["/status/200"] * 24)
    async with relaying(settings, resend_after=600):
        await until("all are sent", lambda: world.one("SELECT min(times_sent) FROM testops_queuedcase") == (1,))
        sent = await messages(settings, QUEUE, 24)
    assert {message.key for message in sent} == {str(run).encode()}
    cases = {json.loads(message.value)["case"] for message in sent}
    assert cases == {row[0] for row in world.rows("SELECT case_id FROM testops_queuedcase")}
    assert set(Counter(message.partition for message in sent).values()) == {4}


async def test_what_nobody_answers_is_sent_again(world, settings):
    world.simple_run("/status/200")
    async with relaying(settings, resend_after=0.2):
        sent = await messages(settings, QUEUE, 3)
    assert len({message.value for message in sent}) == 1


async def test_no_more_than_the_limit_is_outstanding(world, settings):
    world.simple_run(*["/status/200"] * 30)
    outstanding = "SELECT count(*) FROM testops_queuedcase WHERE sent_at IS NOT NULL"
    async with relaying(settings, outstanding=10, resend_after=600):
        await until("ten are sent", lambda: world.one(outstanding) == (10,))
        world.run_statement("DELETE FROM testops_queuedcase WHERE id IN "
                            "(SELECT id FROM testops_queuedcase WHERE sent_at IS NOT NULL LIMIT 4)")  # fmt: skip
        await until("four more are sent", lambda: world.one(outstanding) == (10,))
        assert world.one("SELECT count(*) FROM testops_queuedcase WHERE sent_at IS NULL") == (16,)


async def test_a_case_nobody_ever_answers_is_given_up_with_a_result_and_a_dead_letter(world, settings):
    run = world.simple_run("/status/200")
    async with relaying(settings, resend_after=0.05, deliveries=3):
        await until("the run is finished", lambda: world.status(run) == "finished")
        [letter] = await messages(settings, DEAD_LETTERS, 1)
    [result] = world.results(run)
    assert result["outcome"] == "error"
    assert "in 3 deliveries" in result["reason"]
    assert dict(letter.headers)["reason"].decode() == result["reason"]


async def test_the_queue_of_a_cancelled_run_is_emptied_and_nothing_of_it_sent(world, settings):
    run = world.simple_run("/status/200")
    world.cancel(run)
    async with relaying(settings):
        await until("its queue is empty", lambda: world.one("SELECT count(*) FROM testops_queuedcase") == (0,))
    assert world.status(run) == "cancelled"
    assert world.results(run) == []


async def test_one_relays_and_another_takes_over_when_it_leaves(world, settings):
    def leaders() -> list[tuple]:
        return world.rows("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = "
                          "(SELECT oid FROM pg_database WHERE datname = current_database())")  # fmt: skip

    async with relaying(settings) as first:
        await until("one leads", leaders)
        before = leaders()
        async with relaying(settings):
            first.set()
            await until("the other leads", lambda: leaders() not in ([], before))
            assert len(before) == len(leaders()) == 1
            run = world.simple_run()
            await until("it finishes runs", lambda: world.status(run) == "finished")


async def test_a_relay_whose_broker_is_away_marks_nothing_as_sent(world, settings, own_broker):
    async with relaying(settings):
        await until("it leads", lambda: metrics.LEADER._value.get() == 1)
        first = world.simple_run()
        await until("it works", lambda: world.status(first) == "finished")
        own_broker.stop()
        run = world.simple_run("/status/200")
        await until("it tries again", lambda: metrics.LEADER._value.get() == 0, within=30)
        assert world.one("SELECT times_sent, sent_at FROM testops_queuedcase") == (0, None)
        own_broker.start()
        await until("it is sent", lambda: world.one("SELECT times_sent FROM testops_queuedcase") == (1,), within=40)
    assert world.status(run) == "running"
