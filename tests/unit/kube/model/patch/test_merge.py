from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model.patch import merge
from seatrial.kube.model.status import StatusError


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # The examples of RFC 7386, appendix A, whose target is an object.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_rfcs_examples(target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    assert merge.apply(target, patch) == result


def test_the_target_stays_as_it_was() -> None:
    target = {"a": {"b": 1}}
    merge.apply(target, {"a": {"b": 2, "c": 3}})
    assert target == {"a": {"b": 1}}


def test_a_patch_must_be_an_object() -> None:
    with pytest.raises(StatusError) as refused:
        merge.apply({}, ["not", "an", "object"])  # type: ignore[arg-type]
    assert refused.value.code == 400


def test_a_diff_names_only_what_differs() -> None:
    assert merge.diff({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "d": 3}, "e": 4}) == {
        "a": None,
        "b": {"d": 3},
        "e": 4,
    }
