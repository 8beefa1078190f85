"""Which volume a claim gets."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.controllers.persistentvolume import match

CLAIM: dict[str, Any] = {
    "metadata": {"name": "data", "namespace": "shop", "uid": "u1"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "5Gi"}},
    },
}


def volume(name: str, size: str = "5Gi", phase: str = "Available", **spec: Any) -> dict[str, Any]:
    given = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", **spec}
    return {"metadata": {"name": name, "labels": {"name": name}}, "spec": given, "status": {"phase": phase}}


def best(*volumes: dict[str, Any], claim: dict[str, Any] = CLAIM, reserved_only: bool = False) -> str | None:
    found = match.best(claim, volumes, reserved_only=reserved_only)
    return None if found is None else found["metadata"]["name"]


def test_the_smallest_that_is_large_enough_is_taken() -> None:
    assert best(volume("c", "50Gi"), volume("b", "6Gi"), volume("a", "4Gi")) == "b"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"size": "4Gi"}, "requested PV is too small"),
        ({"storageClassName": "slow"}, "storageClassName does not match"),
        ({"volumeMode": "Block"}, "incompatible volumeMode"),
        ({"accessModes": ["ReadOnlyMany"]}, "incompatible accessMode"),
    ],
)
def test_what_does_not_fit_is_not_taken(spec: dict[str, Any], why: str) -> None:
    given = volume("a", **spec)
    assert best(given) is None
    assert match.mismatch(CLAIM, given) == why


@pytest.mark.parametrize("phase", ["Pending", "Bound", "Released", "Failed"])
def test_only_a_volume_that_is_available_is_taken(phase: str) -> None:
    assert best(volume("a", phase=phase)) is None


def test_a_volume_on_its_way_out_is_not_taken() -> None:
    going = volume("a")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert best(going) is None


def test_one_that_is_reserved_goes_before_a_smaller_one_and_to_nobody_else() -> None:
    ours = volume("large", "50Gi", claimRef={"namespace": "shop", "name": "data"})
    theirs = volume("theirs", claimRef={"namespace": "other", "name": "data"})
    assert best(theirs) is None
    assert best(volume("small"), theirs, ours) == "large"
    assert best(volume("small"), reserved_only=True) is None
    assert best(volume("small"), ours, reserved_only=True) == "large"


def test_one_that_was_bound_to_a_former_claim_of_this_name_is_not_taken() -> None:
    assert best(volume("a", claimRef={"namespace": "shop", "name": "data", "uid": "u0"})) is None


def test_a_selector_chooses_among_labels() -> None:
    claim = {**CLAIM, "spec": {**CLAIM["spec"], "selector": {"matchLabels": {"name": "b"}}}}
    assert best(volume("a"), volume("b", "9Gi"), claim=claim) == "b"
