"""Asking metrics APIs, and what one metric of an autoscaler comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.controllers.horizontalpodautoscaling import evaluation
from seatrial.cluster.controllers.horizontalpodautoscaling.evaluation import Target
from seatrial.cluster.controllers.horizontalpodautoscaling.metrics import Metrics, seconds
from seatrial.cluster.controllers.horizontalpodautoscaling.plan import MetricError, Tolerance
from seatrial.kube.client.client import Client
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.client.transport import Request, Response, WatchEvent
from seatrial.kube.model.status import page_not_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.kube.model.objects import Object

TIME = "2026-01-01T00:00:00Z"
INGRESSES = {
    "kind": "APIGroupDiscoveryList",
    "items": [
        {
            "metadata": {"name": "networking.k8s.io"},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {"resource": "ingresses", "scope": "Namespaced", "responseKind": {"kind": "Ingress"}}
                    ],
                }
            ],
        }
    ],
}


class Answers:
    """A transport that knows a few paths."""

    def __init__(self, **objects: Object) -> None:
        self.objects: dict[str, Object] = {"/apis": INGRESSES, "/api": {"kind": "APIGroupDiscoveryList"}}
        self.asked: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.asked.append(request)
        if request.path not in self.objects:
            raise page_not_found()
        return Response(200, {}, object=self.objects[request.path])

    def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        raise NotImplementedError

    async def close(self) -> None: ...


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def metrics(answers: Answers) -> Metrics:
    client = Client(answers)
    return Metrics(client, RESTMapper(client))


def usage(name: str, **containers: dict[str, str]) -> Object:
    return {
        "metadata": {"name": name},
        "timestamp": TIME,
        "window": "1m30s",
        "containers": [{"name": container, "usage": used} for container, used in containers.items()],
    }


async def test_usage_is_summed_over_containers(answers: Answers, metrics: Metrics) -> None:
    items = [usage("a", main={"cpu": "250m"}, side={"cpu": "1"}), usage("b", main={"cpu": "1"}, side={"memory": "1Mi"})]
    answers.objects["/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"] = {"items": items}
    found = await metrics.resource("cpu", "shop", "app=web")
    assert {name: sample.value for name, sample in found.items()} == {"a": 1250}, "b has a container without a number"
    assert found["a"].window == 90.0
    assert answers.asked[-1].param("labelSelector") == "app=web"
    one = await metrics.resource("cpu", "shop", "app=web", "main")
    assert {name: sample.value for name, sample in one.items()} == {"a": 250, "b": 1000}


async def test_no_metrics_at_all_is_an_error(answers: Answers, metrics: Metrics) -> None:
    answers.objects["/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"] = {"items": []}
    with pytest.raises(MetricError, match="no metrics returned from resource metrics API"):
        await metrics.resource("cpu", "shop", "")


async def test_a_missing_api_is_told_in_known_words(metrics: Metrics) -> None:
    with pytest.raises(MetricError) as error:
        await metrics.resource("cpu", "shop", "")
    assert error.value.message == (
        "unable to fetch metrics from resource metrics API: the server could not find the requested resource "
        "(get pods.metrics.k8s.io)"
    )


@pytest.mark.parametrize(("text", "number"), [("30s", 30.0), ("1m0s", 60.0), ("1h2m3.5s", 3723.5), ("500ms", 0.5)])
def test_durations(text: str, number: float) -> None:
    assert seconds(text) == number


# one metric


def pods(count: int) -> list[Object]:
    return [
        {
            "metadata": {"name": f"p{number}"},
            "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }
        for number in range(count)
    ]


TARGET = Target("shop", "app=web", pods(2), replicas=2, observed=2, tolerance=Tolerance(), now=1_800_000_000.0)


def custom(*values: str) -> Object:
    items: list[dict[str, Any]] = [
        {"describedObject": {"name": f"p{number}"}, "timestamp": TIME, "value": value}
        for number, value in enumerate(values)
    ]
    return {"items": items}


async def test_a_memory_average(answers: Answers, metrics: Metrics) -> None:
    items = [usage("p0", main={"memory": "512Mi"}), usage("p1", main={"memory": "256Mi"})]
    answers.objects["/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"] = {"items": items}
    source = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "128Mi"}}
    found = await evaluation.evaluate({"type": "Resource", "resource": source}, TARGET, metrics)
    assert (found.replicas, found.name) == (6, "memory resource")
    assert found.status == {"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "384Mi"}}}


async def test_one_containers_utilization(answers: Answers, metrics: Metrics) -> None:
    items = [usage(f"p{number}", main={"memory": "512Mi"}, side={"memory": "9Gi"}) for number in range(2)]
    answers.objects["/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"] = {"items": items}
    target = {"type": "Utilization", "averageUtilization": 25}
    source = {"name": "memory", "container": "main", "target": target}
    found = await evaluation.evaluate({"type": "ContainerResource", "containerResource": source}, TARGET, metrics)
    assert found.replicas == 4
    assert found.name == "memory container resource utilization (percentage of request)"
    assert found.status["containerResource"]["current"] == {"averageUtilization": 50, "averageValue": "512Mi"}


async def test_a_metric_of_the_pods(answers: Answers, metrics: Metrics) -> None:
    answers.objects["/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/requests"] = custom("10", "30")
    source = {"metric": {"name": "requests", "selector": {"matchLabels": {"verb": "GET"}}}}
    spec = {"type": "Pods", "pods": {**source, "target": {"type": "AverageValue", "averageValue": "5"}}}
    found = await evaluation.evaluate(spec, TARGET, metrics)
    assert (found.replicas, found.name) == (8, "pods metric requests")
    assert found.status["pods"]["current"] == {"averageValue": "20"}
    assert answers.asked[-1].param("metricLabelSelector") == "verb=GET"


async def test_a_metric_of_an_object_as_a_value_and_as_an_average(answers: Answers, metrics: Metrics) -> None:
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/ingresses.networking.k8s.io/front/hits"
    answers.objects[path] = custom("300")
    described = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"}
    source = {"describedObject": described, "metric": {"name": "hits"}}
    value = {"type": "Object", "object": {**source, "target": {"type": "Value", "value": "100"}}}
    found = await evaluation.evaluate(value, TARGET, metrics)
    assert (found.replicas, found.name) == (6, "Ingress metric hits")
    assert found.status["object"]["current"] == {"value": "300"}
    average = {"type": "Object", "object": {**source, "target": {"type": "AverageValue", "averageValue": "100"}}}
    found = await evaluation.evaluate(average, TARGET, metrics)
    assert (found.replicas, found.status["object"]["current"]) == (3, {"averageValue": "150"})


async def test_an_external_metric_is_the_sum_of_its_values(answers: Answers, metrics: Metrics) -> None:
    answers.objects["/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue"] = custom("100", "50500m")
    target = {"type": "AverageValue", "averageValue": "50"}
    source = {"metric": {"name": "queue"}, "target": target}
    found = await evaluation.evaluate({"type": "External", "external": source}, TARGET, metrics)
    assert (found.replicas, found.name) == (4, "external metric queue(nil)")
    assert found.status["external"]["current"] == {"averageValue": "75250m"}


@pytest.mark.parametrize(
    ("spec", "reason", "start"),
    [
        (
            {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"averageValue": "1"}}},
            "FailedGetPodsMetric",
            "failed to get pods metric value: unable to get metric m: unable to fetch metrics from custom metrics API",
        ),
        (
            {"type": "External", "external": {"metric": {"name": "m"}, "target": {"value": "1"}}},
            "FailedGetExternalMetric",
            "failed to get m external metric value: unable to get external metric shop/m/nil: ",
        ),
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
            "FailedGetResourceMetric",
            "failed to get cpu resource metric value: failed to get cpu utilization: ",
        ),
    ],
)
async def test_what_failed_is_named(spec: Object, reason: str, start: str, metrics: Metrics) -> None:
    with pytest.raises(MetricError) as error:
        await evaluation.evaluate(spec, TARGET, metrics)
    assert evaluation.failure_reason(spec) == reason
    assert evaluation.failure(spec, error.value).startswith(start)


@pytest.mark.parametrize(
    ("resource", "milli", "text"),
    [
        ("cpu", 500, "500m"),
        ("cpu", 2000, "2"),
        ("memory", 1024 * 1024 * 1000, "1Mi"),
        ("memory", 1500 * 1000, "1500"),
        ("memory", 1500, "1500m"),
        ("memory", 0, "0"),
    ],
)
def test_values_are_spelled_as_metrics_servers_do(resource: str, milli: int, text: str) -> None:
    assert evaluation.spelled(resource, milli) == text


def test_tolerances_come_from_the_behavior() -> None:
    assert evaluation.tolerance_of(None) == Tolerance(0.1, 0.1)
    assert evaluation.tolerance_of({"scaleUp": {"tolerance": "50m"}}) == Tolerance(0.1, 0.05)
