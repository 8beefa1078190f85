"""Parts of the consumer alone, while what they need is away."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from aiokafka import ConsumerRecord
from psycopg_pool import PoolClosed

from testops_consumer.deadletter import DeadLetters
from testops_consumer.keeper import Keeper
from testops_consumer.store import Store, persistently


async def test_what_was_done_is_kept_when_the_database_is_back():
    answers = iter([psycopg.OperationalError("away\nfor long"), psycopg.InterfaceError("still"), "kept"])

    async def keep() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await persistently("keep it", keep, longest=0.01) == "kept"


async def test_a_closed_store_is_not_waited_for():
    with pytest.raises(PoolClosed):
        await persistently("load", lambda: Store("postgresql://x").ready())


async def test_the_keeper_goes_on_when_no_run_can_be_analysed(caplog):
    stop = asyncio.Event()
    keeping = asyncio.create_task(Keeper(Store("postgresql://x")).run(stop))
    async with asyncio.timeout(10):
        while "no run can be analysed now" not in caplog.text:
            await asyncio.sleep(0.01)
    assert not keeping.done()
    stop.set()
    await keeping


async def test_a_dead_letter_waits_for_the_broker(own_broker, caplog):
    own_broker.stop()
    letters = DeadLetters(own_broker.address)
    message = ConsumerRecord("test_run_queue", 0, 7, 0, 0, b"1", b"junk", None, 0, 0, ())
    putting = asyncio.create_task(letters.put(message, "not JSON"))
    async with asyncio.timeout(30):
        while "cannot be reached" not in caplog.text:
            await asyncio.sleep(0.01)
        own_broker.start()
        await putting
    await letters.close()
