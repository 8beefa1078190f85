"""What the schemas of built-in kinds require."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model.schema import builtin


def fields_missing(api_version: str, kind: str, obj: dict[str, Any]) -> list[str]:
    causes = builtin.validate(obj, api_version, kind)
    assert all(cause.reason == "FieldValueRequired" and cause.message == "Required value" for cause in causes)
    return [cause.field for cause in causes]


@pytest.mark.parametrize(
    ("api_version", "kind", "obj", "expected"),
    [
        ("v1", "Pod", {"spec": {}}, ["spec.containers"]),
        ("v1", "Pod", {"spec": {"containers": []}}, ["spec.containers"]),
        ("v1", "Pod", {"spec": {"containers": [{"name": "a"}, {"image": "b"}]}}, ["spec.containers[1].name"]),
        ("v1", "Pod", {"spec": {"containers": [{"name": ""}]}}, ["spec.containers[0].name"]),
        ("apps/v1", "Deployment", {}, ["spec.selector", "spec.template"]),
        (
            "apps/v1",
            "Deployment",
            {"spec": {"selector": {}, "template": {"spec": {"containers": [{"image": "b"}]}}}},
            ["spec.template.spec.containers[0].name"],
        ),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", {}, ["roleRef.kind", "roleRef.name"]),
        (
            "networking.k8s.io/v1",
            "Ingress",
            {"spec": {"rules": [{"http": {"paths": [{"path": "/"}]}}]}},
            ["spec.rules[0].http.paths[0].backend", "spec.rules[0].http.paths[0].pathType"],
        ),
    ],
)
def test_fields_without_a_value_are_named(
    api_version: str, kind: str, obj: dict[str, Any], expected: list[str]
) -> None:
    assert fields_missing(api_version, kind, obj) == expected


@pytest.mark.parametrize(
    ("api_version", "kind", "obj"),
    [
        ("v1", "ConfigMap", {}),
        ("v1", "Service", {"spec": {"ports": [{}]}}),
        ("v1", "Pod", {"spec": {"containers": [{"name": "a"}]}, "status": {"conditions": [{}]}}),
        ("v1", "Event", {"metadata": {"ownerReferences": [{}]}}),
        ("storage.k8s.io/v1", "CSINode", {"spec": {"drivers": []}}),
        ("discovery.k8s.io/v1", "EndpointSlice", {"addressType": "IPv4"}),
        ("example.com/v1", "Widget", {}),
    ],
)
def test_zero_values_status_and_metadata_are_left_alone(api_version: str, kind: str, obj: dict[str, Any]) -> None:
    assert fields_missing(api_version, kind, obj) == []
