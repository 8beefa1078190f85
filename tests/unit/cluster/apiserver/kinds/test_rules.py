"""The rules of built-in kinds, case by case from the YAML files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.cluster.apiserver import kinds
from seatrial.kube.model import objects, resources

_HERE = Path(__file__).parent


def _load(name: str) -> Any:
    """As JSON, so that no two cases share a node of the YAML tree."""
    return orjson.loads(orjson.dumps(yaml.safe_load((_HERE / name).read_text())))


SAMPLES: dict[str, dict[str, Any]] = _load("samples.yaml")


def resource_of(obj: dict[str, Any]) -> resources.Resource:
    return resources.for_kind(obj["apiVersion"], obj["kind"])


def changed(obj: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    new = objects.clone(obj)
    for path, value in changes.items():
        *parents, last = path.split(".")
        holder: Any = new
        for key in parents:
            holder = holder[int(key)] if isinstance(holder, list) else holder.setdefault(key, {})
        if isinstance(holder, list):
            holder[int(last) : int(last) + 1] = [value]
        elif value is None:
            holder.pop(last, None)
        else:
            holder[last] = value
    return new


def stored(obj: dict[str, Any]) -> dict[str, Any]:
    """The object as a create leaves it."""
    new, resource = objects.clone(obj), resource_of(obj)
    kinds.default(resource, new)
    kinds.prepare_create(resource, new)
    return new


def _title(case: dict[str, Any]) -> str:
    return f"{case['from']} {','.join(case['set'])}"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_valid_once_defaults_are_set(name: str) -> None:
    obj = stored(SAMPLES[name])
    assert [str(cause) for cause in kinds.validate(resource_of(obj), obj)] == []


@pytest.mark.parametrize("name", SAMPLES)
def test_an_unchanged_update_is_allowed_and_keeps_the_generation(name: str) -> None:
    old = stored(SAMPLES[name])
    new, resource = objects.clone(old), resource_of(old)
    kinds.default(resource, new)
    kinds.prepare_update(resource, new, old)
    assert kinds.validate_update(resource, new, old) == []
    assert new == old


@pytest.mark.parametrize("case", _load("invalid.yaml"), ids=_title)
def test_what_is_wrong_is_named(case: dict[str, Any]) -> None:
    obj = stored(changed(SAMPLES[case["from"]], case["set"]))
    assert [str(cause) for cause in kinds.validate(resource_of(obj), obj)] == case["causes"]


@pytest.mark.parametrize("case", _load("updates.yaml"), ids=_title)
def test_what_may_not_change_is_named(case: dict[str, Any]) -> None:
    sample = SAMPLES[case["from"]]
    old = changed(stored(sample), case.get("stored", {}))
    new, resource = changed(old, case["set"]), resource_of(old)
    kinds.default(resource, new)
    assert [str(cause) for cause in kinds.validate_update(resource, new, old)] == case["causes"]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_defaults_are_idempotent_whatever_is_missing(data: st.DataObject) -> None:
    obj = objects.clone(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    _spoil(obj, data, [None])
    resource = resource_of(obj)
    kinds.default(resource, obj)
    once = objects.clone(obj)
    kinds.default(resource, obj)
    assert obj == once


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_field_that_is_missing_or_null_breaks_nothing(data: st.DataObject) -> None:
    obj = objects.clone(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    old, resource = stored(obj), resource_of(obj)
    _spoil(obj, data, [None])
    obj["metadata"] = obj.get("metadata") or {}
    kinds.default(resource, obj)
    updated = objects.clone(obj)
    kinds.prepare_create(resource, obj)
    kinds.validate(resource, obj)
    kinds.prepare_update(resource, updated, old)
    kinds.validate_update(resource, updated, old)
    kinds.selectable_fields(resource, obj)


def _spoil(obj: dict[str, Any], data: st.DataObject, values: list[Any]) -> None:
    """Set up to three fields anywhere in the object to one of the values, or remove them."""
    for _ in range(data.draw(st.integers(0, 3))):
        holders = list(_dicts(obj))
        holder = data.draw(st.sampled_from(holders))
        keys = [key for key in sorted(holder) if key not in ("apiVersion", "kind")]
        if not keys:
            continue
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = data.draw(st.sampled_from(values))


def _dicts(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in _dicts(item))]
    if isinstance(value, list):
        return [found for item in value for found in _dicts(item)]
    return []
