"""The one statement that makes a queued case a result."""

from __future__ import annotations

import asyncio

import pytest

from testops_consumer.messages import Reminder
from testops_consumer.store import Answer, Store

ANSWER = Answer("passed", "", 200, 1.0, 1, {}, {})


@pytest.fixture
async def store(database):
    opened = Store(database.url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def reminder(world) -> Reminder:
    run = world.simple_run("/status/200")
    return Reminder(run, world.one("SELECT case_id FROM testops_queuedcase")[0])


async def test_of_many_answers_at_once_one_is_kept(store, world, reminder):
    kept = await asyncio.gather(*(store.answer(reminder, ANSWER) for _ in range(30)))
    assert sum(kept) == 1
    assert len(world.results(reminder.run)) == 1
    assert world.one("SELECT count(*) FROM testops_queuedcase") == (0,)


async def test_an_answer_after_the_cancellation_is_not_kept(store, world, reminder):
    world.cancel(reminder.run)
    assert await store.load(reminder) is None
    assert not await store.answer(reminder, ANSWER)
    assert world.results(reminder.run) == []


async def test_an_answer_to_what_was_never_asked_is_not_kept(store, world, reminder):
    assert not await store.answer(Reminder(reminder.run, reminder.case + 1), ANSWER)
    assert world.results(reminder.run) == []


async def test_a_case_is_loaded_with_where_to_send_it(store, world, api, reminder):
    job = await store.load(reminder)
    assert (job.run, job.case, job.base_url, job.path) == (reminder.run, reminder.case, api.url, "/status/200")
    assert await store.load(Reminder(reminder.run, reminder.case + 1)) is None


async def test_the_history_of_another_address_does_not_count_for_flakiness(store, world):
    specification = world.specification()
    case = world.case(specification)
    for n in range(6):
        outcome, address = ("failed", "http://staging") if n % 2 else ("passed", "http://production")
        run = world.run(specification, [], base_url=address)
        world.run_statement("UPDATE testops_run SET status = 'finished', analysed = %s WHERE id = %s", n < 5, run)
        world.run_statement(
            "INSERT INTO testops_result (run_id, case_id, outcome, reason, duration_ms, attempts, request, response, "
            "finished_at) VALUES (%s, %s, %s, '', 1, 1, '{}', '{}', now() - make_interval(hours => %s))",
            run, case, outcome, 10 - n)  # fmt: skip

    seen = []

    async def look(failures, history):
        seen.extend(past.outcome for past in history)
        raise RuntimeError("seen enough")

    with pytest.raises(RuntimeError):
        await store.analyse_one(look)
    assert seen == ["failed"] * 3
    assert world.one("SELECT analysed FROM testops_run WHERE id = %s", run) == (False,)
