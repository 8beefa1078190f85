"""The client: each verb becomes the request the API documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.kube.client.client import Client, PatchType
from seatrial.kube.client.transport import Request, Response, WatchEvent
from seatrial.kube.model.resources import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PODS = Resource("", "v1", "Pod", "pods", namespaced=True)
NODES = Resource("", "v1", "Node", "nodes", namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", namespaced=True)
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}}


class Wire:
    """Notes requests and answers each with the same object."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.answer: Any = {"kind": "Pod"}

    async def send(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(200, {}, orjson.dumps(self.answer))

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        self.asked.append(request)
        yield WatchEvent("ADDED", POD)

    async def close(self) -> None: ...

    @property
    def last(self) -> Request:
        return self.asked[-1]

    @property
    def line(self) -> str:
        return f"{self.last.method} {self.last.path}"

    @property
    def query(self) -> dict[str, str]:
        return dict(self.last.query)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def client(wire: Wire) -> Client:
    return Client(wire, field_manager="tester")


async def test_get(client: Client, wire: Wire) -> None:
    assert await client.get(PODS, "a", "shop", subresource="status") == {"kind": "Pod"}
    assert wire.line == "GET /api/v1/namespaces/shop/pods/a/status"
    assert wire.last.body is None


async def test_a_cluster_scoped_resource_has_no_namespace_in_its_path(client: Client, wire: Wire) -> None:
    await client.get(NODES, "n1", "shop")
    assert wire.line == "GET /api/v1/nodes/n1"


async def test_list_of_all_namespaces_with_every_option(client: Client, wire: Wire) -> None:
    wire.answer = {
        "metadata": {"resourceVersion": "7", "continue": "next", "remainingItemCount": 2},
        "items": [{"metadata": {"name": "a"}}],
    }
    found = await client.list(
        DEPLOYMENTS,
        label_selector="a=b",
        field_selector="metadata.name=a",
        limit=1,
        continue_token="here",
        resource_version="5",
        resource_version_match="Exact",
    )
    assert wire.line == "GET /apis/apps/v1/deployments"
    assert wire.query == {
        "labelSelector": "a=b",
        "fieldSelector": "metadata.name=a",
        "limit": "1",
        "continue": "here",
        "resourceVersion": "5",
        "resourceVersionMatch": "Exact",
    }
    assert (found.resource_version, found.continue_token, found.remaining) == ("7", "next", 2)


async def test_listed_items_have_their_kind(client: Client, wire: Wire) -> None:
    wire.answer = {"metadata": {}, "items": [{"metadata": {"name": "a"}}]}
    found = await client.list(DEPLOYMENTS)
    assert (found.items[0]["apiVersion"], found.items[0]["kind"]) == ("apps/v1", "Deployment")


async def test_a_list_without_items_is_empty(client: Client, wire: Wire) -> None:
    wire.answer = {"metadata": {"resourceVersion": "7"}, "items": None}
    assert (await client.list(PODS, "shop")).items == []


async def test_create_in_the_objects_namespace(client: Client, wire: Wire) -> None:
    await client.create(PODS, POD, dry_run=True)
    assert wire.line == "POST /api/v1/namespaces/shop/pods"
    assert wire.query == {"fieldManager": "tester", "dryRun": "All"}
    assert wire.last.body is POD
    assert wire.last.headers["content-type"] == "application/json"


async def test_create_of_a_sub_resource(client: Client, wire: Wire) -> None:
    await client.create(PODS, {"kind": "Eviction"}, "shop", name="a", subresource="eviction")
    assert wire.line == "POST /api/v1/namespaces/shop/pods/a/eviction"


async def test_update(client: Client, wire: Wire) -> None:
    await client.update(PODS, POD, subresource="status")
    assert wire.line == "PUT /api/v1/namespaces/shop/pods/a/status"


@pytest.mark.parametrize(
    ("type_", "patch", "content"),
    [
        (PatchType.JSON, [{"op": "remove", "path": "/spec"}], "application/json-patch+json"),
        (PatchType.MERGE, {"spec": None}, "application/merge-patch+json"),
        (PatchType.STRATEGIC, {"spec": {}}, "application/strategic-merge-patch+json"),
    ],
)
async def test_patch(client: Client, wire: Wire, type_: PatchType, patch: Any, content: str) -> None:
    await client.patch(PODS, "a", patch, "shop", type=type_)
    assert wire.line == "PATCH /api/v1/namespaces/shop/pods/a"
    assert wire.last.headers["content-type"] == content
    body = wire.last.body
    assert (orjson.loads(body) if isinstance(body, bytes) else body) == patch


async def test_apply_is_a_patch_of_its_own_type(client: Client, wire: Wire) -> None:
    await client.apply(PODS, POD, force=True)
    assert wire.line == "PATCH /api/v1/namespaces/shop/pods/a"
    assert wire.last.headers["content-type"] == "application/apply-patch+yaml"
    assert wire.query == {"fieldManager": "tester", "force": "true"}


async def test_delete_options_travel_in_the_body(client: Client, wire: Wire) -> None:
    await client.delete(
        PODS,
        "a",
        "shop",
        propagation="Foreground",
        grace=0,
        uid="u1",
        resource_version="5",
        dry_run=True,
    )
    assert wire.line == "DELETE /api/v1/namespaces/shop/pods/a"
    assert wire.last.body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u1", "resourceVersion": "5"},
        "dryRun": ["All"],
    }


async def test_delete_collection(client: Client, wire: Wire) -> None:
    await client.delete_collection(PODS, "shop", label_selector="a=b")
    assert wire.line == "DELETE /api/v1/namespaces/shop/pods"
    assert wire.query == {"labelSelector": "a=b"}


async def test_watch_from_a_version(client: Client, wire: Wire) -> None:
    watch = client.watch(PODS, "shop", resource_version="5", label_selector="a=b", timeout_seconds=60)
    assert [event.type async for event in watch] == ["ADDED"]
    assert wire.line == "GET /api/v1/namespaces/shop/pods"
    assert wire.query == {
        "watch": "true",
        "resourceVersion": "5",
        "labelSelector": "a=b",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "60",
    }


async def test_watch_with_initial_events(client: Client, wire: Wire) -> None:
    assert [event async for event in client.watch(PODS, send_initial_events=True)]
    assert wire.query["sendInitialEvents"] == "true"
    assert wire.query["resourceVersionMatch"] == "NotOlderThan"


async def test_raw_gives_the_response_as_it_is(client: Client, wire: Wire) -> None:
    response = await client.raw("GET", "/version", query=[("a", "b")], headers={"accept": "*/*"})
    assert (response.status, wire.line, wire.query) == (200, "GET /version", {"a": "b"})
