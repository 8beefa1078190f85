"""A status is stored with everything Go would print."""

from __future__ import annotations

from typing import Any

from seatrial.kube.model.schema import builtin, printed


def filled(api_version: str, kind: str, status: dict[str, Any]) -> dict[str, Any]:
    type = builtin.type_for(api_version, kind)
    assert type is not None
    printed.fill(status, type.fields["status"])
    return status


def test_a_condition_of_the_common_type_has_its_texts() -> None:
    given = {
        "conditions": [{"type": "DisruptionAllowed", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    }
    (condition,) = filled("policy/v1", "PodDisruptionBudget", given)["conditions"]
    assert (condition["reason"], condition["message"]) == ("", "")


def test_a_condition_whose_texts_are_optional_stays_short() -> None:
    given = {"conditions": [{"type": "Available", "status": "True"}]}
    assert filled("apps/v1", "Deployment", given) == {"conditions": [{"type": "Available", "status": "True"}]}


def test_required_counts_are_zero() -> None:
    assert filled("apps/v1", "ReplicaSet", {}) == {"replicas": 0}
    assert filled("autoscaling/v2", "HorizontalPodAutoscaler", {"currentReplicas": 2})["desiredReplicas"] == 0


def test_a_value_that_is_there_is_kept() -> None:
    container = {"name": "c", "image": "i", "imageID": "x", "ready": True, "restartCount": 3}
    assert filled("v1", "Pod", {"containerStatuses": [dict(container)]})["containerStatuses"] == [container]


def test_structs_and_times_that_are_missing_stay_missing() -> None:
    (condition,) = filled("v1", "Service", {"conditions": [{"type": "t", "status": "True"}]})["conditions"]
    assert "lastTransitionTime" not in condition
