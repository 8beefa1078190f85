"""Objects served in two shapes lose nothing on the way there and back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from seatrial.cluster.apiserver.kinds.conversion import convert, storage_resource
from seatrial.kube.model import objects, resources

V1 = resources.for_kind("autoscaling/v1", "HorizontalPodAutoscaler")
V2 = resources.for_kind("autoscaling/v2", "HorizontalPodAutoscaler")
CORE_EVENT = resources.for_kind("v1", "Event")
NEW_EVENT = resources.for_kind("events.k8s.io/v1", "Event")

CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}


def autoscaler(**spec: Any) -> dict[str, Any]:
    reference = {"kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": reference, "maxReplicas": 3, **spec},
    }


def test_what_is_stored() -> None:
    assert storage_resource(V1) == V2
    assert storage_resource(V2) == V2
    assert storage_resource(NEW_EVENT) == CORE_EVENT
    assert storage_resource(CORE_EVENT) == CORE_EVENT
    pod = resources.for_kind("v1", "Pod")
    assert storage_resource(pod) is pod


def test_a_processor_target_is_a_plain_field_of_the_old_version() -> None:
    old = convert(autoscaler(metrics=[CPU]), V1)
    assert old["apiVersion"] == "autoscaling/v1"
    assert old["spec"]["targetCPUUtilizationPercentage"] == 60
    assert "metrics" not in old["spec"]
    assert "annotations" not in old["metadata"]


def test_an_old_autoscaler_without_a_target_aims_at_eighty_percent() -> None:
    old = autoscaler()
    old["apiVersion"] = "autoscaling/v1"
    target = convert(old, V2)["spec"]["metrics"][0]["resource"]["target"]
    assert target == {"type": "Utilization", "averageUtilization": 80}


OTHERS: list[dict[str, Any]] = [
    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
    {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": "app",
            "target": {"type": "Utilization", "averageUtilization": 50},
        },
    },
    {
        "type": "Pods",
        "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}},
    },
    {
        "type": "Object",
        "object": {
            "metric": {"name": "hits", "selector": {"matchLabels": {"a": "b"}}},
            "describedObject": {"kind": "Ingress", "name": "web"},
            "target": {"type": "Value", "value": "5"},
        },
    },
    {
        "type": "External",
        "external": {
            "metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
            "target": {"type": "AverageValue", "averageValue": "30"},
        },
    },
]


@pytest.mark.parametrize("metric", OTHERS, ids=lambda metric: str(metric["type"]))
def test_every_metric_comes_back_from_the_old_version(metric: dict[str, Any]) -> None:
    obj = autoscaler(metrics=[metric, CPU], behavior={"scaleUp": {"policies": [{"type": "Pods", "value": 1}]}})
    obj["status"] = {
        "desiredReplicas": 1,
        "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7}}}],
        "conditions": [{"type": "AbleToScale", "status": "True"}],
    }
    old = convert(obj, V1)
    assert old["status"]["currentCPUUtilizationPercentage"] == 7
    assert convert(old, V2) == obj


def test_a_carried_metric_is_readable_by_older_tools() -> None:
    old = convert(autoscaler(metrics=[OTHERS[0]]), V1)
    carried = orjson.loads(old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"])
    assert carried == [{"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}]


def test_an_unreadable_annotation_is_ignored() -> None:
    old = convert(autoscaler(metrics=[CPU]), V1)
    old["metadata"]["annotations"] = {"autoscaling.alpha.kubernetes.io/metrics": "{", "mine": "kept"}
    new = convert(old, V2)
    assert new["spec"]["metrics"] == [CPU]
    assert new["metadata"]["annotations"] == {"mine": "kept"}


def test_an_event_has_two_names_for_some_fields() -> None:
    core = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "n"},
        "involvedObject": {"kind": "Pod", "name": "p"},
        "message": "started",
        "source": {"component": "kubelet"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 3,
        "reportingComponent": "kubelet",
        "reportingInstance": "node-1",
        "type": "Normal",
    }
    new = convert(core, NEW_EVENT)
    assert (new["note"], new["regarding"]["name"], new["deprecatedCount"]) == ("started", "p", 3)
    assert new["reportingController"] == "kubelet"
    assert not {"message", "involvedObject", "count", "source"} & set(new)
    assert convert(new, CORE_EVENT) == core


def test_the_original_is_left_as_it_was() -> None:
    obj = autoscaler(metrics=[CPU])
    before = objects.clone(obj)
    convert(obj, V1)
    convert(obj, V2)["metadata"]["name"] = "changed"
    assert obj == before
