"""Controllers: an outcome or an exception decides when a key comes again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from seatrial.base.errors import Retryable, Terminal
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, owner_keys
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from tests.unit.kube.control.conftest import World

A: Key = ("default", "a")


class Script:
    """Answers passes with the next of its steps, then with DONE."""

    def __init__(self, *steps: Outcome | Exception) -> None:
        self.steps = list(steps)
        self.keys: list[Key] = []

    async def __call__(self, key: Key) -> Outcome:
        self.keys.append(key)
        step = self.steps.pop(0) if self.steps else DONE
        if isinstance(step, Exception):
            raise step
        return step


def started(world: World, script: Script, workers: int = 2) -> Controller:
    controller = Controller("test", script, clock=world.clock, workers=workers)
    world.run(controller.run())
    return controller


async def test_an_enqueued_key_is_reconciled_once(world: World) -> None:
    script = Script()
    controller = started(world, script)
    controller.enqueue(A)
    await world.clock.advance(100)
    assert script.keys == [A]


async def test_enqueue_after_waits(world: World) -> None:
    script = Script()
    controller = started(world, script)
    controller.enqueue(A, after=5)
    await world.clock.advance(4)
    assert script.keys == []
    await world.clock.advance(1)
    assert script.keys == [A]


async def test_requeue_after_comes_again(world: World) -> None:
    script = Script(Outcome(requeue_after=30))
    started(world, script).enqueue(A)
    await world.clock.advance(29)
    assert len(script.keys) == 1
    await world.clock.advance(1)
    assert len(script.keys) == 2


@pytest.mark.parametrize(
    "error", [Retryable("later"), StatusError(409, "Conflict", "modified"), StatusError(503, "X", "away")]
)
async def test_what_passes_by_itself_is_retried_quietly(
    world: World, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(error, error)
    controller = started(world, script)
    controller.enqueue(A)
    await world.clock.advance(1)
    assert len(script.keys) == 3
    assert (controller.retries, controller.errors) == (2, 0)
    assert caplog.text == ""


@pytest.mark.parametrize("error", [ValueError("bug"), StatusError(403, "Forbidden", "no")])
async def test_what_should_not_happen_is_logged_and_retried(
    world: World, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(error)
    controller = started(world, script)
    controller.enqueue(A)
    await world.clock.advance(1)
    assert len(script.keys) == 2
    assert controller.errors == 1
    assert [record.levelno >= logging.WARNING for record in caplog.records] == [True]


async def test_what_cannot_succeed_is_logged_and_left(world: World, caplog: pytest.LogCaptureFixture) -> None:
    script = Script(Terminal("broken spec"))
    controller = started(world, script)
    controller.enqueue(A)
    await world.clock.advance(1000)
    assert len(script.keys) == 1
    assert "failed for good" in caplog.text


async def test_one_key_is_never_with_two_workers(world: World) -> None:
    running = 0
    most = 0
    gate = asyncio.Event()

    async def reconcile(key: Key) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return DONE

    controller = Controller("test", reconcile, clock=world.clock, workers=4)
    world.run(controller.run())
    for _ in range(3):
        controller.enqueue(A)
        await world.settle()
    gate.set()
    await world.settle()
    assert (most, controller.passes) == (1, 2)


async def test_nothing_runs_before_the_informers_are_synced(world: World) -> None:
    informer = world.informer()
    script = Script()
    controller = Controller("test", script, clock=world.clock)
    controller.watches(informer)
    world.run(controller.run())
    controller.enqueue(A)
    await world.settle()
    assert script.keys == []
    world.run(informer.run())
    await informer.wait_synced()
    await world.settle()
    assert script.keys == [A]


async def test_a_watched_object_brings_its_own_key(world: World) -> None:
    informer = await world.running()
    script = Script()
    controller = Controller("test", script, clock=world.clock)
    controller.watches(informer)
    world.run(controller.run())
    await world.api.put("a")
    await world.settle()
    await world.api.delete("a")
    await world.settle()
    assert script.keys == [A, A]


async def test_mapped_keys_come_from_the_old_and_the_new_state(world: World) -> None:
    informer = await world.running()
    script = Script()
    controller = Controller("test", script, clock=world.clock)
    controller.watches(informer, lambda pod: [("default", pod["spec"]["nodeName"])])
    world.run(controller.run())
    await world.api.put("a", spec={"nodeName": "n1"})
    await world.settle()
    script.keys.clear()
    await world.api.put("a", spec={"nodeName": "n2"})
    await world.settle()
    assert script.keys == [("default", "n1"), ("default", "n2")]


def test_owner_keys_name_the_controller_of_that_kind() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "controller": True}
    pod = {"metadata": {"namespace": "default", "ownerReferences": [owner]}}
    assert list(owner_keys("ReplicaSet", "apps")(pod)) == [("default", "web")]
    assert list(owner_keys("ReplicaSet", "other")(pod)) == []
    assert list(owner_keys("Job", "apps")(pod)) == []
    assert list(owner_keys("ReplicaSet", "apps")({"metadata": {}})) == []
