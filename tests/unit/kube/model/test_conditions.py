"""Conditions: transition times move only with the status."""

from __future__ import annotations

from typing import Any

from seatrial.kube.model import conditions

EARLIER, NOW = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def ready(**changes: Any) -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": "True",
        "reason": "Up",
        "message": "",
        "lastTransitionTime": EARLIER,
        **changes,
    }


def test_get_finds_a_condition_in_an_object_and_in_a_list() -> None:
    assert conditions.get({"status": {"conditions": [ready()]}}, "Ready") == ready()
    assert conditions.get([ready()], "Ready") == ready()


def test_get_finds_nothing_where_there_is_no_status() -> None:
    assert conditions.get({}, "Ready") is None
    assert conditions.get({"status": None}, "Ready") is None
    assert conditions.get(None, "Ready") is None
    assert conditions.get([ready()], "Available") is None


def test_only_true_is_true() -> None:
    assert conditions.is_true([ready()], "Ready")
    assert not conditions.is_true([ready(status="Unknown")], "Ready")
    assert not conditions.is_true([], "Ready")


def test_a_new_condition_is_appended_with_its_time() -> None:
    found: list[dict[str, Any]] = [ready()]
    assert conditions.set_condition(found, "Available", "False", "Down", "no pods", NOW)
    assert [item["type"] for item in found] == ["Ready", "Available"]
    assert found[1]["lastTransitionTime"] == NOW


def test_the_transition_time_stays_while_the_status_stays() -> None:
    found = [ready()]
    assert conditions.set_condition(found, "Ready", "True", "Other", "because", NOW)
    assert found == [ready(reason="Other", message="because")]


def test_the_transition_time_moves_with_the_status() -> None:
    found = [ready()]
    assert conditions.set_condition(found, "Ready", "False", "Down", "", NOW)
    assert found[0]["lastTransitionTime"] == NOW


def test_nothing_changes_when_nothing_differs() -> None:
    found = [ready(lastUpdateTime=EARLIER)]
    assert not conditions.set_condition(found, "Ready", "True", "Up", "", NOW, lastUpdateTime=NOW)
    assert found == [ready(lastUpdateTime=EARLIER)]


def test_times_given_along_are_written_with_another_change() -> None:
    found = [ready(lastUpdateTime=EARLIER)]
    assert conditions.set_condition(found, "Ready", "True", "Other", "", NOW, lastUpdateTime=NOW)
    assert found[0]["lastUpdateTime"] == NOW


def test_an_extra_field_counts_as_a_change() -> None:
    found = [ready(observedGeneration=1)]
    assert conditions.set_condition(found, "Ready", "True", "Up", "", NOW, observedGeneration=2)
    assert found[0]["observedGeneration"] == 2


def test_the_old_condition_itself_is_left_alone() -> None:
    shared = ready()
    conditions.set_condition([shared], "Ready", "False", "Down", "", NOW)
    assert shared == ready()
