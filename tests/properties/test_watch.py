"""Laws of a watch, over HTTPS and in process: under concurrent writers, through broken connections and expired
revisions, it loses, doubles and reorders nothing, and what a client rebuilds from it is what a list says.

The writers keep a history of what they were told. A watcher with any selector must see of it exactly what its
selector makes of it, from the revision it began at: checked event by event.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seatrial.base.clock import SystemClock
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.apiserver.inprocess import InProcessTransport
from seatrial.cluster.server import ADMIN, ADMIN_GROUP, Cluster, Options
from seatrial.kube.client.connection import Connection
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.client.transport import Request, TransportError
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from seatrial.kube.client.transport import Transport, WatchEvent
    from seatrial.kube.model.objects import Object

Key = tuple[str, str]
Labels = dict[str, str]
Seen = tuple[str, Key, int]
"""Type, key, revision."""

NAMESPACES, NAMES = ("one", "two"), tuple("abcdef")
TEAMS = ("red", "blue", None)
SELECTORS: dict[str, Callable[[Labels], bool]] = {
    "": lambda labels: True,
    "team=red": lambda labels: labels.get("team") == "red",
    "team!=red": lambda labels: labels.get("team") != "red",
    "team in (red, blue)": lambda labels: labels.get("team") in ("red", "blue"),
    "!team": lambda labels: "team" not in labels,
}
OPENINGS = ("list", "list-exact", "initial", "initial-0", "initial-old", "unset", "zero")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A seed gets no simpler by being smaller."""
SECONDS = 20
"""Whoever has not seen the end by then misses something."""
END = "k8s.io/initial-events-end"


class Change(NamedTuple):
    revision: int
    key: Key
    labels: Labels | None
    """None: deleted."""


@dataclass
class History:
    changes: dict[int, Change] = field(default_factory=dict)

    def record(self, obj: Object, *, deleted: bool = False) -> None:
        meta = obj["metadata"]
        revision = int(meta["resourceVersion"])
        labels = None if deleted else dict(meta.get("labels") or {})
        change = Change(revision, (meta["namespace"], meta["name"]), labels)
        assert self.changes.get(revision, change) == change, "one revision, two changes"
        self.changes[revision] = change

    def events(self, namespace: str, selector: str, after: int, until: int) -> list[Seen]:
        """What a watcher of that selector has to see of it."""
        inside: set[Key] = set()
        seen: list[Seen] = []
        for revision in sorted(self.changes):
            change = self.changes[revision]
            if revision > until or (namespace and change.key[0] != namespace):
                continue
            was = change.key in inside
            matches = change.labels is not None and SELECTORS[selector](change.labels)
            (inside.add if matches else inside.discard)(change.key)
            kind = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get((was, matches))
            if kind and revision > after:
                seen.append((kind, change.key, revision))
        return seen


@dataclass
class World:
    """One example: the history so far, and where it ends (None while somebody writes)."""

    cluster: Cluster
    http: Transport
    inside: Transport
    history: History = field(default_factory=History)
    ended: bool = False


def path(namespace: str, name: str = "") -> str:
    base = f"/api/v1/namespaces/{namespace}/podtemplates" if namespace else "/api/v1/podtemplates"
    return f"{base}/{name}" if name else base


async def ask(transport: Transport, method: str, where: str, body: Object | None = None, **query: str) -> Object:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    request = Request(method, where, list(query.items()), {"content-type": kind}, body)
    answer = await transport.send(request)
    if answer.object is not None:
        return answer.object
    import orjson

    parsed: Object = orjson.loads(answer.body)
    return parsed


# Writers.


async def write(world: World, transport: Transport, pick: random.Random, count: int) -> None:
    for number in range(count):
        namespace, name, team = pick.choice(NAMESPACES), pick.choice(NAMES), pick.choice(TEAMS)
        try:
            await change(world, transport, namespace, name, team, f"{number}/{pick.random()}", pick.random())
        except StatusError as error:
            assert error.code in (404, 409), error  # another writer was there first
        for _ in range(pick.randrange(4)):
            await asyncio.sleep(0)


async def change(
    world: World, transport: Transport, namespace: str, name: str, team: str | None, mark: str, chance: float
) -> None:
    if chance < 0.3:
        obj = template(namespace, name, team, mark)
        world.history.record(await ask(transport, "POST", path(namespace), obj))
    elif chance < 0.75:
        patch = {"metadata": {"labels": {"team": team}, "annotations": {"mark": mark}}}
        world.history.record(await ask(transport, "PATCH", path(namespace, name), patch))
    else:
        world.history.record(await ask(transport, "DELETE", path(namespace, name)), deleted=True)


def template(namespace: str, name: str, team: str | None, mark: str = "") -> Object:
    labels = {"team": team} if team else {}
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": {"mark": mark}}
    pod = {"spec": {"containers": [{"name": "main", "image": "app"}]}}
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": pod}


async def close_history(world: World) -> None:
    """One last object for every selector in every namespace, so that each watcher sees that it is over."""
    for namespace in NAMESPACES:
        for team in TEAMS:
            obj = template(namespace, f"end-{team or 'none'}", team)
            world.history.record(await ask(world.inside, "POST", path(namespace), obj))
    world.ended = True


async def clear(world: World) -> None:
    for namespace in NAMESPACES:
        await ask(world.inside, "DELETE", path(namespace))
    assert not world.cluster.store.list("podtemplates")


# Watchers.


class Watcher:
    """Follows one selector as a client would: open, watch, lose the connection, resume; list anew when told 410."""

    def __init__(self, world: World, transport: Transport, pick: random.Random, *, is_patient: bool) -> None:
        self.world = world
        self.transport = transport
        self.pick = pick
        self.is_patient = is_patient
        """Seldom breaks off by itself."""
        self.namespace = pick.choice(("", *NAMESPACES))
        self.selector = pick.choice(list(SELECTORS))
        self.mirror: dict[Key, int] = {}
        self.start = 0
        self.position = 0
        self.end = 0
        """The revision of the last event it has to see, once that is known."""
        self.seen: list[Seen] = []
        self.chains: list[tuple[int, int, list[Seen]]] = []
        """Of each opening: where it began, how far it came, what it saw."""
        self.relists = 0

    async def follow(self) -> None:
        await self.open_until_done()
        while not self.is_done():
            try:
                await self.resume()
            except StatusError as error:
                assert error.code == 410, error
                self.relists += 1
                await self.open_until_done()
        self.check()

    async def open_until_done(self) -> None:
        self.chains.append((self.start, self.position, self.seen))
        self.seen, self.mirror, self.start, self.position = [], {}, 0, 0
        opening = self.pick.choice(OPENINGS)
        if opening.startswith("list"):
            await self.relist(exact=opening.endswith("exact"))
        elif opening.startswith("initial"):
            await self.stream_initial(opening)
        else:
            await self.legacy("" if opening == "unset" else "0")

    async def relist(self, *, exact: bool) -> None:
        answer = await self.get_list()
        if exact:  # the same again, as of that revision
            version = answer["metadata"]["resourceVersion"]
            try:
                again = await self.get_list(resourceVersion=version, resourceVersionMatch="Exact")
            except StatusError as error:
                assert error.code == 410
            else:
                assert again["items"] == answer["items"]
        self.start = self.position = int(answer["metadata"]["resourceVersion"])
        for item in answer["items"]:
            self.mirror[key_of(item)] = revision_of(item)

    async def get_list(self, **query: str) -> Object:
        return await ask(self.transport, "GET", path(self.namespace), None, labelSelector=self.selector, **query)

    async def stream_initial(self, opening: str) -> None:
        """WatchList: the state as ADDED, then a bookmark that says which revision that was."""
        version = {"initial": "", "initial-0": "0"}.get(opening) or str(
            self.pick.randrange(self.world.cluster.store.durable)
        )
        query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": version}
        async for event in self.events(**query, allowWatchBookmarks="true"):
            if event.type == "BOOKMARK":
                assert event.object["metadata"]["annotations"] == {END: "true"}
                self.start = self.position = revision_of(event.object)
                assert self.start >= int(version or 0)
                return
            assert event.type == "ADDED" and key_of(event.object) not in self.mirror
            self.mirror[key_of(event.object)] = revision_of(event.object)
        raise AssertionError("the watch ended before its initial events did")

    async def legacy(self, version: str) -> None:
        """The state as ADDED and no word on its revision: good for looking on, not for resuming."""
        try:
            async with asyncio.timeout(0.03):
                await self.look_on(version)
        except TimeoutError:
            pass
        except StatusError as error:
            assert error.code == 410, error
        self.mirror = {}
        await self.relist(exact=False)

    async def look_on(self, version: str) -> None:
        async for event in self.events(resourceVersion=version):
            key, revision = key_of(event.object), revision_of(event.object)
            assert (event.type == "ADDED") == (key not in self.mirror)
            assert revision > self.mirror.get(key, 0)
            if event.type == "DELETED":
                del self.mirror[key]
            else:
                self.mirror[key] = revision
            if self.pick.random() < 0.1:
                break

    async def resume(self) -> None:
        limit = 10_000 if self.is_patient else self.pick.randrange(1, 30)
        patience = 0.2 if self.is_patient else self.pick.random() * 0.03
        try:
            async with asyncio.timeout(patience):
                async for event in self.events(resourceVersion=str(self.position), allowWatchBookmarks="true"):
                    self.apply(event)
                    limit -= 1
                    if limit <= 0 or self.is_done():
                        return
        except (TimeoutError, TransportError):
            return

    async def events(self, **query: str) -> AsyncIterator[WatchEvent]:
        pairs = [("watch", "1"), ("labelSelector", self.selector), *query.items()]
        stream = self.transport.watch(Request("GET", path(self.namespace), pairs))
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    def apply(self, event: WatchEvent) -> None:
        key, revision = key_of(event.object), revision_of(event.object)
        assert revision >= self.position
        if event.type != "BOOKMARK":
            assert revision > self.position, "an event twice, or out of order"
            assert (event.type == "ADDED") == (key not in self.mirror)
            self.seen.append((event.type, key, revision))
            if event.type == "DELETED":
                del self.mirror[key]
            else:
                self.mirror[key] = revision
        self.position = revision

    def is_done(self) -> bool:
        if not self.world.ended:
            return False
        if not self.end:
            self.end = self.world.history.events(self.namespace, self.selector, 0, 2**62)[-1][2]
        return self.position >= self.end

    def check(self) -> None:
        """From each opening on it saw what there was to see, no more and no less."""
        for start, position, seen in [*self.chains, (self.start, self.position, self.seen)]:
            expected = self.world.history.events(self.namespace, self.selector, start, position)
            assert seen == expected


def key_of(obj: Object) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta.get("name", "")


def revision_of(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


# The cluster all examples run on.


class Stage:
    def __init__(self, runner: asyncio.Runner, cluster: Cluster, http: Transport) -> None:
        self.runner = runner
        self.cluster = cluster
        self.http = http

    def world(self) -> World:
        inside = InProcessTransport(self.cluster.api, User(ADMIN, (ADMIN_GROUP,)))
        return World(self.cluster, self.http, inside)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        options = Options(tmp_path_factory.mktemp("watch"))
        cluster = Cluster(options, tokens={"secret": User(ADMIN, (ADMIN_GROUP,))})
        runner.run(cluster.start())
        http = HttpTransport(
            Connection(server=cluster.url, ca=cluster.authority.ca_pem.decode(), token="secret"), SystemClock()
        )
        stage = Stage(runner, cluster, http)
        runner.run(_namespaces(stage.world()))
        yield stage
        runner.run(http.close())
        runner.run(cluster.stop())


async def _namespaces(world: World) -> None:
    for name in NAMESPACES:
        await ask(world.inside, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})


async def scenario(world: World, seed: int, writers: int, watchers: int, compactions: int) -> list[Watcher]:
    pick = random.Random(seed)
    await write(world, world.inside, random.Random(pick.random()), 10)
    transports = (world.http, world.inside)
    following = [
        Watcher(world, transports[n % 2], random.Random(pick.random()), is_patient=n % 5 == 0 and not compactions)
        for n in range(watchers)
    ]
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        for each in following:
            group.create_task(each.follow())
        writing = [
            group.create_task(write(world, transports[n % 2], random.Random(pick.random()), 40)) for n in range(writers)
        ]
        for _ in range(compactions):
            await asyncio.sleep(pick.random() * 0.03)
            world.cluster.store.compact()
        await asyncio.gather(*writing)
        await close_history(world)
    for each in following:
        answer = await each.get_list()
        assert each.mirror == {key_of(item): revision_of(item) for item in answer["items"]}
    await clear(world)
    return following


@given(seed=st.integers(0, 2**32), writers=st.integers(1, 5), watchers=st.integers(1, 10))
@settings(max_examples=20, deadline=None, phases=PHASES)
def test_a_watch_loses_doubles_and_reorders_nothing(stage: Stage, seed: int, writers: int, watchers: int) -> None:
    stage.runner.run(scenario(stage.world(), seed, writers, watchers, compactions=0))


@given(seed=st.integers(0, 2**32), compactions=st.integers(1, 6))
@settings(max_examples=8, deadline=None, phases=PHASES)
def test_whoever_is_told_410_lists_anew_and_is_right(stage: Stage, seed: int, compactions: int) -> None:
    stage.runner.run(scenario(stage.world(), seed, 4, 8, compactions))


def test_a_revision_that_is_forgotten_is_410(stage: Stage) -> None:
    async def scene(world: World) -> None:
        first = await ask(world.inside, "POST", path("one"), template("one", "a", None))
        await ask(world.inside, "DELETE", path("one", "a"))
        world.cluster.store.compact()
        for transport in (world.http, world.inside):
            query = [("watch", "1"), ("resourceVersion", str(revision_of(first)))]
            with pytest.raises(StatusError) as caught:
                async for _ in transport.watch(Request("GET", path("one"), query)):
                    pass
            assert caught.value.code == 410

    stage.runner.run(scene(stage.world()))


@pytest.mark.parametrize("selector", ["", "team=red"])
def test_a_watch_that_ends_by_its_timeout_goes_on_from_its_last_bookmark(stage: Stage, selector: str) -> None:
    async def scene(world: World) -> None:
        watcher = Watcher(world, world.http, random.Random(1), is_patient=True)
        watcher.namespace, watcher.selector = "one", selector
        await watcher.relist(exact=False)
        cuts = 0

        async def follow() -> None:
            nonlocal cuts
            while not watcher.is_done():
                query = {"resourceVersion": str(watcher.position), "timeoutSeconds": "1"}
                async for event in watcher.events(allowWatchBookmarks="true", **query):
                    watcher.apply(event)
                    last = event.type
                assert last == "BOOKMARK", "the last word of a watch says where to go on"
                cuts += 1

        following = asyncio.create_task(follow())
        pick = random.Random(2)
        while cuts < 2 and not following.done():
            await write(world, world.inside, pick, 5)
            await asyncio.sleep(0.003)
        await close_history(world)
        await following
        watcher.check()
        await clear(world)

    stage.runner.run(scene(stage.world()))
