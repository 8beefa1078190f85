"""Kubernetes' own libraries answered these cases (tools/peers/smd); ours must say the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.kube.model.objects import Object, clone
from seatrial.kube.model.patch import strategic
from seatrial.kube.model.patch.apply import managed
from seatrial.kube.model.schema.builtin import type_for
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type

GOLDEN = Path(__file__).parents[4] / "golden" / "patch"
NOW = "2026-01-02T03:04:05Z"


def cases(name: str) -> list[Any]:
    content: list[Any] = orjson.loads((GOLDEN / name).read_bytes())
    return [pytest.param(case, id=case["name"].replace(" ", "-")) for case in content]


def builtin(api_version: str, kind: str) -> Type:
    found = type_for(api_version, kind)
    assert found is not None
    return found


@pytest.mark.parametrize("case", cases("strategic.json"))
def test_strategic_merge_agrees_with_kubernetes(case: dict[str, Any]) -> None:
    type_ = builtin("apps/v1", case["kind"])
    if "error" in case:
        with pytest.raises(StatusError) as refused:
            strategic.apply(case["old"], case["patch"], type_)
        assert refused.value.code == 400
    else:
        assert strategic.apply(case["old"], case["patch"], type_) == case["result"]


@pytest.mark.parametrize("case", cases("apply.json"))
def test_ownership_agrees_with_kubernetes(case: dict[str, Any]) -> None:
    live: Object | None = None
    for step in case["steps"]:
        if "error" in step:
            with pytest.raises(StatusError) as refused:
                take(step, live)
            assert refused.value.message == step["error"]
            assert refused.value.code in (400, 409)
            continue
        live = take(step, live)
        assert content(live) == content(step["result"])
        assert owners(live) == owners(step["result"])


def take(step: dict[str, Any], live: Object | None) -> Object:
    given = clone(step["object"])
    type_ = builtin(given["apiVersion"], given["kind"])
    who = {"manager": step["manager"], "subresource": step.get("subresource", ""), "now": NOW}
    if step["operation"] == "Apply":
        return managed.apply(live, given, type_, force=step.get("force", False), **who)
    return managed.updated(live, given, type_, **who)


def content(obj: Object) -> Any:
    """Without owners and without what Go writes of structs nobody set."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return squeezed({**obj, "metadata": metadata})


def squeezed(value: Any) -> Any:
    if isinstance(value, dict):
        parts = {key: squeezed(child) for key, child in value.items()}
        return {key: child for key, child in parts.items() if child not in ({}, None)}
    return [squeezed(item) for item in value] if isinstance(value, list) else value


def owners(obj: Object) -> list[Object]:
    entries = [{**entry, "time": None} for entry in obj["metadata"].get("managedFields", [])]
    return sorted(entries, key=lambda entry: (entry["operation"], entry["manager"], entry.get("subresource", "")))
