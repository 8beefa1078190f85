"""Logs and upgrades reach the node that runs the pod: here one of the test's own, on a Unix socket."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.server import ADMIN_GROUP, Cluster, Options
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = "token-of-the-admin"
PODS = resources.for_plural("pods")
POD = "/api/v1/namespaces/default/pods/a"


class FakeNode:
    """Notes what it was asked, and answers as a kubelet would."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.follow = asyncio.Event()
        self.usage: dict[str, object] = {}
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self.log)
        app.router.add_get("/stats/summary", self.summary)
        app.router.add_get("/exec/{namespace}/{pod}/{container}", self.echo)
        self.runner = web.AppRunner(app)

    def _note(self, request: web.Request) -> None:
        self.asked.append((request.path, dict(request.query), {k.lower(): v for k, v in request.headers.items()}))

    async def log(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if request.query.get("previous"):
            return web.Response(status=400, text='previous terminated container "main" in pod "a" not found')
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one\n")
        if request.query.get("follow"):
            await self.follow.wait()
            await answer.write(b"two\n")
        return answer

    async def summary(self, _request: web.Request) -> web.Response:
        return web.json_response(self.usage)

    async def echo(self, request: web.Request) -> web.WebSocketResponse:
        self._note(request)
        socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io"])
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data)
            if message.data == b"end":
                await socket.close()
        return socket


class Served:
    def __init__(self, cluster: Cluster, node: FakeNode, session: aiohttp.ClientSession, path: Path) -> None:
        self.cluster, self.node, self.session, self.path = cluster, node, session, path
        self.client = cluster.client("system:test")

    def url(self, path: str) -> str:
        return f"{self.cluster.url}{path}"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    node, path = FakeNode(), tmp_path / "node.sock"
    await node.runner.setup()
    await web.UnixSite(node.runner, str(path)).start()
    options = Options(tmp_path / "data", in_memory=True, node_socket=path)
    async with Cluster(options, tokens={TOKEN: User("admin", (ADMIN_GROUP,))}) as cluster:
        context = ssl.create_default_context(cafile=str(cluster.authority.ca_file))
        headers = {"authorization": f"Bearer {TOKEN}"}
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            found = Served(cluster, node, session, path)
            await found.client.create(
                resources.for_plural("nodes"), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "real"}}
            )
            await pod(found, "a")
            yield found
    await node.runner.cleanup()


async def pod(served: Served, name: str, *containers: str) -> None:
    spec = {"nodeName": "real", "containers": [{"name": c, "image": "i"} for c in containers or ("main",)]}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
    async with asyncio.timeout(5):
        while True:
            try:
                await served.client.create(PODS, made)
                return
            except StatusError as error:
                if error.code != 403:  # until the namespace has its default account
                    raise
                await asyncio.sleep(0.01)


async def test_a_log_comes_from_the_node_with_the_options_of_the_request(served: Served) -> None:
    async with served.session.get(served.url(POD + "/log?tailLines=3&timestamps=true&pretty=1")) as answer:
        assert (answer.status, await answer.text()) == (200, "one\n")
    path, query, headers = served.node.asked[0]
    assert path == "/containerLogs/default/a/main" and query == {"tailLines": "3", "timestamps": "true"}
    assert "authorization" not in headers


async def test_a_followed_log_arrives_as_it_is_written(served: Served) -> None:
    async with asyncio.timeout(5), served.session.get(served.url(POD + "/log?follow=true")) as answer:
        assert await answer.content.readline() == b"one\n"
        served.node.follow.set()
        assert await answer.content.readline() == b"two\n"


async def test_the_node_s_refusal_is_the_client_s(served: Served) -> None:
    async with served.session.get(served.url(POD + "/log?previous=true")) as answer:
        body = await answer.json()
    assert (answer.status, body["reason"]) == (400, "BadRequest")
    assert body["message"] == 'previous terminated container "main" in pod "a" not found'


async def test_a_pod_of_several_containers_needs_a_name(served: Served) -> None:
    await pod(served, "two", "x", "y")
    async with served.session.get(served.url("/api/v1/namespaces/default/pods/two/log")) as answer:
        message = (await answer.json())["message"]
    assert message == "a container name must be specified for pod two, choose one of: [x y]"
    async with served.session.get(served.url("/api/v1/namespaces/default/pods/two/log?container=z")) as answer:
        assert (await answer.json())["message"] == "container z is not valid for pod two"


@pytest.mark.parametrize("query", ["tailLines=-1", "sinceSeconds=0", "limitBytes=x", "sinceSeconds=1&sinceTime=x"])
async def test_wrong_log_options_are_refused(served: Served, query: str) -> None:
    async with served.session.get(served.url(f"{POD}/log?{query}")) as answer:
        assert answer.status == 422
    assert not served.node.asked


async def test_after_an_upgrade_the_connection_is_the_node_s(served: Served) -> None:
    url = served.url(POD + "/exec?command=cat&stdin=true&stdout=true&container=main")
    async with asyncio.timeout(10), served.session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        assert socket.protocol == "v5.channel.k8s.io"
        large = bytes(range(256)) * 4096
        for data in (b"hello", large):
            await socket.send_bytes(data)
            assert await socket.receive_bytes() == data
        await socket.send_bytes(b"end")
        assert await socket.receive_bytes() == b"end"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    path, query, headers = served.node.asked[0]
    assert path == "/exec/default/a/main" and query == {"command": "cat", "stdin": "true", "stdout": "true"}
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        (POD + "/exec?command=ls&stdout=true", 400, "Upgrade request required"),
        ("/api/v1/namespaces/default/pods/none/exec?command=ls&stdout=true", 404, 'pods "none" not found'),
    ],
)
async def test_what_cannot_be_connected_is_answered_in_http(served: Served, path: str, code: int, reason: str) -> None:
    async with served.session.get(served.url(path)) as answer:
        assert (answer.status, (await answer.json())["message"]) == (code, reason)


async def test_a_node_that_is_away_is_said_to_be(served: Served) -> None:
    await served.node.runner.cleanup()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await served.session.ws_connect(served.url(POD + "/exec?command=ls&stdout=true"))
    assert refused.value.status == 500
    async with served.session.get(served.url(POD + "/log")) as answer:
        assert "error dialing backend" in (await answer.json())["message"]


async def test_who_may_only_read_may_not_connect(served: Served) -> None:
    """Opening a WebSocket is a GET; it runs commands all the same."""
    roles = resources.for_plural("roles", "rbac.authorization.k8s.io")
    bindings = resources.for_plural("rolebindings", "rbac.authorization.k8s.io")
    role = {"metadata": {"name": "r", "namespace": "default"}}
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get"]}]
    group = "rbac.authorization.k8s.io"
    await served.client.create(roles, {"apiVersion": f"{group}/v1", "kind": "Role", **role, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    reference = {"apiGroup": group, "kind": "Role", "name": "r"}
    await served.client.create(
        bindings,
        {"apiVersion": f"{group}/v1", "kind": "RoleBinding", **role, "subjects": [subject], "roleRef": reference},
    )
    accounts = resources.for_plural("serviceaccounts")
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = await served.client.create(accounts, asked, "default", subresource="token", name="default")
    headers = {"authorization": f"Bearer {token['status']['token']}"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await served.session.ws_connect(served.url(POD + "/exec?command=ls&stdout=true"), headers=headers)
    assert refused.value.status == 403
    assert not served.node.asked


def measured(nanocores: int | None) -> dict[str, object]:
    cpu = {"time": "2026-01-02T03:04:05Z", "windowSeconds": 10.0}
    if nanocores is not None:
        cpu["usageNanoCores"] = nanocores
    return {"cpu": cpu, "memory": {"workingSetBytes": 1_500_000}}


async def test_usage_is_asked_of_the_node(served: Served) -> None:
    live = await served.client.get(PODS, "a", "default")
    reference = {"name": "a", "namespace": "default", "uid": live["metadata"]["uid"]}
    stale = {**reference, "uid": "another"}
    new = {"podRef": reference, "containers": [{"name": "main", **measured(None)}]}
    served.node.usage = {
        "node": {"nodeName": "real", **measured(700_000_000)},
        "pods": [
            {"podRef": reference, "containers": [{"name": "main", **measured(12_345_678)}]},
            {"podRef": stale, "containers": [{"name": "main", **measured(1)}]},
        ],
    }
    root = "/apis/metrics.k8s.io/v1beta1"
    async with served.session.get(served.url(f"{root}/namespaces/default/pods")) as answer:
        found = await answer.json()
    assert found["kind"] == "PodMetricsList" and len(found["items"]) == 1
    assert found["items"][0]["containers"] == [{"name": "main", "usage": {"cpu": "12345678n", "memory": "1465Ki"}}]
    assert found["items"][0]["window"] == "10.000s"
    async with served.session.get(served.url(f"{root}/nodes/real")) as answer:
        assert (await answer.json())["usage"]["cpu"] == "700000000n"
    served.node.usage["pods"] = [new]
    async with served.session.get(served.url(f"{root}/namespaces/default/pods/a")) as answer:
        assert answer.status == 404
    async with served.session.get(served.url(root)) as answer:
        assert [(r["name"], r["verbs"]) for r in (await answer.json())["resources"]] == [
            ("nodes", ["get", "list"]),
            ("pods", ["get", "list"]),
        ]
