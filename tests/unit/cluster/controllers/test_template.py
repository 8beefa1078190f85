"""Templates, their hashes, and shares."""

from __future__ import annotations

import re
from typing import Any

import pytest

from seatrial.cluster.controllers.shares import share
from seatrial.cluster.controllers.template import pod_from, same_template, stable_hash

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "ns", "uid": "u"}}


def test_a_hash_depends_on_content_and_collisions_only() -> None:
    one = stable_hash({"a": 1, "b": [2]})
    assert one == stable_hash({"b": [2], "a": 1})
    assert len({one, stable_hash({"a": 2, "b": [2]}), stable_hash({"a": 1, "b": [2]}, 1)}) == 3


def test_a_hash_is_good_in_names_and_spells_nothing() -> None:
    for number in range(200):
        assert re.fullmatch("[bcdfghjklmnpqrstvwxz2456789]{10}", stable_hash(number))


def test_templates_are_the_same_whatever_their_hash_label_and_empty_fields() -> None:
    one = {
        "metadata": {"labels": {"app": "x", "pod-template-hash": "abc"}},
        "spec": {"volumes": None, "containers": [1]},
    }
    other = {"metadata": {"labels": {"app": "x"}, "annotations": {}}, "spec": {"containers": [1]}}
    assert same_template(one, other)
    assert not same_template(one, {**other, "spec": {"containers": [2]}})
    assert not same_template({"spec": {"hostNetwork": False}}, {"spec": {"hostNetwork": True}})


def test_a_pod_takes_labels_annotations_and_finalizers_and_belongs_to_its_owner() -> None:
    template: dict[str, Any] = {
        "metadata": {"name": "ignored", "labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["e/f"]},
        "spec": {"containers": []},
    }
    made = pod_from(template, OWNER)
    assert made["metadata"] == {
        "generateName": "web-",
        "namespace": "ns",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "finalizers": ["e/f"],
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "web",
                "uid": "u",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    made["spec"]["containers"].append("x")
    assert template["spec"]["containers"] == []


@pytest.mark.parametrize(
    ("value", "up", "down"), [(3, 3, 3), ("25%", 3, 2), ("100%", 10, 10), ("0%", 0, 0), ("1%", 1, 0), (None, 0, 0)]
)
def test_shares_of_ten(value: int | str | None, up: int, down: int) -> None:
    assert (share(value, 10, round_up=True), share(value, 10, round_up=False)) == (up, down)
