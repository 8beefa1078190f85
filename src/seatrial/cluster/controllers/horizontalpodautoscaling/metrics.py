"""Asking for numbers: metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.

None of them is built in: an installation brings the one it needs. What cannot be had is a `MetricError` in the
words kubectl users know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.base.errors import Retryable
from seatrial.cluster.controllers.horizontalpodautoscaling.plan import MetricError, Sample
from seatrial.kube.client.client import parsed
from seatrial.kube.model import objects, quantity
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.discovery import RESTMapper
    from seatrial.kube.model.objects import Object

_RESOURCE = "/apis/metrics.k8s.io/v1beta1"
_CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
_EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
_DEFAULT_WINDOW = 60.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class Metrics:
    def __init__(self, client: Client, mapper: RESTMapper) -> None:
        self._client = client
        self._mapper = mapper

    async def resource(self, name: str, namespace: str, selector: str, container: str = "") -> dict[str, Sample]:
        """By pod, of the pods whose every container has a number (or only of one container). Raises MetricError."""
        path = f"{_RESOURCE}/namespaces/{namespace}/pods"
        try:
            items = await self._items(path, "pods.metrics.k8s.io", labelSelector=selector)
        except MetricError as error:
            raise MetricError(f"unable to fetch metrics from resource metrics API: {error.message}") from error
        if not items:
            raise MetricError("no metrics returned from resource metrics API")
        found = ((objects.name(item), _usage(item, name, container)) for item in items)
        return {pod: sample for pod, sample in found if sample is not None}

    async def pods(self, name: str, namespace: str, selector: str, metric_selector: str) -> dict[str, Sample]:
        """A custom metric of every pod. Raises MetricError."""
        path = f"{_CUSTOM}/namespaces/{namespace}/pods/*/{name}"
        items = await self._custom(path, labelSelector=selector, metricLabelSelector=metric_selector)
        return {item["describedObject"]["name"]: _sample(item) for item in items}

    async def object(self, name: str, namespace: str, described: Object, metric_selector: str) -> int:
        """A custom metric of one object. Raises MetricError."""
        if described["kind"] == "Namespace" and described.get("apiVersion") in (None, "", "v1"):
            path = f"{_CUSTOM}/namespaces/{namespace}/metrics/{name}"
        else:
            group, _ = objects.split_api_version(described.get("apiVersion") or "")
            try:
                resource = await self._mapper.for_group_kind(group, described["kind"])
            except Retryable as error:
                raise MetricError(f"unable to fetch metrics from custom metrics API: {error.message}") from error
            path = f"{_CUSTOM}/namespaces/{namespace}/{resource.group_resource}/{described['name']}/{name}"
        return quantity.milli((await self._custom(path, metricLabelSelector=metric_selector))[0]["value"])

    async def external(self, name: str, namespace: str, metric_selector: str) -> int:
        """The sum of all values of an external metric. Raises MetricError."""
        path = f"{_EXTERNAL}/namespaces/{namespace}/{name}"
        try:
            items = await self._items(path, f"{name}.external.metrics.k8s.io", labelSelector=metric_selector)
        except MetricError as error:
            raise MetricError(f"unable to fetch metrics from external metrics API: {error.message}") from error
        if not items:
            raise MetricError("no metrics returned from external metrics API")
        return sum(quantity.milli(item["value"]) for item in items)

    async def _custom(self, path: str, **query: str) -> list[Object]:
        where = f"{path.rpartition('/')[2]}.custom.metrics.k8s.io"
        try:
            items = await self._items(path, where, **query)
        except MetricError as error:
            raise MetricError(f"unable to fetch metrics from custom metrics API: {error.message}") from error
        if not items:
            raise MetricError("no metrics returned from custom metrics API")
        return items

    async def _items(self, path: str, where: str, **query: str) -> list[Object]:
        given = [(key, value) for key, value in query.items() if value]
        try:
            response = await self._client.raw("GET", path, query=given, headers={"accept": "application/json"})
        except StatusError as error:
            raise MetricError(_explained(error, where)) from error
        except Retryable as error:
            raise MetricError(error.message) from error
        return parsed(response).get("items") or []


def _explained(error: StatusError, where: str) -> str:
    if error.code == 404 and not error.details.get("name"):
        return f"the server could not find the requested resource (get {where})"
    if error.code == 503:
        return f"the server is currently unable to handle the request (get {where})"
    return error.message


def _usage(item: Object, resource: str, container: str) -> Sample | None:
    """None if any number that counts is missing."""
    containers = item.get("containers") or []
    if container:
        containers = [found for found in containers if found["name"] == container]
    usages = [found.get("usage") or {} for found in containers]
    if not usages or any(resource not in usage for usage in usages):
        return None
    used = sum(quantity.milli(usage[resource]) for usage in usages)
    return Sample(used, _time(item), seconds(item.get("window") or ""))


def _sample(item: Object) -> Sample:
    window = item.get("windowSeconds")
    return Sample(quantity.milli(item["value"]), _time(item), _DEFAULT_WINDOW if window is None else window)


def _time(item: dict[str, Any]) -> float:
    return parse_time(item["timestamp"]) if item.get("timestamp") else 0.0


def seconds(duration: str) -> float:
    """`1m30s` is 90."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))
