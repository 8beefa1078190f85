"""The OpenAPI documents hold what kubectl and other clients look up in them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.cluster.apiserver import openapi
from seatrial.cluster.apiserver.openapi import OpenAPI
from seatrial.kube.model import resources
from seatrial.kube.model.resources import Resource, SubResource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
BOAT = Resource(
    "sea.test",
    "v1",
    "Boat",
    "boats",
    True,
    singular="boat",
    subresources=(
        SubResource("status", "sea.test", "v1", "Boat", ("get", "patch", "update")),
        SubResource("scale", "autoscaling", "v1", "Scale", ("get", "patch", "update")),
    ),
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A boat.",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["length"],
            "properties": {
                "length": {"type": "integer", "minimum": 1, "default": 7},
                "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "note": {"type": "string", "nullable": True},
                "open": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"a": {"type": "string"}},
                },
                "pod": {"type": "object", "x-kubernetes-embedded-resource": True},
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                "list": {"type": "array"},
            },
        }
    },
}


@pytest.fixture(scope="module")
def api() -> OpenAPI:
    return OpenAPI()


@pytest.fixture(scope="module")
def v2(api: OpenAPI) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(api.v2_json())
    return document


@pytest.fixture
def with_boats() -> OpenAPI:
    found = OpenAPI()
    found.set_custom([(BOAT, SCHEMA)])
    return found


def v3(api: OpenAPI, path: str) -> dict[str, Any]:
    data = api.v3_document(path)
    assert data is not None
    document: dict[str, Any] = orjson.loads(data)
    return document


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from (operation for method, operation in item.items() if method != "parameters")


def test_every_reference_resolves_in_v2(v2: dict[str, Any]) -> None:
    _assert_references_resolve(v2)


def test_every_reference_resolves_in_v3(with_boats: OpenAPI) -> None:
    for path in orjson.loads(with_boats.v3_index())["paths"]:
        _assert_references_resolve(v3(with_boats, path))


def _assert_references_resolve(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', orjson.dumps(document).decode())):
        node = document
        for part in reference.split("/"):
            assert part in node, reference
            node = node[part]


def test_operation_ids_are_unique(v2: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(v2)]

    assert len(ids) == len(set(ids))
    assert {"listAppsV1NamespacedDeployment", "readCoreV1Node", "createCoreV1NamespacedPodEviction"} <= set(ids)


def test_every_resource_and_verb_has_an_operation(v2: dict[str, Any]) -> None:
    found = {
        (gvk["group"], gvk["version"], gvk["kind"], operation["x-kubernetes-action"])
        for operation in operations(v2)
        for gvk in [operation["x-kubernetes-group-version-kind"]]
    }
    actions = {"create": "post", "update": "put"}

    for resource in resources.builtin():
        for verb in set(resource.verbs) - {"watch"}:
            assert (resource.group, resource.version, resource.kind, actions.get(verb, verb)) in found


@pytest.mark.parametrize("dialect", ["v2", "v3"])
def test_a_patch_of_every_kind_takes_field_validation(dialect: str, api: OpenAPI, v2: dict[str, Any]) -> None:
    for resource in resources.builtin():
        if "patch" not in resource.verbs:
            continue
        path = f"api/{resource.version}" if not resource.group else f"apis/{resource.api_version}"
        document = v2 if dialect == "v2" else v3(api, path)
        patch = document["paths"][resource.path("{namespace}" * resource.namespaced, "{name}")]["patch"]
        assert patch["x-kubernetes-group-version-kind"]["kind"] == resource.kind
        assert "fieldValidation" in [p.get("name") for p in patch["parameters"] if p.get("in") == "query"]


def test_types_are_plain_and_kind_names_are_not_enumerated(v2: dict[str, Any]) -> None:
    pod = v2["definitions"]["io.k8s.api.core.v1.Pod"]

    assert pod["type"] == "object"
    assert pod["properties"]["kind"]["type"] == "string"
    assert "enum" not in pod["properties"]["kind"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert '["' not in "".join(re.findall(r'"type":."?', orjson.dumps(v2).decode()))


def test_merge_keys_are_kept(v2: dict[str, Any]) -> None:
    containers = v2["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]

    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]


def test_either_types_are_shown_as_each_dialect_can(api: OpenAPI, v2: dict[str, Any]) -> None:
    name = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    schemas = v3(api, "api/v1")["components"]["schemas"]

    assert v2["definitions"][name] == {"type": "string", "format": "int-or-string"}
    assert schemas[name] == {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}


def test_v3_wraps_references_that_have_siblings_and_shows_defaults(api: OpenAPI) -> None:
    schemas = v3(api, "api/v1")["components"]["schemas"]

    spec = schemas["io.k8s.api.core.v1.Pod"]["properties"]["spec"]
    assert spec["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}]
    assert spec["description"]
    assert schemas["io.k8s.api.core.v1.ServicePort"]["properties"]["protocol"]["default"] == "TCP"


def test_the_index_names_every_group_version_with_a_hash(api: OpenAPI) -> None:
    paths = orjson.loads(api.v3_index())["paths"]

    assert set(paths) == {f"apis/{r.api_version}" if r.group else f"api/{r.version}" for r in resources.builtin()}
    assert re.fullmatch(r"/openapi/v3/apis/apps/v1\?hash=\w{64}", paths["apis/apps/v1"]["serverRelativeURL"])
    assert api.v3_document("apis/elephants/v1") is None


def test_custom_kinds_are_published_under_reversed_names(with_boats: OpenAPI) -> None:
    for definitions in (
        orjson.loads(with_boats.v2_json())["definitions"],
        v3(with_boats, "apis/sea.test/v1")["components"]["schemas"],
    ):
        boat = definitions["test.sea.v1.Boat"]
        assert boat["x-kubernetes-group-version-kind"] == [{"group": "sea.test", "kind": "Boat", "version": "v1"}]
        assert {"apiVersion", "kind", "metadata", "spec"} <= set(boat["properties"])
        assert "test.sea.v1.BoatList" in definitions


def test_custom_kinds_know_no_strategic_merge_patch(with_boats: OpenAPI) -> None:
    paths = orjson.loads(with_boats.v2_json())["paths"]
    strategic = "application/strategic-merge-patch+json"

    boats = paths["/apis/sea.test/v1/namespaces/{namespace}/boats/{name}"]["patch"]
    deployments = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert strategic not in boats["consumes"]
    assert strategic in deployments["consumes"]


def test_v2_opens_what_it_cannot_express(with_boats: OpenAPI) -> None:
    boat = orjson.loads(with_boats.v2_json())["definitions"]["test.sea.v1.Boat"]
    spec = boat["properties"]["spec"]["properties"]

    assert spec["port"] == {"x-kubernetes-int-or-string": True}
    assert spec["note"] == {}
    assert spec["list"] == {}
    assert "properties" not in spec["open"]
    assert set(spec["pod"]["properties"]) == {"apiVersion", "kind", "metadata"}
    assert spec["length"] == {"type": "integer", "minimum": 1}


def test_v3_keeps_what_the_author_wrote(with_boats: OpenAPI) -> None:
    boat = v3(with_boats, "apis/sea.test/v1")["components"]["schemas"]["test.sea.v1.Boat"]

    shown, written = boat["properties"]["spec"]["properties"], SCHEMA["properties"]["spec"]["properties"]
    assert {key: shown[key] for key in shown if key != "pod"} == {key: written[key] for key in written if key != "pod"}


def test_a_kind_without_a_schema_takes_anything() -> None:
    api = OpenAPI()
    api.set_custom([(BOAT, None)])

    boat = orjson.loads(api.v2_json())["definitions"]["test.sea.v1.Boat"]

    assert boat["x-kubernetes-preserve-unknown-fields"] is True
    assert "properties" not in boat


def test_a_new_definition_changes_only_its_own_document(with_boats: OpenAPI) -> None:
    before = orjson.loads(with_boats.v3_index())["paths"]
    apps = with_boats.v3_document("apis/apps/v1")

    with_boats.set_custom([(BOAT, SCHEMA), (replace(BOAT, group="air.test"), SCHEMA)])

    after = orjson.loads(with_boats.v3_index())["paths"]
    assert set(after) - set(before) == {"apis/air.test/v1"}
    assert {path: after[path] for path in before} == before
    assert with_boats.v3_document("apis/apps/v1") is apps


def test_a_changed_schema_changes_the_hash_and_the_etag(with_boats: OpenAPI) -> None:
    before = with_boats.v3_index(), with_boats.v2_etag("json")

    with_boats.set_custom([(BOAT, {"type": "object"})])

    assert with_boats.v3_index() != before[0]
    assert with_boats.v2_etag("json") != before[1]


class _Catalog:
    """Serves what a test puts into `kinds`."""

    def __init__(self) -> None:
        self.kinds: list[_Kind] = []
        self.listeners: list[Callable[[], None]] = []

    def custom(self) -> list[_Kind]:
        return self.kinds

    def on_change(self, listener: Callable[[], None]) -> None:
        self.listeners.append(listener)


class _Kind:
    def __init__(self, resource: Resource, schema: dict[str, Any]) -> None:
        self.resource = resource
        self.schema = schema

    @property
    def custom(self) -> _Kind:
        return self


def test_documents_follow_the_catalog() -> None:
    catalog = _Catalog()
    api = OpenAPI(catalog)
    assert api.v3_document("apis/sea.test/v1") is None

    catalog.kinds.append(_Kind(BOAT, SCHEMA))
    for listener in catalog.listeners:
        listener()

    assert api.v3_document("apis/sea.test/v1") is not None


PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROTOBUF, openapi.V2_PROTOBUF),
        (openapi.V2_PROTOBUF, openapi.V2_PROTOBUF),
        (f"{PROTOBUF};q=0.9,application/json", openapi.V2_PROTOBUF),
        (f"application/json,{PROTOBUF}", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
def test_v2_is_answered_in_the_form_asked_for(api: OpenAPI, accept: str, content_type: str) -> None:
    answer = api.answer("/openapi/v2", accept, {})

    assert answer is not None
    assert answer[1] == content_type


def test_v3_is_answered_below_its_index(api: OpenAPI) -> None:
    index = api.answer("/openapi/v3", "application/json", {})
    document = api.answer("/openapi/v3/apis/apps/v1", "application/json", {"hash": "x"})

    assert index is not None
    assert document is not None
    assert document[0] == api.v3_document("apis/apps/v1")
    assert document[2].strip('"').encode() in index[0]
    assert api.answer("/openapi/v3/apis/elephants/v1", "", {}) is None
    assert api.answer("/openapi/v4", "", {}) is None
