"""Reconciles one HorizontalPodAutoscaler: every 15 seconds, and at once when its spec changes.

Scaling goes through the `scale` sub-resource, so that whatever has one can be a target.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Retryable
from seatrial.cluster.controllers.horizontalpodautoscaling import evaluation, limits
from seatrial.cluster.controllers.horizontalpodautoscaling.evaluation import Evaluated, Target
from seatrial.cluster.controllers.horizontalpodautoscaling.limits import Bounds, History
from seatrial.cluster.controllers.horizontalpodautoscaling.metrics import Metrics
from seatrial.cluster.controllers.horizontalpodautoscaling.plan import MetricError
from seatrial.kube.client.discovery import RESTMapper, UnknownResource
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, own_key
from seatrial.kube.model import conditions, objects, resources, selectors
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.events import EventRecorder
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

PERIOD_SECONDS = 15.0
COMPONENT = "horizontal-pod-autoscaler"
_BELOW_LEAST = "Current number of replicas below Spec.MinReplicas"
_ABOVE_MOST = "Current number of replicas above Spec.MaxReplicas"
_DISABLED = "scaling is disabled since the replica count of the target is zero"


class Wanted(NamedTuple):
    replicas: int
    why: str


class _Stop(Exception):
    """Nothing more can be done in this pass; the status says why."""


def build(context: ControlContext) -> Controller:
    return _Autoscalers(context).controller


def forced(current: int, least: int, most: int) -> Wanted | None:
    """What the bounds alone ask for; None if the metrics are to decide."""
    if current > most:
        return Wanted(most, _ABOVE_MOST)
    if 0 < current < least:
        return Wanted(least, _BELOW_LEAST)
    return None


def is_disabled(hpa: Object, current: int, least: int) -> bool:
    """Somebody scaled the target to zero, and it is not for us to wake it."""
    if current != 0:
        return False
    put_to_sleep = conditions.is_true(hpa, "ScaledToZero")
    return not (put_to_sleep and (least != 0 or has_outer_metric(hpa)))


def has_outer_metric(hpa: Object) -> bool:
    """A metric that has a value even when there are no pods."""
    return any(metric["type"] in ("Object", "External") for metric in hpa["spec"].get("metrics") or ())


def highest(evaluated: list[Evaluated]) -> Evaluated:
    """The first of those that ask for most."""
    return max(evaluated, key=lambda item: item.replicas)


@dataclass(slots=True)
class _Report:
    """The HorizontalPodAutoscaler whose status this pass writes."""

    hpa: Object
    clock: Clock
    recorder: EventRecorder

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.hpa.setdefault("status", {})
        return found

    def condition(self, type_: str, status: str, reason: str, message: str) -> None:
        listed = self.status.setdefault("conditions", [])
        conditions.set_condition(listed, type_, status, reason, message, rfc3339(self.clock.time()))

    def event(self, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.recorder.event(self.hpa, type_, reason, message, component=COMPONENT)

    def replicas(self, current: int, desired: int | None, metrics: list[dict[str, Any]]) -> None:
        status = self.status
        status["currentReplicas"] = current
        status["desiredReplicas"] = status.get("desiredReplicas") or 0 if desired is None else desired
        status["observedGeneration"] = self.hpa["metadata"].get("generation") or 0
        if metrics:
            status["currentMetrics"] = metrics
        else:
            status.pop("currentMetrics", None)


class _Autoscalers:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._resource = resources.for_plural("horizontalpodautoscalers", "autoscaling")
        self._autoscalers = context.informers.get(self._resource)
        self._pods = context.informers.get(resources.for_plural("pods"))
        self._mapper = RESTMapper(context.client)
        self._metrics = Metrics(context.client, self._mapper)
        self._histories: dict[Key, History] = {}
        self._selectors: dict[Key, str] = {}
        self.controller = Controller("horizontalpodautoscaling", self._reconcile, clock=context.clock)
        self.controller.watches(self._autoscalers, lambda _hpa: ())
        self.controller.watches(self._pods, lambda _pod: ())
        self._autoscalers.on_change(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        """A pass writes the status; that alone is no reason for another."""
        if old is None or new is None or old["spec"] != new["spec"]:
            self.controller.enqueue(own_key(new if new is not None else old or {}))

    async def _reconcile(self, key: Key) -> Outcome:
        hpa = self._autoscalers.get(*key)
        if hpa is None:
            self._histories.pop(key, None)
            self._selectors.pop(key, None)
            return DONE
        if objects.is_deleting(hpa):
            return DONE
        report = _Report(objects.clone(hpa), self._clock, self._recorder)
        with contextlib.suppress(_Stop):
            await self._autoscale(key, report)
        if report.status != (hpa.get("status") or {}):
            await self._client.update(self._resource, report.hpa, subresource="status")
        return Outcome(requeue_after=PERIOD_SECONDS)

    async def _autoscale(self, key: Key, report: _Report) -> None:
        resource, scale = await self._get_scale(report)
        current = scale["spec"].get("replicas") or 0
        history = self._histories.setdefault(key, History())
        history.begin(current, self._clock.time())
        spec = report.hpa["spec"]
        least = spec.get("minReplicas", 1)
        if is_disabled(report.hpa, current, least):
            report.condition("ScalingActive", "False", "ScalingDisabled", _DISABLED)
            report.replicas(current, current, [])
            return
        wanted = forced(current, least, spec["maxReplicas"])
        shown: list[dict[str, Any]] = []
        if wanted is None:
            wanted, shown = await self._by_metrics(key, report, scale, history)
        if wanted.replicas != current:
            await self._rescale(resource, scale, wanted, report, shown)
            history.scaled(current, wanted.replicas, self._clock.time())
        report.replicas(current, wanted.replicas, shown)

    async def _get_scale(self, report: _Report) -> tuple[Resource, Object]:
        reference, namespace = report.hpa["spec"]["scaleTargetRef"], objects.namespace(report.hpa)
        group, _ = objects.split_api_version(reference.get("apiVersion") or "")
        try:
            resource = await self._mapper.for_group_kind(group, reference["kind"])
            scale = await self._client.get(resource, reference["name"], namespace, subresource="scale")
        except UnknownResource:
            problem = f'no matches for kind "{reference["kind"]}" in group "{group}"'
        except (Retryable, StatusError) as error:
            problem = error.message
        else:
            said = "the HPA controller was able to get the target's current scale"
            report.condition("AbleToScale", "True", "SucceededGetScale", said)
            return resource, scale
        report.event("Warning", "FailedGetScale", problem)
        said = f"the HPA controller was unable to get the target's current scale: {problem}"
        report.condition("AbleToScale", "False", "FailedGetScale", said)
        raise _Stop

    # deciding by metrics

    async def _by_metrics(
        self, key: Key, report: _Report, scale: Object, history: History
    ) -> tuple[Wanted, list[dict[str, Any]]]:
        spec, now = report.hpa["spec"], self._clock.time()
        target = self._target(key, report, scale)
        chosen, shown = await self._evaluate_all(report, target)
        current, least = target.replicas, spec.get("minReplicas", 1)
        why = f"{chosen.name} above target" if chosen.replicas > current else "All metrics below target"
        bounds = Bounds(current, least, spec["maxReplicas"])
        limited = limits.limit(chosen.replicas, bounds, spec.get("behavior"), history, now)
        report.condition("AbleToScale", "True", *limited.able)
        report.condition("ScalingLimited", str(limited.is_limited), *limited.limited)
        if current == 0 and limited.replicas < least:
            return Wanted(least, why if chosen.replicas > 0 else _BELOW_LEAST), shown
        return Wanted(limited.replicas, why), shown

    def _target(self, key: Key, report: _Report, scale: Object) -> Target:
        text = (scale.get("status") or {}).get("selector") or ""
        if not text:
            report.event("Warning", "SelectorRequired", "selector is required")
            self._cannot_select(report, scale, "InvalidSelector", "the HPA target's scale is missing a selector")
        try:
            selector = selectors.parse_label_selector(text)
        except ValueError as error:
            problem = f"couldn't convert selector into a corresponding internal selector object: {error}"
            report.event("Warning", "InvalidSelector", problem)
            self._cannot_select(report, scale, "InvalidSelector", problem)
        pods = self._pods.list(key[0], selector)
        self._check_unambiguous(key, text, pods, report, scale)
        spec = report.hpa["spec"]
        return Target(
            namespace=key[0],
            selector=text,
            pods=pods,
            replicas=scale["spec"].get("replicas") or 0,
            observed=scale["status"].get("replicas") or 0,
            tolerance=evaluation.tolerance_of(spec.get("behavior")),
            now=self._clock.time(),
        )

    def _check_unambiguous(self, key: Key, selector: str, pods: list[Object], report: _Report, scale: Object) -> None:
        self._selectors[key] = selector
        for other, text in self._selectors.items():
            if other == key or other[0] != key[0]:
                continue
            theirs = selectors.parse_label_selector(text)
            if any(theirs.matches(objects.labels(pod)) for pod in pods):
                both = ", ".join(sorted("/".join(item) for item in (key, other)))
                problem = f"pods by selector {selector} are controlled by more than one HPA (e.g. [{both}])"
                report.event("Warning", "AmbiguousSelector", problem)
                self._cannot_select(report, scale, "AmbiguousSelector", problem)

    def _cannot_select(self, report: _Report, scale: Object, reason: str, message: str) -> None:
        report.condition("ScalingActive", "False", reason, message)
        report.replicas(scale["spec"].get("replicas") or 0, None, [])
        raise _Stop

    async def _evaluate_all(self, report: _Report, target: Target) -> tuple[Evaluated, list[dict[str, Any]]]:
        """The metric that asks for most. One that fails stops a scale-down, for it might have spoken against."""
        found: list[Evaluated] = []
        failed: list[tuple[evaluation.Spec, MetricError]] = []
        specs = report.hpa["spec"].get("metrics") or []
        for spec in specs:
            try:
                found.append(await evaluation.evaluate(spec, target, self._metrics))
            except MetricError as error:
                report.event("Warning", evaluation.failure_reason(spec), error.message)
                failed.append((spec, error))
        shown = [item.status for item in found]
        if not found or (failed and highest(found).replicas < target.replicas):
            self._metrics_failed(report, failed, len(specs))
            report.replicas(target.replicas, None, shown)
            raise _Stop
        chosen = highest(found)
        said = f"the HPA was able to successfully calculate a replica count from {chosen.name}"
        report.condition("ScalingActive", "True", "ValidMetricFound", said)
        return chosen, shown

    def _metrics_failed(self, report: _Report, failed: list[tuple[evaluation.Spec, MetricError]], total: int) -> None:
        if not failed:
            return
        spec, error = failed[0]
        said = f"the HPA was unable to compute the replica count: {error.message}"
        report.condition("ScalingActive", "False", evaluation.failure_reason(spec), said)
        counted = f"invalid metrics ({len(failed)} invalid out of {total})"
        message = f"{counted}, first error is: {evaluation.failure(spec, error)}"
        report.event("Warning", "FailedComputeMetricsReplicas", message)

    # acting

    async def _rescale(
        self, resource: Resource, scale: Object, wanted: Wanted, report: _Report, shown: list[dict[str, Any]]
    ) -> None:
        current = scale["spec"].get("replicas") or 0
        changed = objects.clone(scale)
        changed["spec"]["replicas"] = wanted.replicas
        try:
            await self._client.update(resource, changed, subresource="scale")
        except (Retryable, StatusError) as error:
            if isinstance(error, StatusError) and error.reason == "Conflict":
                raise  # the next pass, in a moment, decides on the new state
            message = f"New size: {wanted.replicas}; reason: {wanted.why}; error: {error.message}"
            report.event("Warning", "FailedRescale", message)
            said = f"the HPA controller was unable to update the target scale: {error.message}"
            report.condition("AbleToScale", "False", "FailedUpdateScale", said)
            report.replicas(current, None, shown)
            raise _Stop from error
        said = f"the HPA controller was able to update the target scale to {wanted.replicas}"
        report.condition("AbleToScale", "True", "SucceededRescale", said)
        report.event("Normal", "SuccessfulRescale", f"New size: {wanted.replicas}; reason: {wanted.why}")
        self._note_sleep(report, wanted.replicas)
        report.status["lastScaleTime"] = rfc3339(self._clock.time())

    def _note_sleep(self, report: _Report, replicas: int) -> None:
        """Remember who put the target to sleep: only then may it be woken."""
        if replicas == 0 and has_outer_metric(report.hpa):
            report.condition("ScaledToZero", "True", "ScaledToZero", "the HPA controller scaled the workload to zero")
        else:
            said = "the HPA controller did not scale the workload to zero"
            report.condition("ScaledToZero", "False", "NotScaledToZero", said)
