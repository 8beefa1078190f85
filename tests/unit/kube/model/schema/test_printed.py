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
    (condition,) = filled("apps/v1", "Deployment", given)["conditions"]
    assert "reason" not in condition and "message" not in condition


def test_required_counts_are_zero() -> None:
    assert filled("apps/v1", "ReplicaSet", {}) == {"replicas": 0}
    assert filled("autoscaling/v2", "HorizontalPodAutoscaler", {"currentReplicas": 2})["desiredReplicas"] == 0


def test_a_value_that_is_there_is_kept() -> None:
    container = {"name": "c", "image": "i", "imageID": "x", "ready": True, "restartCount": 3}
    (shown,) = filled("v1", "Pod", {"containerStatuses": [dict(container)]})["containerStatuses"]
    assert shown == {**container, "state": {}, "lastState": {}}


def test_a_time_nobody_set_is_null() -> None:
    (condition,) = filled("v1", "Service", {"conditions": [{"type": "t", "status": "True"}]})["conditions"]
    assert condition["lastTransitionTime"] is None


def test_structs_inside_a_specification_are_there() -> None:
    type = builtin.type_for("batch/v1", "CronJob")
    assert type is not None
    cronjob: dict[str, Any] = {}
    printed.fill(cronjob, type)
    template = {"metadata": {}, "spec": {"template": {"metadata": {}, "spec": {"containers": None}}}}
    assert cronjob["spec"]["jobTemplate"] == template


def test_what_is_filled_in_is_not_shared() -> None:
    type = builtin.type_for("apps/v1", "Deployment")
    assert type is not None
    assert printed.zero(type)["metadata"] is not printed.zero(type)["metadata"]


def test_what_is_empty_and_optional_is_left_out() -> None:
    type = builtin.type_for("apps/v1", "Deployment")
    assert type is not None
    deployment: dict[str, Any] = {"metadata": {"labels": {}, "name": "web"}, "spec": {"paused": False, "replicas": 0}}
    printed.fill(deployment, type)
    assert deployment["metadata"] == {"name": "web"}
    assert "paused" not in deployment["spec"] and deployment["spec"]["replicas"] == 0


def test_a_required_list_is_null_where_nobody_wrote_one() -> None:
    type = builtin.type_for("rbac.authorization.k8s.io/v1", "Role")
    assert type is not None
    role: dict[str, Any] = {}
    printed.fill(role, type)
    assert role == {"metadata": {}, "rules": None}
