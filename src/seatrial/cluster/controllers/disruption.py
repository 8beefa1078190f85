"""PodDisruptionBudgets: how many pods may be evicted now. The API server's eviction reads and spends it.

`plan` is pure. A pod an eviction took is in `disruptedPods` until its deletion shows, so that it is not counted as
healthy meanwhile. Source: the Kubernetes documentation, "Specifying a Disruption Budget".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.base.errors import Retryable
from seatrial.kube.client.discovery import RESTMapper, UnknownResource
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import conditions, objects, resources, selectors
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object

DELETION_SECONDS = 120.0
"""How long a pod that an eviction took may stay undeleted before it counts again."""
COMPONENT = "controllermanager"


class ScaleUnknown(Retryable):
    """A pod's controller does not say how many pods it wants."""

    reason = "SyncFailed"


# deciding


@dataclass(frozen=True, slots=True)
class Plan:
    healthy: int
    desired: int
    expected: int
    disrupted: dict[str, str]
    recheck_after: float | None

    @property
    def allowed(self) -> int:
        """0 while nothing is expected: the first pods of a budget must not find it open."""
        return max(0, self.healthy - self.desired) if self.expected > 0 else 0


def plan(budget: Object, pods: list[Object], scale: int, now: float) -> Plan:
    """`scale`: what the controllers of the pods want in sum (see `needs_scale`)."""
    spec = budget["spec"]
    expected = scale if needs_scale(budget) else len(pods)
    if spec.get("maxUnavailable") is not None:
        desired = max(0, expected - share(spec["maxUnavailable"], expected))
    else:
        desired = share(spec.get("minAvailable") or 0, expected)
    known = (budget.get("status") or {}).get("disruptedPods") or {}
    disrupted = _still_disrupted(known, pods, now)
    healthy = sum(1 for pod in pods if _is_healthy(pod) and objects.name(pod) not in disrupted)
    ends = [parse_time(time) + DELETION_SECONDS - now for time in disrupted.values()]
    return Plan(healthy, desired, expected, disrupted, min(ends) if ends else None)


def needs_scale(budget: Object) -> bool:
    """A share is one of what the controllers want, not of the pods there happen to be."""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def share(value: int | str, total: int) -> int:
    """A number, or a percentage of `total` rounded up."""
    return value if isinstance(value, int) else math.ceil(int(value.removesuffix("%")) * total / 100)


def _is_healthy(pod: Object) -> bool:
    return not objects.is_deleting(pod) and conditions.is_true(pod, "Ready")


def _still_disrupted(known: Mapping[str, str], pods: Iterable[Object], now: float) -> dict[str, str]:
    """Those that are neither being deleted nor overdue."""
    waited_for = {objects.name(pod) for pod in pods if not objects.is_deleting(pod)}
    return {
        name: time for name, time in known.items() if name in waited_for and parse_time(time) + DELETION_SECONDS >= now
    }


def status_of(budget: Object, made: Plan, now: float) -> dict[str, Any]:
    listed = objects.clone(budget).get("status", {}).get("conditions") or []
    generation = budget["metadata"].get("generation") or 0
    said = ("True", "SufficientPods") if made.allowed else ("False", "InsufficientPods")
    conditions.set_condition(listed, "DisruptionAllowed", *said, "", rfc3339(now), observedGeneration=generation)
    status: dict[str, Any] = {
        "currentHealthy": made.healthy,
        "desiredHealthy": made.desired,
        "expectedPods": made.expected,
        "disruptionsAllowed": made.allowed,
        "observedGeneration": generation,
        "conditions": listed,
    }
    return {**status, "disruptedPods": made.disrupted} if made.disrupted else status


# doing


def build(context: ControlContext) -> Controller:
    return _Budgets(context).controller


class _Scales:
    """How many pods a pod's controller wants."""

    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._mapper = RESTMapper(context.client)
        self.informers = {
            kind: context.informers.get(resources.for_plural(plural, group))
            for kind, plural, group in (
                ("Deployment", "deployments", "apps"),
                ("ReplicaSet", "replicasets", "apps"),
                ("StatefulSet", "statefulsets", "apps"),
                ("ReplicationController", "replicationcontrollers", ""),
            )
        }

    async def total(self, pods: Iterable[Object]) -> tuple[int, bool]:
        """The sum over all controllers, each once; and whether a pod had none. Raises ScaleUnknown."""
        scales: dict[str, int] = {}
        unmanaged = False
        for pod in pods:
            owner = objects.controller_of(pod)
            if owner is None:
                unmanaged = True
                continue
            top = self._top(owner, objects.namespace(pod))
            if top["uid"] not in scales:
                scales[top["uid"]] = await self._scale(top, pod)
        return sum(scales.values()), unmanaged

    def _top(self, owner: dict[str, Any], namespace: str) -> dict[str, Any]:
        """A ReplicaSet's Deployment stands for all its ReplicaSets."""
        held = self._held(owner, namespace)
        above = objects.controller_of(held) if held is not None and owner["kind"] == "ReplicaSet" else None
        return above if above is not None and above["kind"] == "Deployment" else owner

    def _held(self, owner: dict[str, Any], namespace: str) -> Object | None:
        informer = self.informers.get(owner["kind"])
        if informer is None or informer.resource.api_version != owner["apiVersion"]:
            return None
        found = informer.get(namespace, owner["name"])
        return found if found is not None and objects.uid(found) == owner["uid"] else None

    async def _scale(self, owner: dict[str, Any], pod: Object) -> int:
        held = self._held(owner, objects.namespace(pod))
        if held is not None:
            return int(held["spec"].get("replicas", 1))
        try:
            resource = await self._mapper.for_kind(owner["apiVersion"], owner["kind"])
            if resource.subresource("scale") is None:
                raise ScaleUnknown(f"{resource} does not implement the scale subresource")
            scale = await self._client.get(resource, owner["name"], objects.namespace(pod), subresource="scale")
        except (UnknownResource, StatusError) as error:
            if isinstance(error, StatusError) and error.code != 404:
                raise
            raise ScaleUnknown(f'found no controllers for pod "{objects.name(pod)}"') from error
        return int(scale["spec"].get("replicas") or 0)


class _Budgets:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._resource = resources.for_plural("poddisruptionbudgets", "policy")
        self._budgets = context.informers.get(self._resource)
        self._pods = context.informers.get(resources.for_plural("pods"))
        self._scales = _Scales(context)
        self.controller = Controller("disruption", self._reconcile, clock=context.clock)
        self.controller.watches(self._budgets)
        self.controller.watches(self._pods, lambda _pod: ())
        self._pods.on_change(self._pod_changed)
        for informer in self._scales.informers.values():
            self._follow_scale(informer)

    def _follow_scale(self, informer: Informer) -> None:
        def changed(old: Object | None, new: Object | None) -> None:
            if old is not None and new is not None and old["spec"].get("replicas") != new["spec"].get("replicas"):
                for budget in self._budgets.list(objects.namespace(new)):
                    self._enqueue(budget)

        self.controller.watches(informer, lambda _owner: ())
        informer.on_change(changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _counted(old) == _counted(new):
            return
        for pod in (old, new):
            if pod is not None:
                for budget in self._budgets.list(objects.namespace(pod)):
                    if _selector(budget).matches(objects.labels(pod)):
                        self._enqueue(budget)

    def _enqueue(self, budget: Object) -> None:
        self.controller.enqueue((objects.namespace(budget), objects.name(budget)))

    async def _reconcile(self, key: Key) -> Outcome:
        budget = self._budgets.get(*key)
        if budget is None or objects.is_deleting(budget):
            return DONE
        pods = self._pods.list(key[0], _selector(budget))
        try:
            made = await self._plan(budget, pods)
        except ScaleUnknown as error:
            await self._fail(budget, error)
            return DONE
        self._tell(budget, made, pods)
        status = status_of(budget, made, self._clock.time())
        if status != budget.get("status"):
            await self._client.update(self._resource, {**budget, "status": status}, subresource="status")
        return Outcome(requeue_after=made.recheck_after)

    async def _plan(self, budget: Object, pods: list[Object]) -> Plan:
        scale, unmanaged = await self._scales.total(pods) if needs_scale(budget) else (0, False)
        if unmanaged:
            self._event(
                budget,
                "UnmanagedPods",
                "Some of the selected pods have no controller, so that a share of them cannot be calculated: "
                "set .spec.minAvailable to a whole number to count them",
            )
        return plan(budget, pods, scale, self._clock.time())

    def _tell(self, budget: Object, made: Plan, pods: list[Object]) -> None:
        if not pods:
            self._recorder.event(budget, "Normal", "NoPods", "No matching pods found", component=COMPONENT)
        known = (budget.get("status") or {}).get("disruptedPods") or {}
        for pod in pods:
            if objects.name(pod) in known.keys() - made.disrupted.keys() and not objects.is_deleting(pod):
                name = "/".join((objects.namespace(budget), objects.name(budget)))
                self._event(pod, "NotDeleted", f"Pod was expected by PDB {name} to be deleted but it wasn't")

    async def _fail(self, budget: Object, error: ScaleUnknown) -> None:
        """Nothing may be evicted while nobody knows how many pods there should be."""
        message = f"Failed to calculate the number of expected pods: {error.message}"
        self._event(budget, "CalculateExpectedPodCountFailed", message)
        changed = objects.clone(budget)
        status = changed.setdefault("status", {})
        status["disruptionsAllowed"] = 0
        conditions.set_condition(
            status.setdefault("conditions", []),
            "DisruptionAllowed",
            "False",
            error.reason,
            error.message,
            rfc3339(self._clock.time()),
            observedGeneration=status.get("observedGeneration") or 0,
        )
        if status != budget.get("status"):
            await self._client.update(self._resource, changed, subresource="status")

    def _event(self, obj: Object, reason: str, message: str) -> None:
        self._recorder.event(obj, "Warning", reason, message, component=COMPONENT)


def _selector(budget: Object) -> selectors.LabelSelector:
    return selectors.from_object(budget["spec"].get("selector"))


def _counted(pod: Object) -> object:
    """What of a pod a budget can see."""
    return _is_healthy(pod), objects.is_deleting(pod), objects.labels(pod), objects.uid(pod)
