"""The work queue: one key, one worker, no lost change."""

from __future__ import annotations

import asyncio

import pytest

from seatrial.base.clock import ManualClock
from seatrial.kube.control.workqueue import WorkQueue


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> WorkQueue[str]:
    return WorkQueue(clock)


async def test_keys_come_out_once_and_in_order(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert (await queue.get(), await queue.get(), len(queue)) == ("a", "b", 0)


async def test_a_key_being_worked_on_waits_for_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert len(queue) == 1


async def test_done_without_a_new_change_leaves_the_queue_empty(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.done("a")
    assert len(queue) == 0


async def test_get_waits_for_a_key(queue: WorkQueue[str]) -> None:
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not getting.done()
    queue.add("a")
    assert await getting == "a"


async def test_a_delayed_key_comes_when_it_is_due(queue: WorkQueue[str], clock: ManualClock) -> None:
    queue.add_after("a", 10)
    await clock.advance(9.9)
    assert len(queue) == 0
    await clock.advance(0.1)
    assert len(queue) == 1


async def test_the_earliest_delay_of_a_key_counts_once(queue: WorkQueue[str], clock: ManualClock) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    await clock.advance(5)
    assert await queue.get() == "a"
    queue.done("a")
    await clock.advance(60)
    assert len(queue) == 0


async def test_delays_of_different_keys_do_not_hold_each_other(queue: WorkQueue[str], clock: ManualClock) -> None:
    for key, seconds in (("c", 3), ("a", 1), ("b", 2)):
        queue.add_after(key, seconds)
    await clock.advance(3)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]


async def test_retries_wait_twice_as_long_each_time_up_to_a_minute(queue: WorkQueue[str], clock: ManualClock) -> None:
    waits = []
    for _ in range(20):
        before = clock.monotonic()
        queue.add_rate_limited("a")
        while not len(queue):
            await clock.advance(0.005)
            if clock.monotonic() - before > 0.1:
                await clock.advance(60)
        waits.append(clock.monotonic() - before)
        queue.done(await queue.get())
    assert waits[:3] == pytest.approx([0.005, 0.010, 0.020], abs=1e-3)
    assert max(waits) < 61


async def test_forget_starts_over(queue: WorkQueue[str], clock: ManualClock) -> None:
    for _ in range(10):
        queue.add_rate_limited("a")
    queue.forget("a")
    assert queue.failures("a") == 0


async def test_close_leaves_no_timer(queue: WorkQueue[str], clock: ManualClock) -> None:
    queue.add_after("a", 10)
    queue.close()
    await clock.advance(0)
    assert [task.get_name() for task in asyncio.all_tasks()] == [asyncio.current_task().get_name()]  # type: ignore[union-attr]
