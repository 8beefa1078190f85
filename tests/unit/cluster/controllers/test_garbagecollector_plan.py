"""What becomes of an object, by what became of its owners."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.controllers.garbagecollector import plan
from seatrial.cluster.controllers.garbagecollector.plan import Delete, Detach, Verdict

SOLID, WAITING, ABSENT = Verdict.SOLID, Verdict.WAITING, Verdict.ABSENT


def obj(*owners: str, **metadata: Any) -> dict[str, Any]:
    references = [{"uid": uid, "kind": "ConfigMap", "name": uid, "blockOwnerDeletion": True} for uid in owners]
    return {"metadata": {"name": "x", "ownerReferences": references, **metadata}}


def deleting(*finalizers: str) -> dict[str, Any]:
    return obj(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=list(finalizers))


def test_an_object_without_owners_is_left_alone() -> None:
    assert plan.decide(obj(), {}, []) is None


def test_an_object_whose_owners_all_exist_is_left_alone() -> None:
    assert plan.decide(obj("a", "b"), {"a": SOLID, "b": SOLID}, []) is None


@pytest.mark.parametrize("other", [ABSENT, WAITING])
def test_one_owner_is_enough_to_live_without_the_others(other: Verdict) -> None:
    found = plan.decide(obj("a", "b"), {"a": SOLID, "b": other}, [])
    assert isinstance(found, Detach)
    assert [reference["uid"] for reference in found.references] == ["a"]


@pytest.mark.parametrize(
    ("finalizers", "propagation"),
    [([], "Background"), (["orphan"], "Orphan"), (["foregroundDeletion"], "Foreground"), (["other"], "Background")],
)
def test_without_any_owner_it_goes_the_way_its_finalizers_say(finalizers: list[str], propagation: str) -> None:
    assert plan.decide(obj("a", finalizers=finalizers), {"a": ABSENT}, []) == Delete(propagation)


def test_while_an_owner_waits_it_goes_in_foreground_if_it_has_dependents() -> None:
    assert plan.decide(obj("a"), {"a": WAITING}, [obj("x")]) == Delete("Foreground")
    assert plan.decide(obj("a"), {"a": WAITING}, []) == Delete("Background")


def test_a_circle_of_waiting_objects_is_broken() -> None:
    waiting = deleting("foregroundDeletion")
    assert plan.decide(obj("a"), {"a": WAITING}, [waiting]) == Delete("Foreground", unblock=True)


def test_an_owner_waits_only_while_it_is_being_deleted_in_foreground() -> None:
    assert plan.verdict_of(deleting("foregroundDeletion")) is WAITING
    assert plan.verdict_of(deleting("example.com/other")) is SOLID
    assert plan.verdict_of(obj(finalizers=["foregroundDeletion"])) is SOLID


def test_only_a_reference_that_blocks_holds_the_owner() -> None:
    dependent = obj("a", "b")
    dependent["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = False
    assert not plan.blocks(dependent, "a")
    assert plan.blocks(dependent, "b")
    assert not plan.blocks(dependent, "c")


def test_unblocking_changes_copies() -> None:
    dependent = obj("a")
    assert plan.unblocked(dependent)[0]["blockOwnerDeletion"] is False
    assert plan.blocks(dependent, "a")
