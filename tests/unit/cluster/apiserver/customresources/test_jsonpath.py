"""The JSONPath of printer columns."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cluster.apiserver.customresources import jsonpath

OBJECT: dict[str, Any] = {
    "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "shop", "tier": "front"}},
    "spec": {"replicas": 3, "paused": False, "hosts": ["a", "b", "c"], "nothing": None},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "age": 5},
            {"type": "Synced", "status": "False", "age": 9},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.replicas", [3]),
        ("{.spec.replicas}", [3]),
        ("$.spec.replicas", [3]),
        (".spec.paused", [False]),
        (".spec.nothing", [None]),
        (".spec.missing.deeper", []),
        (".spec.replicas.deeper", []),
        (r".metadata.labels.app\.kubernetes\.io/name", ["shop"]),
        (".metadata.labels['app.kubernetes.io/name']", ["shop"]),
        ('.metadata["labels"]["tier"]', ["front"]),
        (".metadata.labels['tier','app.kubernetes.io/name']", ["front", "shop"]),
        (".spec.hosts[0]", ["a"]),
        (".spec.hosts[-1]", ["c"]),
        (".spec.hosts[9]", []),
        (".spec.hosts[0,2]", ["a", "c"]),
        (".spec.hosts[1:]", ["b", "c"]),
        (".spec.hosts[0:3:2]", ["a", "c"]),
        (".spec.hosts[*]", ["a", "b", "c"]),
        (".spec.hosts.*", ["a", "b", "c"]),
        (".spec.hosts", [["a", "b", "c"]]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?( @.type != 'Ready' )].status", ["False"]),
        (".status.conditions[?(@.age>5)].type", ["Synced"]),
        (".status.conditions[?(@.age<=5)].type", ["Ready"]),
        (".status.conditions[?(@.age=='5')].type", []),
        (".status.conditions[?(@.missing)].type", []),
        (".status.conditions[?(@.status)].type", ["Ready", "Synced"]),
        (".status.conditions[*].type", ["Ready", "Synced"]),
        ("..type", ["Ready", "Synced"]),
        (".", [OBJECT]),
    ],
)
def test_a_path_finds_its_values(path: str, expected: list[Any]) -> None:
    assert jsonpath.evaluate(path, OBJECT) == expected


@pytest.mark.parametrize(
    "path",
    [
        "spec.replicas",
        ".spec.[",
        ".spec[",
        ".spec[abc]",
        ".spec['a",
        ".spec[1.5]",
        ".spec['a',1]",
        ".a[?(@.b=)]",
        ".a[?(@.b==1]",
        ".a[::0]",
        ".a b",
        ".a..",
        "." * 1001,
        ".a" * 51,
        ".a[?(@[?(@[?(@.a)])])]",
    ],
)
def test_what_is_no_path_is_an_error(path: str) -> None:
    with pytest.raises(jsonpath.PathError):
        jsonpath.parse(path)


def test_a_hostile_path_is_bounded() -> None:
    wide = {"a": [[list(range(100)) for _ in range(100)] for _ in range(100)]}
    started = time.monotonic()
    assert len(jsonpath.evaluate("..*..*..*..*", wide)) <= jsonpath.MAX_VISITS
    assert len(jsonpath.evaluate(".a" + "[*]" * 49, wide)) <= jsonpath.MAX_VISITS
    assert time.monotonic() - started < 2


@given(st.text(alphabet=".[]*?@()'\"a0-:,=<>\\ {}$", max_size=30))
def test_any_text_is_a_path_or_an_error(path: str) -> None:
    try:
        jsonpath.evaluate(path, OBJECT)
    except jsonpath.PathError as error:
        assert str(error)


def test_the_cells_of_a_table_share_a_budget() -> None:
    wide, budget = {"a": [list(range(100)) for _ in range(100)]}, jsonpath.Budget(30_000)
    found = [len(jsonpath.evaluate("..*", wide, budget)) for _ in range(5)]
    assert found[0] > 5_000
    assert found[-1] == 0
    assert budget.left == 0
