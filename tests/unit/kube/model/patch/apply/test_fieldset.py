from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model.patch.apply.fieldset import FieldSet, item_by_key, text_of

CONTAINERS: dict[str, Any] = {
    "f:spec": {
        "f:containers": {
            'k:{"name":"nginx"}': {".": {}, "f:image": {}},
        },
        "f:replicas": {},
    }
}


def of(fields: dict[str, Any]) -> FieldSet:
    return FieldSet.from_fields_v1(fields)


def test_paths_read_as_kubectl_shows_them() -> None:
    fields = {
        **CONTAINERS,
        "f:metadata": {"f:finalizers": {'v:"a/b"': {}}},
        "f:status": {"i:0": {}, 'k:{"port":80,"protocol":"TCP"}': {}},
    }
    assert list(of(fields).paths()) == [
        '.metadata.finalizers[="a/b"]',
        ".spec.replicas",
        '.spec.containers[name="nginx"]',
        '.spec.containers[name="nginx"].image',
        '.status[port=80,protocol="TCP"]',
        ".status[0]",
    ]


def test_it_is_written_in_kubernetes_order() -> None:
    fields = of(
        {"i:2": {}, 'v:"b"': {}, "v:10": {}, "v:9": {}, 'k:{"p":443}': {}, 'k:{"p":80}': {}, "f:z": {}, "f:a": {}}
    )
    assert list(fields.to_fields_v1()) == [
        "f:a",
        "f:z",
        'k:{"p":80}',
        'k:{"p":443}',
        "v:9",
        "v:10",
        'v:"b"',
        "i:2",
    ]


def test_a_path_itself_comes_before_what_is_below_it() -> None:
    assert list(of({"f:a": {"f:b": {}, ".": {}}}).to_fields_v1()["f:a"]) == [".", "f:b"]


def test_spelling_does_not_matter() -> None:
    assert of({'k:{ "b": 2, "a": 1.0 }': {}}) == of({'k:{"a":1,"b":2}': {}})
    assert of({"f:a": {".": {}}}) == of({"f:a": {}})


def test_elements_of_the_future_are_dropped() -> None:
    assert of({"f:a": {}, "x:new": {}}) == of({"f:a": {}})


@pytest.mark.parametrize(
    "fields", [[], "x", {"f": {}}, {"fa": {}}, {"f:a": 1}, {"k:[]": {}}, {"k:{": {}}, {"v:": {}}, {"i:x": {}}]
)
def test_what_is_no_field_set_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        FieldSet.from_fields_v1(fields)


def test_taking_a_path_leaves_what_is_below_it() -> None:
    both = of({"f:a": {".": {}, "f:b": {}}})
    assert both - of({"f:a": {}}) == of({"f:a": {"f:b": {}}})
    assert both - of({"f:a": {"f:b": {}}}) == of({"f:a": {}})
    assert (both - both).is_empty()


def test_taking_nothing_gives_the_same_set() -> None:
    fields = of(CONTAINERS)
    assert fields - of({"f:other": {}}) is fields


def test_union_and_intersection() -> None:
    one, other = of({"f:a": {}, "f:b": {"f:c": {}}}), of({"f:a": {"f:x": {}}, "f:b": {"f:c": {}, "f:d": {}}})
    assert one | other == of({"f:a": {".": {}, "f:x": {}}, "f:b": {"f:c": {}, "f:d": {}}})
    assert one & other == of({"f:b": {"f:c": {}}})


def test_leaves_have_nothing_below_them() -> None:
    assert of(CONTAINERS).leaves() == of(
        {"f:spec": {"f:containers": {'k:{"name":"nginx"}': {"f:image": {}}}, "f:replicas": {}}}
    )


def test_values_are_spelled_as_kubernetes_spells_them() -> None:
    assert [text_of(value) for value in (1, 2.0, True, "a<b&c")] == ["1", "2", "true", '"a\\u003cb\\u0026c"']
    assert item_by_key({"b": 1, "a": "x"}) == 'k:{"a":"x","b":1}'
