"""Another cluster that hangs or goes away: its Applications say so, the others lose nothing, and all is well later."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.scenarios.engine.conftest import LIVE, Stage, config_map

from seatrial.cluster.apiserver.auth.user import loopback
from seatrial.cluster.server import Cluster, Options
from seatrial.gitops import reach
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from seatrial.kube.model.objects import Object

pytestmark = pytest.mark.skipif(bool(LIVE), reason="brings a second cluster along")

TOKEN = "far-away-token"


class Road:
    """A port that leads to a cluster, or takes connections and says nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self.leads = False

    async def open(self) -> int:
        made = socket.create_server(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._accept, sock=made)
        return int(made.getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        if not self.leads:
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(_carry(source, sink))
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)

    def switch(self, leads: bool) -> None:
        """Connections there are end: new ones go the new way."""
        self.leads = leads
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def close(self) -> None:
        self.switch(False)
        self._server.close()
        await asyncio.gather(*self._talks, return_exceptions=True)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
    sink.transport.abort()


class Far:
    def __init__(self, cluster: Cluster, road: Road, port: int) -> None:
        self._client = cluster.client("tester")
        self.authority = cluster.authority.ca_pem
        self.road, self.port = road, port

    async def has(self, name: str, data: dict[str, str]) -> bool:
        """Whether a ConfigMap has these data."""
        resource = await RESTMapper(self._client).for_name("configmaps")
        try:
            return bool((await self._client.get(resource, name, "default")).get("data") == data)
        except StatusError:
            return False


@pytest.fixture
async def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Far]:
    monkeypatch.setattr(reach, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(reach, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(reach, "AWAY_SECONDS", 0.5)
    async with Cluster(Options(tmp_path / "far", in_memory=True), tokens={TOKEN: loopback("far")}) as cluster:
        road = Road(cluster.port)
        port = await road.open()
        try:
            yield Far(cluster, road, port)
        finally:
            await road.close()


async def begin(stage: Stage, far: Far) -> None:
    """Three Applications of the far cluster, and one at home."""
    await stage.start()
    tls = {"caData": base64.b64encode(far.authority).decode()}
    config = json.dumps({"bearerToken": TOKEN, "tlsClientConfig": tls})
    await stage.secret("far-cluster", "cluster", name="far", server=f"https://127.0.0.1:{far.port}", config=config)
    stage.repository.commit({f"{name}/map.yaml": config_map(name, k="v") for name in ("a", "b", "c", "home")})
    for name in ("a", "b", "c"):
        await stage.create(at_the_far_cluster(stage, name))
    await stage.create(stage.application("home", path="home"))


def at_the_far_cluster(stage: Stage, name: str) -> Object:
    app = stage.application(name, path=name)
    app["spec"]["destination"] = {"name": "far", "namespace": "default"}
    return app


async def test_a_cluster_that_says_nothing_is_named_and_the_others_go_on(stage: Stage, far: Far) -> None:
    await begin(stage, far)
    await stage.until_app("home", sync="Synced")
    message = await stage.until_condition("ComparisonError", name="a")
    assert f"cluster far (https://127.0.0.1:{far.port}, Secret far-cluster)" in message
    assert (await stage.status("a"))["sync"]["status"] == "Unknown"
    far.road.switch(True)
    for name in ("a", "b", "c"):
        await stage.until_app(name, sync="Synced")
        assert await far.has(name, {"k": "v"})
    assert stage.is_running


async def test_a_cluster_that_goes_away_later_keeps_nobody_waiting(stage: Stage, far: Far) -> None:
    far.road.leads = True
    await begin(stage, far)
    for name in ("a", "b", "c", "home"):
        await stage.until_app(name, sync="Synced")
    far.road.switch(False)
    stage.repository.commit({f"{name}/map.yaml": config_map(name, k="w") for name in ("a", "b", "c", "home")})
    for name in ("a", "b", "c", "home"):
        await stage.refresh(name=name)
    await stage.until_data("home", {"k": "w"})
    await stage.annotate({"example.com/seen": "1"}, "a")
    far.road.switch(True)
    for name in ("a", "b", "c"):
        await stage.until(partial(far.has, name, {"k": "w"}), f"{name} is brought up to date", 60)
