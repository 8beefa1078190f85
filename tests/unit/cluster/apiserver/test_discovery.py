"""Discovery documents say the same in both forms, and say it as clients expect."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from seatrial.cluster.apiserver import discovery
from seatrial.kube.model import resources
from seatrial.kube.model.resources import Resource, SubResource

BOATS = [
    Resource(
        "sea.test",
        version,
        "Boat",
        "boats",
        True,
        singular="boat",
        short_names=("bo",),
        subresources=(SubResource("scale", "autoscaling", "v1", "Scale", ("get", "patch", "update")),),
    )
    for version in ("v1beta1", "v1")
]
SERVED = [*resources.builtin(), *BOATS]


def entries(document: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    assert document is not None
    return {entry["name"]: entry for entry in document["resources"]}


def test_the_root_lists_every_path_to_go_on_from() -> None:
    paths = discovery.index(SERVED)["paths"]
    assert {"/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/sea.test/v1", "/openapi/v3", "/version"} <= set(paths)
    assert paths == sorted(set(paths))


def test_api_lists_the_core_versions_only() -> None:
    assert discovery.api_versions(SERVED)["versions"] == ["v1"]


def test_apis_lists_each_group_once_with_its_preferred_version() -> None:
    groups = {found["name"]: found for found in discovery.group_list(SERVED)["groups"]}

    assert "" not in groups
    assert groups["autoscaling"]["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    assert [v["version"] for v in groups["sea.test"]["versions"]] == ["v1", "v1beta1"]
    assert len(groups) == len(discovery.group_list(SERVED)["groups"])


def test_a_group_is_found_by_name() -> None:
    found = discovery.group("apps", SERVED)

    assert found is not None
    assert (found["kind"], found["apiVersion"], found["name"]) == ("APIGroup", "v1", "apps")
    assert discovery.group("elephants", SERVED) is None


def test_a_resource_list_describes_resources_and_subresources() -> None:
    found = discovery.resource_list("apps", "v1", SERVED)

    assert found is not None
    assert found["groupVersion"] == "apps/v1"
    assert entries(found)["deployments"] == {
        "name": "deployments",
        "singularName": "deployment",
        "namespaced": True,
        "kind": "Deployment",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["deploy"],
        "categories": ["all"],
        "storageVersionHash": "8aSe+NMegvE=",
    }
    assert "group" not in entries(found)["deployments/status"]
    assert entries(found)["deployments/scale"]["group"] == "autoscaling"


def test_eviction_names_its_own_group_and_version() -> None:
    found = entries(discovery.resource_list("", "v1", SERVED))["pods/eviction"]

    assert (found["group"], found["version"], found["kind"]) == ("policy", "v1", "Eviction")


def test_what_is_not_stored_has_no_storage_hash() -> None:
    assert "storageVersionHash" not in entries(discovery.resource_list("", "v1", SERVED))["bindings"]


def test_every_version_of_a_kind_has_the_storage_hash_of_the_preferred_one() -> None:
    first, second = (
        entries(discovery.resource_list("sea.test", version, SERVED))["boats"]["storageVersionHash"]
        for version in ("v1", "v1beta1")
    )

    assert first == second


def test_aggregated_discovery_holds_every_resource_and_subresource() -> None:
    found = {
        (item["metadata"].get("name", ""), version["version"], resource["resource"], *sub)
        for document in (_aggregated("/api"), _aggregated("/apis"))
        for item in document["items"]
        for version in item["versions"]
        for resource in version["resources"]
        for sub in [(), *((s["subresource"],) for s in resource.get("subresources", []))]
    }

    assert found == {
        (r.group, r.version, r.plural, *sub) for r in SERVED for sub in [(), *((s.name,) for s in r.subresources)]
    }


def test_an_aggregated_resource_says_scope_kind_and_names() -> None:
    [version] = [
        version
        for item in _aggregated("/apis")["items"]
        if item["metadata"]["name"] == "sea.test"
        for version in item["versions"]
        if version["version"] == "v1"
    ]

    assert version["freshness"] == "Current"
    assert version["resources"][0] == {
        "resource": "boats",
        "responseKind": {"group": "sea.test", "version": "v1", "kind": "Boat"},
        "scope": "Namespaced",
        "singularResource": "boat",
        "verbs": list(resources.STANDARD_VERBS),
        "shortNames": ["bo"],
        "subresources": [
            {
                "subresource": "scale",
                "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                "verbs": ["get", "patch", "update"],
            }
        ],
    }


def _aggregated(path: str) -> dict[str, Any]:
    found = discovery.answer(path, discovery.AGGREGATED, SERVED)
    assert found is not None
    data, content_type, _ = found
    assert content_type == discovery.AGGREGATED
    document: dict[str, Any] = orjson.loads(data)
    return document


V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "is_aggregated"),
    [
        (f"{V2},{V2BETA1},application/json", True),
        (f"{V2};profile=nopeer,{V2},application/json", True),
        (f"{V2BETA1},{V2}", True),
        ("application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io", True),
        (f"{V2BETA1},application/json", False),
        (f"application/json,{V2}", False),
        ("application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", False),
        ("*/*", False),
        ("", False),
        (";=;,", False),
    ],
)
def test_the_first_form_we_have_is_chosen(accept: str, is_aggregated: bool) -> None:
    expected = (True, V2) if is_aggregated else (False, "application/json")

    assert discovery.negotiate(accept) == expected


@pytest.mark.parametrize("path", ["/api/v2", "/apis/elephants", "/apis/apps/v9", "/apis/apps/v1/x", "/other"])
def test_there_is_no_document_elsewhere(path: str) -> None:
    assert discovery.answer(path, "", SERVED) is None


def test_the_etag_changes_when_a_resource_is_added() -> None:
    before = discovery.answer("/apis", V2, resources.builtin())
    again = discovery.answer("/apis", V2, resources.builtin())
    after = discovery.answer("/apis", V2, SERVED)

    assert before is not None
    assert again is not None
    assert after is not None
    assert before[2] == again[2] != after[2]
