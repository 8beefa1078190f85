"""Texts of a ConfigMap that differ are different without a question; everything else is asked."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.gitops.diff.compare import plainly_different
from seatrial.gitops.diff.rules import NOTHING, ObjectRules


def config_map(data: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data or {}, **fields}


def test_another_text_is_a_difference() -> None:
    live = config_map({"a": "1", "theirs": "x"})
    assert plainly_different(config_map({"a": "2"}), live, NOTHING) == config_map({"a": "2", "theirs": "x"})
    assert plainly_different(config_map({"new": "2"}), live, NOTHING) is not None


@pytest.mark.parametrize(
    ("desired", "live", "rules"),
    [
        (config_map({"a": "1"}), config_map({"a": "1", "b": "2"}), NOTHING),
        (config_map({"a": 1}), config_map({"a": "1"}), NOTHING),
        (config_map({"a": "2"}), config_map({"a": "1"}), ObjectRules(pointers=("/data/a",))),
        (config_map({"a": "2"}), config_map({"a": "1"}), ObjectRules(includes_webhooks=True)),
        (config_map({"a": "2"}), config_map({"a": "1"}, immutable=True), NOTHING),
        ({**config_map({"a": "Mg=="}), "kind": "Secret"}, {**config_map({"a": "MQ=="}), "kind": "Secret"}, NOTHING),
    ],
    ids=["equal or removed", "not a text", "ignored", "webhooks count", "immutable", "another kind"],
)
def test_what_has_to_be_asked(desired: dict[str, Any], live: dict[str, Any], rules: ObjectRules) -> None:
    assert plainly_different(desired, live, rules) is None
