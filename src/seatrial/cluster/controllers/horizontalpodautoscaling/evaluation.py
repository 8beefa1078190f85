"""One metric of a HorizontalPodAutoscaler: its numbers, the replica count they ask for, and what the status shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.controllers.horizontalpodautoscaling import plan
from seatrial.cluster.controllers.horizontalpodautoscaling.plan import MetricError, Proposal, Tolerance
from seatrial.kube.model import quantity, selectors

if TYPE_CHECKING:
    from seatrial.cluster.controllers.horizontalpodautoscaling.metrics import Metrics
    from seatrial.kube.model.objects import Object

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What is being scaled, as it is now."""

    namespace: str
    selector: str
    pods: list[Object]
    replicas: int
    observed: int
    """status.replicas"""
    tolerance: Tolerance
    now: float


class Evaluated(NamedTuple):
    replicas: int
    name: str
    """For the reason of a rescale."""
    status: dict[str, Any]
    """An entry of status.currentMetrics."""


def tolerance_of(behavior: dict[str, Any] | None) -> Tolerance:
    given = {key: (behavior or {}).get(key, {}).get("tolerance") for key in ("scaleDown", "scaleUp")}
    found = {key: float(quantity.parse(value)) for key, value in given.items() if value is not None}
    return Tolerance(found.get("scaleDown", 0.1), found.get("scaleUp", 0.1))


def failure_reason(spec: Spec) -> str:
    """The reason of ScalingActive=False, and of the event."""
    known = ("Resource", "ContainerResource", "Pods", "Object", "External")
    return f"FailedGet{spec['type']}Metric" if spec["type"] in known else "InvalidMetricSourceType"


def failure(spec: Spec, error: MetricError) -> str:
    """The error with the metric it is about."""
    match spec["type"]:
        case "Resource":
            metric = f"{spec['resource']['name']} resource"
        case "ContainerResource":
            metric = f"{spec['containerResource']['container']} container"
        case "External":
            metric = f"{spec['external']['metric']['name']} external"
        case other:
            metric = str(other).lower()
    return f"failed to get {metric} metric value: {error.message}"


async def evaluate(spec: Spec, target: Target, metrics: Metrics) -> Evaluated:
    """Raises MetricError."""
    match spec["type"]:
        case "Resource":
            return await _resource(spec["resource"], "", target, metrics)
        case "ContainerResource":
            source = spec["containerResource"]
            return await _resource(source, source["container"], target, metrics)
        case "Pods":
            return await _pods(spec["pods"], target, metrics)
        case "Object":
            return await _object(spec["object"], target, metrics)
        case "External":
            return await _external(spec["external"], target, metrics)
    raise MetricError(f'unknown metric source type "{spec["type"]}"')


async def _resource(source: Spec, container: str, target: Target, metrics: Metrics) -> Evaluated:
    resource, wanted = source["name"], source["target"]
    average = wanted.get("averageValue")
    if average is None and wanted.get("averageUtilization") is None:
        raise MetricError(
            "invalid resource metric source: neither an average utilization target nor an average value (usage) "
            "target was set"
        )
    try:
        proposal = await _resource_proposal(source, container, target, metrics)
    except MetricError as error:
        measure = "utilization" if average is None else "usage"
        raise MetricError(f"failed to get {resource} {measure}: {error.message}") from error
    current: dict[str, Any] = {"averageValue": spelled(resource, proposal.usage)}
    if proposal.utilization is not None:
        current["averageUtilization"] = proposal.utilization
    kind = "container resource" if container and average is None else "resource"
    name = f"{resource} {kind}" + (" utilization (percentage of request)" if average is None else "")
    if container:
        shown = {"name": resource, "container": container, "current": current}
        return Evaluated(proposal.replicas, name, {"type": "ContainerResource", "containerResource": shown})
    shown = {"name": resource, "current": current}
    return Evaluated(proposal.replicas, name, {"type": "Resource", "resource": shown})


async def _resource_proposal(source: Spec, container: str, target: Target, metrics: Metrics) -> Proposal:
    resource, wanted = source["name"], source["target"]
    try:
        samples = await metrics.resource(resource, target.namespace, target.selector, container)
    except MetricError as error:
        raise MetricError(f"unable to get metrics for resource {resource}: {error.message}") from error
    groups = plan.group(target.pods, samples, resource, target.now)
    if wanted.get("averageValue") is not None:
        average = quantity.milli(wanted["averageValue"])
        return plan.by_average(samples, target.pods, average, target.replicas, target.tolerance, groups)
    requests = plan.requests_of(target.pods, resource, container)
    percent = wanted["averageUtilization"]
    return plan.by_utilization(samples, target.pods, requests, percent, target.replicas, target.tolerance, groups)


async def _pods(source: Spec, target: Target, metrics: Metrics) -> Evaluated:
    name = source["metric"]["name"]
    try:
        samples = await metrics.pods(name, target.namespace, target.selector, _selector(source))
    except MetricError as error:
        raise MetricError(f"unable to get metric {name}: {error.message}") from error
    groups = plan.group(target.pods, samples, "", target.now)
    average = quantity.milli(source["target"]["averageValue"])
    proposal = plan.by_average(samples, target.pods, average, target.replicas, target.tolerance, groups)
    current = {"averageValue": _milli(proposal.usage)}
    status = {"type": "Pods", "pods": {"metric": source["metric"], "current": current}}
    return Evaluated(proposal.replicas, f"pods metric {name}", status)


async def _object(source: Spec, target: Target, metrics: Metrics) -> Evaluated:
    name, described = source["metric"]["name"], source["describedObject"]
    try:
        usage = await metrics.object(name, target.namespace, described, _selector(source))
    except MetricError as error:
        where = f"{described['kind']} {target.namespace}/{described['name']}"
        raise MetricError(f"unable to get metric {name} on {where}: {error.message}") from error
    proposal, current = _whole(source["target"], usage, target, "object")
    shown = {"describedObject": described, "metric": source["metric"], "current": current}
    label = f"{described['kind']} metric {name}" if "value" in current else _external_name(source)
    return Evaluated(proposal.replicas, label, {"type": "Object", "object": shown})


async def _external(source: Spec, target: Target, metrics: Metrics) -> Evaluated:
    name = source["metric"]["name"]
    try:
        usage = await metrics.external(name, target.namespace, _selector(source))
    except MetricError as error:
        shown = f"{target.namespace}/{name}/{_spelled_selector(source)}"
        raise MetricError(f"unable to get external metric {shown}: {error.message}") from error
    proposal, current = _whole(source["target"], usage, target, "external")
    status = {"type": "External", "external": {"metric": source["metric"], "current": current}}
    return Evaluated(proposal.replicas, _external_name(source), status)


def _whole(wanted: Spec, usage: int, target: Target, kind: str) -> tuple[Proposal, dict[str, str]]:
    """A metric with one value for all pods: to be kept, or to be shared out."""
    if wanted.get("averageValue") is not None:
        average = quantity.milli(wanted["averageValue"])
        proposal = plan.by_share(usage, average, target.observed, target.tolerance)
        return proposal, {"averageValue": _milli(proposal.usage)}
    if wanted.get("value") is not None:
        value = quantity.milli(wanted["value"])
        proposal = plan.by_value(usage, value, target.replicas, target.pods, target.tolerance)
        return proposal, {"value": _milli(proposal.usage)}
    raise MetricError(f"invalid {kind} metric source: neither a value target nor an average value target was set")


def _selector(source: Spec) -> str:
    given = source["metric"].get("selector")
    return str(selectors.from_object(given)) if given else ""


def _external_name(source: Spec) -> str:
    return f"external metric {source['metric']['name']}({_spelled_selector(source)})"


def _spelled_selector(source: Spec) -> str:
    return _selector(source) or "nil"


def _milli(value: int) -> str:
    return quantity.canonical(f"{value}m")


def spelled(resource: str, milli: int) -> str:
    """Memory in powers of 1024, as metrics servers report it."""
    units, rest = divmod(milli, 1000)
    if resource == "memory" and not rest and units % 1024 == 0:
        return quantity.canonical(f"{units // 1024}Ki")
    return str(units) if resource == "memory" and not rest else _milli(milli)
