"""Discovery: the same resources from a new server and from an old one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.kube.client.client import Client
from seatrial.kube.client.discovery import RESTMapper, UnknownResource
from seatrial.kube.client.transport import Request, Response, WatchEvent
from seatrial.kube.model.status import page_not_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PODS: dict[str, Any] = {"name": "pods", "singularName": "pod", "kind": "Pod", "shortNames": ["po"]}
LOG: dict[str, Any] = {"name": "pods/log", "kind": "Pod", "verbs": ["get"]}
EVICTION: dict[str, Any] = {
    "name": "pods/eviction",
    "kind": "Eviction",
    "group": "policy",
    "version": "v1",
    "verbs": ["create"],
}
SCALING: dict[str, Any] = {"name": "horizontalpodautoscalers", "kind": "HorizontalPodAutoscaler"}

LEGACY: dict[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"resources": [{**PODS, "namespaced": True, "verbs": ["get", "list"]}, LOG, EVICTION]},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "autoscaling",
                "preferredVersion": {"groupVersion": "autoscaling/v2"},
                "versions": [{"groupVersion": "autoscaling/v1"}, {"groupVersion": "autoscaling/v2"}],
            },
            {"name": "away.example.com", "versions": [{"groupVersion": "away.example.com/v1"}]},
        ],
    },
    "/apis/autoscaling/v1": {"resources": [{**SCALING, "namespaced": True, "shortNames": ["hpa"]}]},
    "/apis/autoscaling/v2": {"resources": [{**SCALING, "namespaced": True, "shortNames": ["hpa"]}]},
}


def aggregated(group: str, version: str, *resources: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": group}, "versions": [{"version": version, "resources": list(resources)}]}


WIDGETS: dict[str, Any] = {
    "resource": "widgets",
    "responseKind": {"group": "example.com", "version": "v1", "kind": "Widget"},
    "scope": "Cluster",
    "singularResource": "widget",
    "verbs": ["get"],
    "categories": ["all"],
}
AGGREGATED_PODS: dict[str, Any] = {
    "resource": "pods",
    "responseKind": {"kind": "Pod", "version": "v1"},
    "scope": "Namespaced",
    "singularResource": "pod",
    "verbs": ["get", "list"],
    "shortNames": ["po"],
    "subresources": [
        {"subresource": "log", "responseKind": {"kind": "Pod", "version": "v1"}, "verbs": ["get"]},
        {
            "subresource": "eviction",
            "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"},
            "verbs": ["create"],
        },
    ],
}


class Wire:
    def __init__(self, documents: dict[str, Any]) -> None:
        self.documents = documents
        self.asked: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.asked.append(request)
        await asyncio.sleep(0)
        if request.path not in self.documents:
            raise page_not_found()
        return Response(200, {}, object=self.documents[request.path])

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        raise NotImplementedError
        yield

    async def close(self) -> None: ...


def new_server(*groups: dict[str, Any]) -> Wire:
    return Wire(
        {
            "/api": {"kind": "APIGroupDiscoveryList", "items": [aggregated("", "v1", AGGREGATED_PODS)]},
            "/apis": {"kind": "APIGroupDiscoveryList", "items": list(groups)},
        }
    )


@pytest.mark.parametrize("wire", [new_server(), Wire(LEGACY)], ids=["aggregated", "legacy"])
async def test_a_resource_has_all_its_traits(wire: Wire) -> None:
    pods = await RESTMapper(Client(wire)).for_kind("v1", "Pod")
    assert (pods.plural, pods.singular, pods.short_names) == ("pods", "pod", ("po",))
    assert (pods.namespaced, pods.verbs) == (True, ("get", "list"))
    log, eviction = pods.subresource("log"), pods.subresource("eviction")
    assert log is not None
    assert eviction is not None
    assert (log.group, log.version, log.kind, log.verbs) == ("", "v1", "Pod", ("get",))
    assert (eviction.group, eviction.version, eviction.kind) == ("policy", "v1", "Eviction")


async def test_a_new_server_is_asked_twice() -> None:
    wire = new_server(aggregated("example.com", "v1", WIDGETS))
    widget = await RESTMapper(Client(wire)).for_kind("example.com/v1", "Widget")
    assert (widget.namespaced, widget.categories) == (False, ("all",))
    assert sorted(request.path for request in wire.asked) == ["/api", "/apis"]


async def test_an_old_servers_preferred_version_comes_first() -> None:
    mapper = RESTMapper(Client(Wire(LEGACY)))
    assert (await mapper.for_group_kind("autoscaling", "HorizontalPodAutoscaler")).version == "v2"
    assert (await mapper.for_kind("autoscaling/v1", "HorizontalPodAutoscaler")).version == "v1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pods", "pods"),
        ("pod", "pods"),
        ("Pod", "pods"),
        ("po", "pods"),
        ("pods.v1", "pods"),
        ("hpa", "horizontalpodautoscalers.autoscaling"),
        ("hpa.autoscaling", "horizontalpodautoscalers.autoscaling"),
        ("horizontalpodautoscalers.v1.autoscaling", "horizontalpodautoscalers.autoscaling"),
    ],
)
async def test_names_as_people_type_them(text: str, expected: str) -> None:
    assert str(await RESTMapper(Client(Wire(LEGACY))).for_name(text)) == expected


async def test_what_is_missing_is_asked_for_again() -> None:
    wire = new_server()
    mapper = RESTMapper(Client(wire))
    with pytest.raises(UnknownResource, match=r'no kind "Widget" in example\.com/v1'):
        await mapper.for_kind("example.com/v1", "Widget")
    wire.documents["/apis"]["items"].append(aggregated("example.com", "v1", WIDGETS))
    assert (await mapper.for_name("widget.example.com")).kind == "Widget"
    with pytest.raises(UnknownResource, match='no resource type "gadgets"'):
        await mapper.for_name("gadgets")


async def test_callers_at_the_same_time_share_one_answer() -> None:
    wire = new_server()
    mapper = RESTMapper(Client(wire))
    await asyncio.gather(*(mapper.for_name("pods") for _ in range(5)))
    assert len(wire.asked) == 2
