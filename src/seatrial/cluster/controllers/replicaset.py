"""ReplicaSets: so many pods of one template, no more and no fewer.

`missing_or_surplus` and `status_of` are pure; the rest creates, deletes and reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers import ownership, pods
from seatrial.cluster.controllers.podwriter import PODS, PodWriter
from seatrial.cluster.controllers.template import pod_from
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, owner_keys
from seatrial.kube.model import conditions, objects, resources, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.selectors import LabelSelector

MOST_AT_ONCE = 500
"""Pods made or deleted in one pass."""
REPLICA_FAILURE = "ReplicaFailure"
_COMPONENT = "replicaset-controller"
_WORKERS = 8
_MANY = 200
_PAUSE_PER_POD = 0.00025
"""Seconds. A pass looks at every pod and each pod's change asks for one: without a pause a set of thousands would take
all there is, and the time to fill it would grow with the square of its size."""


def missing(replica_set: Object, active: Sequence[Object]) -> int:
    """How many pods to create now."""
    return max(0, min(MOST_AT_ONCE, wanted(replica_set) - len(active)))


def surplus(replica_set: Object, active: Sequence[Object], related: Iterable[Object]) -> list[Object]:
    """Which pods to delete now. `related`: pods of all sets of the same Deployment."""
    count = min(MOST_AT_ONCE, len(active) - wanted(replica_set))
    return pods.deletion_order(active, related)[:count] if count > 0 else []


def wanted(replica_set: Object) -> int:
    replicas: int = replica_set["spec"].get("replicas", 1)
    return replicas


def min_ready(replica_set: Object) -> int:
    seconds: int = replica_set["spec"].get("minReadySeconds") or 0
    return seconds


def status_of(
    replica_set: Object, held: Sequence[Object], now: float, failure: tuple[str, str] | None = None
) -> Object:
    """The status for the pods held. `failure`: reason and message of what went wrong while managing them."""
    active = [pod for pod in held if pods.is_active(pod)]
    template_labels = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    optional = {
        "fullyLabeledReplicas": sum(template_labels.items() <= objects.labels(pod).items() for pod in active),
        "readyReplicas": sum(map(pods.is_ready, active)),
        "availableReplicas": sum(pods.is_available(pod, min_ready(replica_set), now) for pod in active),
        "observedGeneration": objects.metadata(replica_set).get("generation") or 0,
    }
    status: Object = {"replicas": len(active), "terminatingReplicas": sum(map(pods.is_terminating, held))}
    status |= {key: value for key, value in optional.items() if value}
    found = [dict(each) for each in (replica_set.get("status") or {}).get("conditions") or []]
    if failure is None:
        found = [each for each in found if each.get("type") != REPLICA_FAILURE]
    elif conditions.get(found, REPLICA_FAILURE) is None:
        conditions.set_condition(found, REPLICA_FAILURE, "True", *failure, rfc3339(now))
    if found:
        status["conditions"] = found
    return status


def build(context: ControlContext) -> Controller:
    return _ReplicaSets(context).controller


class _ReplicaSets:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._resource = resources.for_plural("replicasets", "apps")
        self._sets = context.informers.get(self._resource)
        self._pods = context.informers.get(PODS)
        ownership.index(self._pods)
        ownership.index(self._sets)
        self._claimer = ownership.Claimer(context.client, self._resource, PODS)
        self._writer = PodWriter(context, _COMPONENT)
        self._due: dict[Key, float] = {}
        """When a large set may be looked at again."""
        keys = owner_keys("ReplicaSet", "apps")
        self._writer.observe(self._pods, keys)
        self.controller = Controller("replicaset", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._sets)
        self.controller.watches(self._pods, keys)
        self.controller.watches(self._pods, ownership.possible_owners(self._sets, _selector))

    async def _reconcile(self, key: Key) -> Outcome:
        replica_set = self._sets.get(*key)
        if replica_set is None:
            self._writer.expectations.forget(key)
            self._due.pop(key, None)
            return DONE
        if (early := self._due.get(key, 0.0) - self._clock.monotonic()) > 0:
            return Outcome(requeue_after=early)
        caught_up = self._writer.expectations.satisfied(key)
        held = await self._claimer.claim(replica_set, self._pods, _selector(replica_set))
        error: Exception | None = None
        failure: tuple[str, str] | None = None
        if caught_up and not objects.is_deleting(replica_set):
            active = [pod for pod in held if pods.is_active(pod)]
            try:
                await self._manage(replica_set, active)
            except Exception as caught:
                error = caught
                reason = "FailedCreate" if len(active) < wanted(replica_set) else "FailedDelete"
                failure = reason, str(caught)
        await self._report(replica_set, held, failure)
        if len(held) > _MANY:
            self._due[key] = self._clock.monotonic() + len(held) * _PAUSE_PER_POD
        if error is not None:
            raise error
        wait = pods.next_availability(held, min_ready(replica_set), self._clock.time())
        return DONE if wait is None else Outcome(requeue_after=wait)

    async def _manage(self, replica_set: Object, active: Sequence[Object]) -> None:
        count = missing(replica_set, active)
        if count:
            template = replica_set["spec"]["template"]
            await self._writer.create(replica_set, [pod_from(template, replica_set) for _ in range(count)])
        elif len(active) > wanted(replica_set):
            await self._writer.delete(replica_set, surplus(replica_set, active, self._related(replica_set)))

    def _related(self, replica_set: Object) -> list[Object]:
        """Pods of every set of the same Deployment: they crowd a node just as much."""
        reference = objects.controller_of(replica_set)
        siblings = self._sets.by_index(ownership.INDEX, reference["uid"]) if reference else [replica_set]
        return [pod for sibling in siblings for pod in ownership.dependents(self._pods, sibling)]

    async def _report(self, replica_set: Object, held: Sequence[Object], failure: tuple[str, str] | None) -> None:
        status = status_of(replica_set, held, self._clock.time(), failure)
        if status == replica_set.get("status"):
            return
        changed = objects.clone(replica_set)
        changed["status"] = status
        await self._client.update(self._resource, changed, subresource="status")


def _selector(replica_set: Object) -> LabelSelector:
    return selectors.from_object(replica_set["spec"].get("selector"))
