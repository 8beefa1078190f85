from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model.patch import strategic
from seatrial.kube.model.schema.types import Type
from seatrial.kube.model.status import StatusError

TEXT = Type("scalar", scalar="string")
PORT = Type("struct", fields={"port": Type("scalar", scalar="integer"), "name": TEXT})
ROOT = Type(
    "struct",
    fields={
        "labels": Type("map", element=TEXT),
        "finalizers": Type("list", element=TEXT, list_type="set", patch_strategy=frozenset({"merge"})),
        "args": Type("list", element=TEXT),
        "ports": Type("list", element=PORT, merge_key="port", patch_strategy=frozenset({"merge"})),
        "selector": Type("struct", patch_strategy=frozenset({"replace"}), fields={"a": TEXT, "b": TEXT}),
        "strategy": Type("struct", patch_strategy=frozenset({"retainKeys"}), fields={"type": TEXT, "more": TEXT}),
        "matrix": Type("list", element=Type("list", element=TEXT), patch_strategy=frozenset({"merge"})),
    },
)


def patched(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return strategic.apply(old, patch, ROOT)


def test_lists_without_strategy_are_replaced() -> None:
    assert patched({"args": ["a", "b"]}, {"args": ["c"]}) == {"args": ["c"]}


def test_objects_with_strategy_replace_are_replaced() -> None:
    assert patched({"selector": {"a": "1"}}, {"selector": {"b": "2"}}) == {"selector": {"b": "2"}}


def test_fields_the_schema_does_not_know_merge_as_plain_json() -> None:
    assert patched({"x": {"a": 1, "l": [1]}}, {"x": {"b": 2, "l": [2]}}) == {"x": {"a": 1, "b": 2, "l": [2]}}


def test_a_null_deletes_even_a_merged_list() -> None:
    assert patched({"ports": [{"port": 80}]}, {"ports": None}) == {}


def test_nulls_and_directives_in_new_values_are_dropped() -> None:
    patch = {"labels": {"a": None, "b": "1"}, "ports": [{"port": 80, "name": None}, {"port": 81, "$patch": "delete"}]}
    assert patched({}, patch) == {"labels": {"b": "1"}, "ports": [{"port": 80}]}


def test_keys_that_only_look_like_directives_are_kept() -> None:
    assert patched({}, {"labels": {"$ref": "x"}}) == {"labels": {"$ref": "x"}}


def test_lists_of_lists_are_a_422() -> None:
    with pytest.raises(StatusError) as refused:
        patched({"matrix": [["a"]]}, {"matrix": [["b"]]})
    assert refused.value.code == 422


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "unknown"},
        {"$retainKeys": "type"},
        {"strategy": {"$retainKeys": ["more"], "type": "x"}},
        {"$deleteFromPrimitiveList/finalizers": "a"},
        {"$deleteFromPrimitiveList": ["a"]},
        {"$setElementOrder/ports": "a"},
        {"$setElementOrder": []},
        {"$setElementOrder/ports": [{"port": 80}], "ports": [{"port": 81}]},
        {"$setElementOrder/ports": [80]},
        {"$setElementOrder/ports": [{"name": "no key"}]},
        {"ports": [{"name": "no key"}]},
        {"ports": ["no object"]},
        {"ports": [{"$patch": "delete"}]},
        {"ports": [{"port": 80, "$patch": "merge"}]},
    ],
)
def test_malformed_directives_are_a_400(patch: dict[str, Any]) -> None:
    old = {"ports": [{"port": 80}], "finalizers": ["a"], "strategy": {"type": "x"}}
    with pytest.raises(StatusError) as refused:
        patched(old, patch)
    assert refused.value.code == 400


def test_a_diff_reads_like_kubectls() -> None:
    old = {"ports": [{"port": 80}, {"port": 81}], "finalizers": ["a", "b"], "strategy": {"type": "x"}}
    new = {"ports": [{"port": 82}, {"port": 80, "name": "n"}], "finalizers": ["b"], "strategy": {"more": "y"}}
    assert strategic.diff(old, new, ROOT) == {
        "ports": [{"port": 82}, {"port": 80, "name": "n"}, {"port": 81, "$patch": "delete"}],
        "$setElementOrder/ports": [{"port": 82}, {"port": 80}],
        "$setElementOrder/finalizers": ["b"],
        "$deleteFromPrimitiveList/finalizers": ["a"],
        "strategy": {"$retainKeys": ["more"], "type": None, "more": "y"},
    }


def test_lists_whose_items_have_no_identity_are_sent_whole() -> None:
    old = {"ports": [{"port": 80}, {"port": 80, "name": "twice"}]}
    new = {"ports": [{"port": 80, "name": "once"}]}
    assert patched(old, strategic.diff(old, new, ROOT)) == new
