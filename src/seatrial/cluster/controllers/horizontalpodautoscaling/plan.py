"""From the numbers of one metric to a replica count. Pure; values are in thousandths, as the API counts them.

Source: the Kubernetes documentation, "Horizontal Pod Autoscaling", section "Algorithm details".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.clock import parse_time
from seatrial.base.errors import Retryable
from seatrial.kube.model import conditions, objects, quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from seatrial.kube.model.objects import Object

CPU_INITIALIZATION_SECONDS = 300.0
"""A pod this young burns CPU by starting: its numbers count only while it is ready."""
INITIAL_READINESS_SECONDS = 30.0
"""A pod that is not ready and never was after this time has not started yet."""
MOST_REPLICAS = 2**31 - 1


class MetricError(Retryable):
    """The metric gives no replica count now; the message says why."""

    reason = "MetricUnavailable"


class Sample(NamedTuple):
    value: int
    timestamp: float = 0.0
    window: float = 0.0
    """Seconds the value was averaged over."""


class Tolerance(NamedTuple):
    """How far a ratio may be from 1 before anything is done."""

    down: float = 0.1
    up: float = 0.1

    def allows(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Proposal(NamedTuple):
    replicas: int
    usage: int
    """Average over the pods, or the whole value."""
    utilization: int | None = None
    """Per cent of the requests."""


@dataclass(slots=True)
class Groups:
    """Pod names by how their numbers count."""

    ready: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)


# one value per pod


def by_utilization(
    samples: Mapping[str, Sample],
    pods: list[Object],
    requests: Mapping[str, int],
    target: int,
    current: int,
    tolerance: Tolerance,
    groups: Groups,
) -> Proposal:
    """`target` is a percentage of the requests. Raises MetricError."""
    measured = _measured(samples, pods, groups)
    utilization, usage = _utilization(measured, requests)

    def ratio(values: Mapping[str, int]) -> float:
        return _utilization(values, requests)[0] / target

    def assumed(pod: str) -> int:
        return requests[pod] * max(100, target) // 100

    replicas = _replicas(measured, groups, ratio, assumed, current, tolerance)
    return Proposal(replicas, usage, utilization)


def by_average(
    samples: Mapping[str, Sample],
    pods: list[Object],
    target: int,
    current: int,
    tolerance: Tolerance,
    groups: Groups,
) -> Proposal:
    """`target` is the average value per pod. Raises MetricError."""
    measured = _measured(samples, pods, groups)

    def ratio(values: Mapping[str, int]) -> float:
        return _average(values) / target

    replicas = _replicas(measured, groups, ratio, lambda _pod: target, current, tolerance)
    return Proposal(replicas, _average(measured))


def _measured(samples: Mapping[str, Sample], pods: list[Object], groups: Groups) -> dict[str, int]:
    if not pods:
        raise MetricError("no pods returned by selector while calculating replica count")
    left_out = groups.unready | groups.ignored
    measured = {pod: sample.value for pod, sample in samples.items() if pod not in left_out}
    if not measured:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return measured


def _average(values: Mapping[str, int]) -> int:
    return sum(values.values()) // len(values)


def _utilization(values: Mapping[str, int], requests: Mapping[str, int]) -> tuple[int, int]:
    """Per cent of the requests, and the average value."""
    known = [pod for pod in values if pod in requests]
    requested = sum(requests[pod] for pod in known)
    if requested == 0:
        raise MetricError("no metrics returned matched known pods")
    used = sum(values[pod] for pod in known)
    return used * 100 // requested, used // len(known)


def _replicas(
    measured: Mapping[str, int],
    groups: Groups,
    ratio: Callable[[Mapping[str, int]], float],
    assumed: Callable[[str], int],
    current: int,
    tolerance: Tolerance,
) -> int:
    """What is not known is assumed to speak against the change, and may at most stop it."""
    first = ratio(measured)
    starting = groups.unready if first > 1.0 else set()
    if not starting and not groups.missing:
        return current if tolerance.allows(first) else math.ceil(first * len(groups.ready))
    values = dict(measured)
    if first < 1.0:
        values |= {pod: assumed(pod) for pod in groups.missing}
    elif first > 1.0:
        values |= dict.fromkeys(groups.missing | starting, 0)
    second = ratio(values)
    if tolerance.allows(second) or (first - 1.0) * (second - 1.0) < 0:
        return current
    replicas = math.ceil(second * len(values))
    turned = replicas > current if second < 1.0 else replicas < current
    return current if turned else replicas


def group(pods: Iterable[Object], samples: Mapping[str, Sample], resource: str, now: float) -> Groups:
    """`resource`: `cpu` counts young pods with care."""
    groups = Groups()
    for pod in pods:
        _group_of(pod, samples, resource, now, groups).add(objects.name(pod))
    return groups


def _group_of(pod: Object, samples: Mapping[str, Sample], resource: str, now: float, groups: Groups) -> set[str]:
    phase = (pod.get("status") or {}).get("phase")
    if objects.is_deleting(pod) or phase == "Failed":
        return groups.ignored
    if phase == "Pending":
        return groups.unready
    sample = samples.get(objects.name(pod))
    if sample is None:
        return groups.missing
    if resource == "cpu" and _is_starting(pod, sample, now):
        return groups.unready
    return groups.ready


def _is_starting(pod: Object, sample: Sample, now: float) -> bool:
    ready = conditions.get(pod, "Ready")
    started = (pod.get("status") or {}).get("startTime")
    if ready is None or not started:
        return True
    unready = ready.get("status") == "False"
    changed = parse_time(ready["lastTransitionTime"]) if ready.get("lastTransitionTime") else 0.0
    if parse_time(started) + CPU_INITIALIZATION_SECONDS > now:
        return unready or sample.timestamp < changed + sample.window
    return unready and parse_time(started) + INITIAL_READINESS_SECONDS > changed


def requests_of(pods: Iterable[Object], resource: str, container: str = "") -> dict[str, int]:
    """What each pod asks for: its own request, or the sum of its containers' (or one container's).

    Raises MetricError: a missing request makes a utilization meaningless.
    """
    return {objects.name(pod): _request(pod, resource, container) for pod in pods}


def _request(pod: Object, resource: str, container: str) -> int:
    whole = (pod["spec"].get("resources") or {}).get("requests") or {}
    if not container and resource in whole:
        return quantity.milli(whole[resource])
    containers = _running_containers(pod["spec"])
    if container:
        containers = [item for item in containers if item["name"] == container]
        if not containers:
            raise MetricError(f"container {container} not found in Pod {objects.name(pod)}")
    return sum(_container_request(pod, item, resource) for item in containers)


def _container_request(pod: Object, container: Object, resource: str) -> int:
    requests = (container.get("resources") or {}).get("requests") or {}
    if resource not in requests:
        name = objects.name(pod)
        raise MetricError(f"missing request for {resource} in container {container['name']} of Pod {name}")
    return quantity.milli(requests[resource])


def _running_containers(spec: Object) -> list[Object]:
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    return [*spec["containers"], *sidecars]


# one value for all


def by_value(usage: int, target: int, current: int, pods: list[Object], tolerance: Tolerance) -> Proposal:
    """The value should stay at `target`; from 0 replicas it is taken for what each should bear."""
    ratio = usage / target
    if current == 0:
        return Proposal(_capped(ratio), usage)
    if tolerance.allows(ratio):
        return Proposal(current, usage)
    if not pods:
        message = "unable to calculate ready pods: no pods returned by selector while calculating replica count"
        raise MetricError(message)
    ready = sum(1 for pod in pods if _is_running_and_ready(pod))
    return Proposal(_capped(ratio * ready), usage)


def by_share(usage: int, target: int, observed: int, tolerance: Tolerance) -> Proposal:
    """Each of the `observed` replicas should bear `target` of the value."""
    ratio = usage / (target * observed) if observed else math.inf
    replicas = observed if tolerance.allows(ratio) else _capped(usage / target)
    return Proposal(replicas, math.ceil(usage / observed) if observed else usage)


def _capped(replicas: float) -> int:
    return min(MOST_REPLICAS, math.ceil(replicas))


def _is_running_and_ready(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Running" and conditions.is_true(pod, "Ready")
