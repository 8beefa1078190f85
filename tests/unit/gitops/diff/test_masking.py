"""Secrets as they are shown: which values differ, and nothing else."""

from __future__ import annotations

from typing import Any

import orjson

from seatrial.gitops.diff.compare import Difference
from seatrial.gitops.diff.mask import masked
from seatrial.gitops.diff.normalise import LAST_APPLIED
from seatrial.gitops.diff.text import text_diff


def secret(annotations: dict[str, str] | None = None, **data: Any) -> dict[str, Any]:
    metadata = {"name": "s", "namespace": "n", "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def test_equal_values_share_a_run_and_each_further_one_is_four_longer() -> None:
    last = {LAST_APPLIED: orjson.dumps(secret(a="three", b="x")).decode()}
    one, other, nothing = masked(secret(a="one", b="x"), secret(last, a="two", b="x"), None)
    assert nothing is None
    assert one is not None
    assert other is not None
    assert one["data"] == {"a": "+" * 8, "b": "+" * 8}
    assert other["data"] == {"a": "+" * 12, "b": "+" * 8}
    inner = orjson.loads(other["metadata"]["annotations"][LAST_APPLIED])
    assert inner["data"] == {"a": "+" * 16, "b": "+" * 8}


def test_a_masked_annotation_that_is_no_json_shows_nothing() -> None:
    (shown,) = masked(secret({LAST_APPLIED: "canary"}))
    assert "canary" not in str(shown)


def test_other_objects_are_as_they_are() -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}
    assert masked(obj) == [obj]


def test_the_text_has_a_heading_and_the_lines_that_differ() -> None:
    def config(value: str) -> dict[str, Any]:
        metadata = {"name": "web", "namespace": "shop"}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": value}}

    text = text_diff([Difference("OutOfSync", config("1"), config("2")), Difference("Synced")])
    assert text.startswith("===== apps/Deployment shop/web ======\n")
    assert "-  replicas: '1'\n+  replicas: '2'\n" in text


def test_a_secret_in_a_text_is_masked_also_where_a_side_is_missing() -> None:
    text = text_diff([Difference("OutOfSync", None, secret(a="canary"))])
    assert "canary" not in text
    assert "+  a: ++++++++\n" in text
    assert text.startswith("===== /Secret n/s ======")
