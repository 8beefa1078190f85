from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model.patch import json_patch
from seatrial.kube.model.status import StatusError


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        ({}, op("add", "/a", value=1), {"a": 1}),
        ({"a": 1}, op("add", "/a", value=2), {"a": 2}),
        ({"a": [1, 3]}, op("add", "/a/1", value=2), {"a": [1, 2, 3]}),
        ({"a": [1]}, op("add", "/a/-", value=2), {"a": [1, 2]}),
        ({"a": [1]}, op("add", "/a/-1", value=2), {"a": [1, 2]}),
        ({"a": []}, op("add", "/a/0", value=1), {"a": [1]}),
        ({}, op("add", "/a"), {"a": None}),
        ({"a": 1}, op("remove", "/a"), {}),
        ({"a": [1, 2]}, op("remove", "/a/0"), {"a": [2]}),
        ({"a": [1, 2]}, op("remove", "/a/-1"), {"a": [1]}),
        ({"a": 1}, op("replace", "/a", value=2), {"a": 2}),
        ({}, op("replace", "/a", value=2), {"a": 2}),
        ({"a": 1}, op("replace", "", value={"b": 2}), {"b": 2}),
        ({"a": [1, 2]}, op("replace", "/a/-1", value=3), {"a": [1, 3]}),
        ({"a": {"b": 1}}, op("move", "/c", **{"from": "/a/b"}), {"a": {}, "c": 1}),
        ({"a": {"b": 1}}, op("copy", "/c", **{"from": "/a"}), {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a": 1}, op("test", "/a", value=1), {"a": 1}),
        ({"a": 1}, op("test", "", value={"a": 1}), {"a": 1}),
        ({}, op("test", "/a", value=None), {}),
        ({"a/b": 1, "m~n": 2}, op("remove", "/a~1b"), {"m~n": 2}),
        ({"a/b": 1, "m~n": 2}, op("remove", "/m~0n"), {"a/b": 1}),
    ],
)
def test_operations(document: dict[str, Any], operation: dict[str, Any], result: dict[str, Any]) -> None:
    assert json_patch.apply(document, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        op("remove", "/missing"),
        op("remove", "/a/9"),
        op("remove", ""),
        op("replace", "/a/9", value=1),
        op("add", "/missing/child", value=1),
        op("add", "/a/9", value=1),
        op("add", "/a/x", value=1),
        op("add", "/s/child", value=1),
        op("add", "", value={}),
        op("move", "/b", **{"from": "/missing"}),
        op("move", "/b"),
        op("copy", "/b", **{"from": "/missing/child"}),
        op("test", "/s", value="other"),
        op("test", "/t", value=1),
        op("test", "/s"),
        op("replace", "", value=[1]),
        op("replace", "", value="text"),
        op("explode", "/a"),
        {"op": "remove"},
    ],
)
def test_what_cannot_be_done_is_a_422(operation: dict[str, Any]) -> None:
    with pytest.raises(StatusError) as refused:
        json_patch.apply({"a": [1], "s": "text", "t": True}, [operation])
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert refused.value.message == "the server rejected our request due to an error in our request"


@pytest.mark.parametrize("patch", [{}, "text", [1], [{"op": 1, "path": "/a"}], [{"op": "add", "path": 1}]])
def test_what_is_no_patch_is_a_400(patch: Any) -> None:
    with pytest.raises(StatusError) as refused:
        json_patch.apply({}, patch)
    assert (refused.value.code, refused.value.reason) == (400, "BadRequest")


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(StatusError) as refused:
        json_patch.apply({}, [op("add", "/a", value=1)] * 10_001)
    assert refused.value.code == 413


def test_copies_may_not_grow_without_bound() -> None:
    doubling = [op("copy", "/a/-", **{"from": "/a"})] * 40
    with pytest.raises(StatusError) as refused:
        json_patch.apply({"a": ["x" * 100]}, doubling)
    assert refused.value.code == 422


def test_neither_document_nor_patch_are_changed() -> None:
    document = {"a": {"b": 1}}
    patch = [op("add", "/c", value={"d": 1}), op("add", "/c/e", value=2), op("remove", "/a/b")]
    json_patch.apply(document, patch)
    assert document == {"a": {"b": 1}}
    assert patch[0]["value"] == {"d": 1}


def test_kubectls_migration_to_server_side_apply_replaces_managed_fields() -> None:
    document = {"metadata": {"resourceVersion": "7", "managedFields": [{"manager": "old"}]}}
    patch = [
        op("replace", "/metadata/managedFields", value=[{"manager": "new"}]),
        op("replace", "/metadata/resourceVersion", value="7"),
    ]
    assert json_patch.apply(document, patch)["metadata"]["managedFields"] == [{"manager": "new"}]


def test_shifting_long_lists_again_and_again_is_refused() -> None:
    fill = {"op": "add", "path": "/x", "value": [0] * 300_000}
    for step in ({"op": "add", "path": "/x/0", "value": 1}, {"op": "remove", "path": "/x/0"}):
        with pytest.raises(StatusError) as refused:
            json_patch.apply({}, [fill, *[step] * 5_000])
        assert refused.value.code == 422
        assert "list items" in refused.value.details["causes"][0]["message"]
