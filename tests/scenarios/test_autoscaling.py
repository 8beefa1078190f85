"""Autoscaling against a metrics API that a CustomResourceDefinition provides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import rfc3339
from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object


_REQUESTS = {"requests": {"cpu": "500m"}}


@pytest.fixture
async def target(scene: Scene) -> Object:
    """Two ready pods that ask for half a core each, and what owns them."""
    for name in ("a", "b"):
        await scene.create(scene.pod(name, labels={"app": "web"}, container={"resources": _REQUESTS}))
        await scene.ready(name)
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "example.com/app:1", "resources": _REQUESTS}]},
    }
    return await scene.create(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        }
    )


def autoscaler(kind: str = "ReplicaSet", **spec: object) -> Object:
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": _utilization(50)}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": "web"},
            "maxReplicas": 10,
            "metrics": [metric],
            **spec,
        },
    }


def _utilization(percent: int) -> Object:
    return {"type": "Utilization", "averageUtilization": percent}


async def metrics(scene: Scene, **usage: str) -> None:
    """CPU usage by pod, as a metrics server would say."""
    await scene.create(scene.definition("pods", "PodMetrics", "metrics.k8s.io", "v1beta1"))
    await scene.established("pods.metrics.k8s.io")
    for name, cpu in usage.items():
        await scene.create(
            {
                "apiVersion": "metrics.k8s.io/v1beta1",
                "kind": "PodMetrics",
                "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
                "timestamp": rfc3339(scene.cluster.clock.time() + 60),
                "window": "15s",
                "containers": [{"name": "main", "usage": {"cpu": cpu, "memory": "1Mi"}}],
            }
        )


async def condition(scene: Scene, type_: str) -> Object:
    async def check() -> Object | None:
        return conditions.get(await scene.get("horizontalpodautoscalers", "web"), type_)

    check.__doc__ = f"there is a condition {type_}"
    return await scene.until(check)


async def events(scene: Scene, reason: str) -> list[str]:
    async def check() -> list[str]:
        return [event["message"] for event in await scene.list("events") if event["reason"] == reason]

    check.__doc__ = f"there is an event {reason}"
    return await scene.until(check)


async def test_usage_above_the_target_adds_replicas(scene: Scene, target: Object) -> None:
    await metrics(scene, a="500m", b="500m")
    await scene.create(autoscaler())

    async def scaled() -> bool:
        found = await scene.get("replicasets", "web")
        return found is not None and found["spec"]["replicas"] == 4

    await scene.until(scaled)
    assert await events(scene, "SuccessfulRescale") == [
        "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    ]
    assert (await condition(scene, "ScalingActive"))["reason"] == "ValidMetricFound"
    assert (await condition(scene, "AbleToScale"))["reason"] == "SucceededRescale"
    assert (await condition(scene, "ScalingLimited"))["reason"] == "DesiredWithinRange"
    found = await scene.get("horizontalpodautoscalers", "web")
    assert found is not None
    status = found["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
    assert status["currentMetrics"] == [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "current": {"averageUtilization": 100, "averageValue": "500m"}},
        }
    ]
    assert status["lastScaleTime"]


async def test_without_a_metrics_api_scaling_is_not_active_and_says_why(scene: Scene, target: Object) -> None:
    await scene.create(autoscaler())
    found = await condition(scene, "ScalingActive")
    assert (found["status"], found["reason"]) == ("False", "FailedGetResourceMetric")
    assert found["message"] == (
        "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for "
        "resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested "
        "resource (get pods.metrics.k8s.io)"
    )
    (message,) = await events(scene, "FailedComputeMetricsReplicas")
    assert message.startswith(
        "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: "
    )


async def test_a_target_outside_the_bounds_is_brought_inside_without_metrics(scene: Scene, target: Object) -> None:
    await scene.create(autoscaler(minReplicas=3))
    assert await events(scene, "SuccessfulRescale") == [
        "New size: 3; reason: Current number of replicas below Spec.MinReplicas"
    ]


async def test_a_target_that_is_not_there_is_told(scene: Scene) -> None:
    await scene.create(autoscaler())
    found = await condition(scene, "AbleToScale")
    assert (found["status"], found["reason"]) == ("False", "FailedGetScale")
    assert found["message"].endswith('replicasets.apps "web" not found')


async def test_a_target_of_an_unknown_kind_is_told(scene: Scene) -> None:
    await scene.create(autoscaler("Ship"))
    found = await condition(scene, "AbleToScale")
    assert found["message"].endswith('no matches for kind "Ship" in group "apps"')


async def test_a_target_somebody_put_to_zero_stays_there(scene: Scene, target: Object) -> None:
    await scene.merge("replicasets", "web", {"spec": {"replicas": 0}})
    await scene.create(autoscaler())
    assert (await condition(scene, "ScalingActive"))["reason"] == "ScalingDisabled"
