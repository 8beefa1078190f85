"""Laws of JSON patch and merge patch over arbitrary documents."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.model.objects import Object, clone
from seatrial.kube.model.patch import json_patch, merge

KEYS = st.sampled_from(["a", "b", "a/b", "m~n", "", "-", "0"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "true"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=10
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


def operations(old: Any, new: Any, path: str = "") -> list[Object]:
    """A patch that makes `new` of `old`, testing every value it takes away."""
    if json_patch.same(old, new):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        found: list[Object] = []
        for key, value in old.items():
            below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key in new:
                found += operations(value, new[key], below)
            else:
                found += [{"op": "test", "path": below, "value": value}, {"op": "remove", "path": below}]
        for key, value in new.items():
            if key not in old:
                below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
                found.append({"op": "add", "path": below, "value": value})
        return found
    return [{"op": "test", "path": path, "value": old}, {"op": "replace", "path": path, "value": new}]


@given(DOCUMENTS, DOCUMENTS)
def test_a_json_patch_of_the_difference_gives_the_new_document(old: Object, new: Object) -> None:
    before = clone(old)
    assert json_patch.same(json_patch.apply(old, operations(old, new)), new)
    assert old == before


@given(DOCUMENTS, st.lists(st.fixed_dictionaries({"op": st.just("add"), "path": st.just("/a/-"), "value": VALUES})))
def test_appending_and_removing_from_the_end_is_nothing(document: Object, appends: list[Object]) -> None:
    document["a"] = []
    removals = [{"op": "remove", "path": "/a/-1"}] * len(appends)
    assert json_patch.apply(document, [*appends, *removals]) == document


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return value


@given(DOCUMENTS.map(without_nulls), DOCUMENTS.map(without_nulls))
def test_a_merge_patch_of_the_difference_gives_the_new_document(old: Object, new: Object) -> None:
    assert merge.apply(old, merge.diff(old, new)) == new


@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_patch_applied_twice_is_applied_once(document: Object, patch: Object) -> None:
    once = merge.apply(document, patch)
    assert merge.apply(once, patch) == once
