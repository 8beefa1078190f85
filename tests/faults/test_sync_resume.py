"""A sync killed at any call, or between a call and the writing of its state, and resumed from what was written.

The end is that of an undisturbed run, no hook that succeeded runs again, and nothing is pruned that should stay. The
same with a server that is busy, forgetful or slow at random.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenarios.gitops.driving import KINDS, Driver, annotated, config_map, hook

from seatrial.base.clock import SystemClock
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.server import Cluster, Options
from seatrial.gitops.api import names
from seatrial.gitops.live import Kind, LiveState
from seatrial.gitops.sync import hooks, results
from seatrial.kube.client.client import Client
from seatrial.kube.client.transport import Request, Response, TransportError, WatchEvent
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError, too_many_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from seatrial.kube.client.transport import Transport
    from seatrial.kube.model.objects import Object

RUNS = 400
SEEDS = 6
CALLS = 45
"""The undisturbed run makes more: the loop below really went through them."""


class Killed(Exception):
    """The process is gone: nothing of it does anything any more."""


class Faulty:
    """A transport with a fault before or after a call."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.before: Callable[[Request], None] = lambda _: None
        self.after: Callable[[Request], None] = lambda _: None

    async def send(self, request: Request) -> Response:
        self.before(request)
        response = await self._inner.send(request)
        self.after(request)
        return response

    def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        return self._inner.watch(request)

    async def close(self) -> None:
        await self._inner.close()


class Death:
    """At the call with this number, before or after it was carried out."""

    def __init__(self, at: int, after: bool) -> None:
        self._at = at
        self._after = after
        self._count = 0
        self._fatal: Request | None = None
        self._dead = False
        self.happened = False

    def before(self, request: Request) -> None:
        self._count += 1
        if self._count == self._at:
            self._fatal = request
        if self._dead or (self._fatal is request and not self._after):
            self._die()

    def after(self, request: Request) -> None:
        if self._dead or (self._fatal is request and self._after):
            self._die()

    def _die(self) -> None:
        self._dead = self.happened = True
        self._fatal = None
        raise Killed

    def revive(self) -> None:
        """The next process."""
        self._dead = False


class World:
    """One cluster for all runs, each in a namespace and as an application of its own."""

    def __init__(self, cluster: Cluster, tasks: TaskGroup) -> None:
        self.changed = asyncio.Event()
        self.hooks: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.client = cluster.client(names.FIELD_MANAGER)
        self.faulty = Faulty(self.client.transport)
        self.live = LiveState(self.client, SystemClock(), tasks, self._saw)
        self._runs = 0

    def _saw(self, instance: str, obj: Object) -> None:
        self.changed.set()
        stamp = hooks.stamp_of(obj)
        if stamp:
            self.hooks[f"{instance}/{objects.name(obj)}", stamp].add(objects.uid(obj))

    async def driver(self) -> Driver:
        self._runs += 1
        name = f"run-{self._runs}"
        driver = Driver(self.client, self.live, self.changed, name)
        driver.instance = name
        await driver.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        driver.client = Client(self.faulty, field_manager=names.FIELD_MANAGER)
        return driver


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Cluster(Options(tmp_path, in_memory=True)) as cluster, TaskGroup() as tasks:
        made = World(cluster, tasks)
        await made.live.watch(Kind(*kind) for kind in KINDS)
        yield made


def before() -> list[Object]:
    kept = annotated(config_map("kept"), names.SYNC_OPTIONS, "Prune=false")
    return [hook("migrate", "PreSync"), config_map("base", 0), config_map("old-a", 0), config_map("old-b", 1), kept]


def after() -> list[Object]:
    return [
        hook("migrate", "PreSync"),
        hook("check", "PreSync", "HookSucceeded"),
        config_map("base", 0, data={"key": "new"}),
        hook("middle", "Sync", "BeforeHookCreation,HookSucceeded", wave=1),
        config_map("flaky", 1),
        config_map("top", 2),
        hook("finish", "PostSync", "HookSucceeded"),
        hook("alarm", "SyncFail"),
    ]


def refuse_once(state: Callable[[], Object]) -> Callable[[Request], None]:
    """One object cannot be applied in the first try, so that there is a second."""

    def check(request: Request) -> None:
        first = not state().get("retryCount")
        if request.method == "PATCH" and request.path.endswith("/flaky") and first and not request.param("dryRun"):
            raise StatusError(422, "Invalid", "not today")

    return check


async def resumed(world: World, death: Death) -> tuple[Object, Object, set[str]]:
    """The state and what the cluster has, after a sync whose process died once."""
    driver = await world.driver()
    await driver.sync(*before())
    operation = driver.operation(*after(), prune=True, retry={"limit": 1, "backoff": {"duration": "0s", "factor": 1}})
    written = operation.state
    refuse = refuse_once(lambda: written)

    def check(request: Request) -> None:
        death.before(request)
        try:
            refuse(request)
        except StatusError:
            death.after(request)  # the refusal was the answer, and it is lost
            raise

    world.faulty.before, world.faulty.after = check, death.after
    try:
        async with asyncio.timeout(20):
            while True:
                world.changed.clear()
                try:
                    progress = await operation.advance()
                    write = Request("PUT", "status")
                    death.before(write)
                    written = progress.state
                    death.after(write)
                except Killed:
                    death.revive()
                    operation = driver.operation(*after(), state=written)
                    continue
                if progress.done:
                    break
                await driver.rest(progress)
    finally:
        world.faulty.before = world.faulty.after = lambda _: None
    return written, *await content(world, driver)


async def content(world: World, driver: Driver) -> tuple[Object, set[str]]:
    """What is there, without what differs from run to run; and the hooks that ran more than once."""
    resource = await world.live.mapper.for_name("configmaps")
    found = (await world.client.list(resource, driver.namespace)).items
    shown = {
        objects.name(obj): {"data": obj.get("data"), "finalizers": objects.finalizers(obj)}
        for obj in found
        if objects.name(obj) != "kube-root-ca.crt"
    }
    twice = {
        f"{name} of {stamp}"
        for (name, stamp), uids in world.hooks.items()
        if name.startswith(f"{driver.instance}/") and len(uids) > 1
    }
    return shown, twice


def outcome(state: Object) -> Object:
    """How it ended. What was pruned by a process that could not say so any more is gone, and not listed."""
    listed = state["syncResult"]["resources"]
    return {
        "phase": state["phase"],
        "message": state["message"],
        "retries": state.get("retryCount"),
        "resources": {
            (item["name"], item["syncPhase"]): (item.get("status"), item["hookPhase"])
            for item in listed
            if item.get("status") != results.PRUNED
        },
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after_the_call", [False, True])
async def test_a_sync_killed_at_any_call_ends_like_an_undisturbed_one(world: World, after_the_call: bool) -> None:
    state, expected, twice = await resumed(world, Death(-1, after_the_call))
    assert (state["phase"], state["retryCount"], twice) == (results.SUCCEEDED, 1, set())
    assert sorted(expected) == ["alarm", "base", "flaky", "kept", "migrate", "top"]
    for at in range(1, RUNS):
        death = Death(at, after_the_call)
        killed, found, twice = await resumed(world, death)
        if not death.happened:
            assert at > CALLS
            break
        assert twice == set(), f"killed at call {at}"
        assert found == expected, f"killed at call {at}"
        assert outcome(killed) == outcome(state), f"killed at call {at}"
    else:
        pytest.fail(f"no end of calls after {RUNS}")


class Weather:
    """Faults at random; the seed says which."""

    def __init__(self, seed: int) -> None:
        self._pick = random.Random(seed)

    def before(self, request: Request) -> None:
        chance = self._pick.random()
        if chance < 0.08:
            raise too_many_requests("busy", 0)
        if chance < 0.12:
            raise StatusError(503, "ServiceUnavailable", "starting")
        if chance < 0.16 and request.method == "PATCH":
            raise StatusError(409, "Conflict", "the object has been modified")

    def after(self, _request: Request) -> None:
        """It was done, and nobody heard of it."""
        chance = self._pick.random()
        if chance < 0.06:
            raise TransportError("connection lost")
        if chance < 0.1:
            raise TimeoutError


class Hasty(SystemClock):
    """Does not wait."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.001))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_sync_in_bad_weather_ends_like_one_in_good(world: World, seed: int) -> None:
    _, expected, _ = await calm(world, None)
    state, found, twice = await calm(world, Weather(seed))
    assert state["phase"] == results.SUCCEEDED
    assert found == expected
    assert twice == set()


async def calm(world: World, weather: Weather | None) -> tuple[Object, Object, set[str]]:
    driver = await world.driver()
    driver.clock = Hasty()
    await driver.sync(*before())
    forever: dict[str, Any] = {"limit": -1, "backoff": {"duration": "0s", "factor": 1}}
    operation = driver.operation(*after(), prune=True, retry=forever)
    if weather is not None:
        world.faulty.before, world.faulty.after = weather.before, weather.after
    try:
        async with asyncio.timeout(20):
            while True:
                world.changed.clear()
                try:
                    progress = await operation.advance()
                except (StatusError, TransportError, TimeoutError):
                    continue  # the controller would come back after a while
                if progress.done:
                    break
                await driver.rest(progress)
    finally:
        world.faulty.before = world.faulty.after = lambda _: None
    found, twice = await content(world, driver)
    # A try that failed has left its alarm; how many there were is the weather's.
    return progress.state, {name: shown for name, shown in found.items() if name != "alarm"}, twice
